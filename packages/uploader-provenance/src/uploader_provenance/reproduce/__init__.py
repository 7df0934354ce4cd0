"""``uploader reproduce``: what a manifest says, made once more and compared."""
