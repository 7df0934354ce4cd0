"""``uploader convert-pickle``: weights that were saved as a pickle become safetensors."""
