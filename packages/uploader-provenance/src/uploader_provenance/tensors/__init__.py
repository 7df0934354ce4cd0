"""Digests of single tensors, which stay the same when weights are packed into other files."""
