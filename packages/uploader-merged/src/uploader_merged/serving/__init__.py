"""An adapter that servers load, with the same effect as one that they do not load.

Servers of adapters know one rank and one ``alpha / rank`` for all modules. What PEFT says by
rsLoRA, ``rank_pattern`` and ``alpha_pattern`` goes into alpha where that is exact, else into B.
"""

from uploader_merged.serving.one_scale import OneScale, one_scale, rescaled, without_plain_form

__all__ = ["OneScale", "one_scale", "rescaled", "without_plain_form"]
