"""The chat template of a file: what the programs that load it make of it."""
