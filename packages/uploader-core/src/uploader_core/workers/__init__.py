"""One step in another process."""
