"""Arithmetic on tensors, in blocks."""
