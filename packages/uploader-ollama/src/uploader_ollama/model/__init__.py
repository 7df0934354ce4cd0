"""What makes a GGUF an Ollama model: name, stops, parameters, texts, Modelfile."""
