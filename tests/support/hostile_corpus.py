"""All hostile inputs, in one list."""

from __future__ import annotations

from hostile_folders import FOLDERS
from hostile_gguf import RELEASES
from hostile_place import Hostile
from hostile_texts import TEXTS
from hostile_weights import WEIGHTS

CORPUS: list[Hostile] = [*WEIGHTS, *TEXTS, *FOLDERS, *RELEASES]
