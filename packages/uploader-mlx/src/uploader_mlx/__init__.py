"""Models and adapters for MLX, straight from base model and adapter, on any machine."""
