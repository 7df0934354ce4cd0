"""``--gguf-target-size``: the mixture of types that suits the model best in so many bytes."""
