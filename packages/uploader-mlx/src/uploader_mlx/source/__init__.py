"""An adapter of mlx-lm as a source: read as the PEFT adapter that does the same."""
