"""Adapters: PEFT's as mlx-lm's, and mlx-lm's as PEFT's."""
