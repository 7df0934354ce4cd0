"""Adapters and models in buckets as sources."""
