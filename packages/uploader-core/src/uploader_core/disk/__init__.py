"""Files, complete or not at all."""
