"""Releases that anyone can check: signatures, bills of materials, and what rebuilds them."""
