"""Storage that fsspec reaches: sources in it, and releases to it."""
