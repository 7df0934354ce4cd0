"""Release what this trainer made: ``uploader``, which also understands the old options."""

import sys
from pathlib import Path

from uploader_trainers.legacy import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], trainer=Path(__file__).resolve().parents[1]))
