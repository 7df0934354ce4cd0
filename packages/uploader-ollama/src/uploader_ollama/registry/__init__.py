"""Models in Ollama's form in any OCI registry: the destination `ollama-registry:`."""
