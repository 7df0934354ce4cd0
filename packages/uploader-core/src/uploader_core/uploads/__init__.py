"""What uploads need beyond the attempt that runs."""
