"""A client for registries that follow the OCI distribution specification: no word of models."""
