"""What mlx-lm makes of a checkpoint: names, shapes, and what may be quantised, by its own code."""
