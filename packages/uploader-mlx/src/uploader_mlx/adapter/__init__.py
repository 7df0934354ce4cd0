"""Adapters of mlx-lm."""

WEIGHTS = "adapters.safetensors"
CONFIG = "adapter_config.json"
"""What the files are called."""
