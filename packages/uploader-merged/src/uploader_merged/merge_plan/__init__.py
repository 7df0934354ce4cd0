"""Which tensor of the result comes from what."""
