"""Models in a running Ollama, or in a registry in Ollama's form."""
