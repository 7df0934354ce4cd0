"""The Hugging Face Hub for uploader: destination, source, model card, and a Hub for tests."""
