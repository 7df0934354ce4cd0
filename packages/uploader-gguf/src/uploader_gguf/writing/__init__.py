"""From a checkpoint to files."""
