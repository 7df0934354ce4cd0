"""Whole numbers with scale and bias for groups of columns, as mlx quantises on a processor."""
