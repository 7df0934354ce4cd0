"""All hostile inputs, in one list."""

from __future__ import annotations

from hostile_configs import HOSTILE_CONFIGS
from hostile_folders import FOLDERS
from hostile_gguf import RELEASES
from hostile_manifests import HOSTILE_MANIFESTS
from hostile_place import Hostile
from hostile_records import HOSTILE_RECORDS
from hostile_samples import SAMPLES
from hostile_settings import HOSTILE_SETTINGS
from hostile_tokenizers import HOSTILE_TOKENIZERS
from hostile_weights import WEIGHTS

CORPUS: list[Hostile] = [
    *WEIGHTS,
    *HOSTILE_CONFIGS,
    *HOSTILE_TOKENIZERS,
    *HOSTILE_RECORDS,
    *HOSTILE_SETTINGS,
    *HOSTILE_MANIFESTS,
    *FOLDERS,
    *RELEASES,
    *SAMPLES,
]
