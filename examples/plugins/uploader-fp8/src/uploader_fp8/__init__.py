"""FP8 weights in the format of compressed-tensors."""
