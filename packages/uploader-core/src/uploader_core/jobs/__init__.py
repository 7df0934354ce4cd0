"""Steps as jobs that run somewhere else, and steps whose work splits."""
