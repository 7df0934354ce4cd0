"""What core and plugins agree on."""
