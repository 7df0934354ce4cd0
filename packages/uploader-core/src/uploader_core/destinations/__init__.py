"""What all destinations have to find out: what is there, and whether it is the release."""
