"""How far a model of MLX is from base and adapter, computed by mlx-lm."""
