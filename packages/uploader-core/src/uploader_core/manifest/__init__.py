"""What a release says of its own files: ``upload_manifest.json``."""
