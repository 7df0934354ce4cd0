"""Codes with a scale for a row or a group of columns, as compressed-tensors rounds them: whole
numbers and FP8 (``scaled``), and FP4 (``small``)."""
