"""Adapters and models in registries as sources."""
