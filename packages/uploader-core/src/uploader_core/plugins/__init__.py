"""Which plugins are installed, importing one of them, and its settings."""
