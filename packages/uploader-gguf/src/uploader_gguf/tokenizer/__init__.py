"""The fine-tune's own tokenizer, and the vocabulary that a file gets of it."""
