"""The file format: tensors, types, which tensor gets which type."""
