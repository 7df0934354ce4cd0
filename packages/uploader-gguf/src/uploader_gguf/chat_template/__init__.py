"""The chat template of a file: what the programs that load it make of it."""

READY = "ready\n"
"""What the server's process says before the first request: what fails after that is the file."""

SECONDS = 0.8
"""Processor time that llama.cpp may take for one conversation; it takes milliseconds."""
