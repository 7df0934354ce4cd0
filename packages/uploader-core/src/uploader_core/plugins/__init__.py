"""Which plugins are installed, which are disabled, and importing one of them."""
