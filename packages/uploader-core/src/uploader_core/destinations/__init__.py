"""Destinations that need nothing but Python."""
