"""A model under the tensor names that its architecture was released with.

transformers 5 holds many models under other names than those of the released files: the experts
of a layer in one tensor, the language model below ``model.language_model``. ``save_pretrained``
turns that back, and a trainer that writes its state dict by itself, or with
``save_original_format=False``, does not. Engines load the released names; which of them load the
other ones too is in :mod:`uploader_lora.where_it_runs`.

Renaming moves no weight: a tensor with a released name is a part of a stored one, byte for byte.
"""

from __future__ import annotations

from uploader_merged.original_names.settle import settled, settled_bytes

__all__ = ["settled", "settled_bytes"]
