"""Model releases in OCI registries."""
