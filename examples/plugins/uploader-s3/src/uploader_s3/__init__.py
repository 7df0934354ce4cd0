"""Releases to S3-compatible storage."""
