"""The release folder on disk."""
