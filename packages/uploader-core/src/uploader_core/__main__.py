"""``python -m uploader_core`` is the ``uploader`` command."""

from __future__ import annotations

import sys

from uploader_core.cli import main

sys.exit(main())
