"""``uploader demo``: a small model is trained, fine-tuned and released, offline, in a few minutes."""
