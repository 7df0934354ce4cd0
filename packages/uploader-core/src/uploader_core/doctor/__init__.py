"""A machine and an installation, looked at from outside."""
