"""What a model is in a registry: manifests over the same blobs, for each kind of consumer."""
