"""What a user wrote down for every run: ``uploader.toml``, ``.env``, which plugins are disabled."""
