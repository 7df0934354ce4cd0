"""Importance matrices and the text that they are computed on."""
