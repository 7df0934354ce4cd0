"""The same merge by other engines."""
