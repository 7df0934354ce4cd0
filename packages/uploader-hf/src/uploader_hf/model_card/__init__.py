"""The model card and what is known of a training."""
