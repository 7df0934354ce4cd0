"""``uploader demo``: train, fine-tune and release a small model, offline, in a few minutes."""
