"""Signatures after OpenSSF Model Signing, which its own verifier accepts, and ``SHA256SUMS``."""
