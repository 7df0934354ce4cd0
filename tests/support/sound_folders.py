"""Folders that nothing is wrong with, as trainers leave them: ``python sound_folders.py FOLDER``.

TRL and sentence-transformers train and save for real (:mod:`sound_trained`). What axolotl,
LLaMA-Factory, ms-swift and Unsloth put beside peft's and transformers' own files is written as
their code writes it (:mod:`sound_layouts`). Below FOLDER are then ``hub/``, a cache of the Hub with
the base models in it, ``home/`` with one folder for each trainer, and ``folders.json``: for each
name the folder, the plugins that fit it, and what else the command needs.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from sound_bases import BASES
from sound_layouts import LAYOUTS
from sound_trained import TRAINED

MAKERS = (*TRAINED, *LAYOUTS)


def main(root: Path) -> None:
    """Make the bases, then every folder."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    for make_base in BASES:
        make_base()
    made = {}
    for make in MAKERS:
        home = root / "home" / make.__name__
        home.mkdir(parents=True)
        os.chdir(home)
        sound = make(home)
        made[make.__name__] = {
            "folder": str(sound.folder),
            "plugins": sound.plugins,
            "options": sound.options,
        }
    (root / "folders.json").write_text(json.dumps(made, indent=2), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
