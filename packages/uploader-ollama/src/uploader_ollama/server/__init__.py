"""A running Ollama: the destination `ollama:`."""
