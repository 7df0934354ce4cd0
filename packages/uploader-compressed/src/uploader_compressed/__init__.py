"""Models in compressed-tensors, straight from base model and adapter."""
