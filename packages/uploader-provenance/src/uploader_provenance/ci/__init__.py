"""Pipelines of a CI that release on a tag, and hold no secret."""
