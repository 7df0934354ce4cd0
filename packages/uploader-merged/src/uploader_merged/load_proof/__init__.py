"""Prove before the first byte that a release will load, complete.

transformers builds the class that ``config.json`` names without memory for its weights, and loads
into it the names, shapes and types that the release will hold. What it would miss, drop or
initialise at random is explained, or refuses the run. Several formats of one run prove the same
checkpoint once, and what was proved is remembered by a digest of configuration, headers and
versions.

    from uploader_merged import open_checkpoint
    from uploader_merged.load_proof import prove_checkpoint

    for finding in prove_checkpoint(open_checkpoint(folder)):
        print(finding.level, finding.what)

Modules: ``subject`` says what is proved, ``loading`` lets transformers load it, ``memory``
remembers, ``verdict`` says what it means; ``tokenizer`` compares what transformers makes of the
tokenizer beside the adapter and beside the model.
"""

from __future__ import annotations

from uploader_merged.load_proof.check import prove, prove_checkpoint
from uploader_merged.load_proof.subject import Outcome, Subject, describe

__all__ = ["Outcome", "Subject", "describe", "prove", "prove_checkpoint"]
