"""The base model: files, names, types, what belongs to it."""
