"""Another name for :mod:`uploader_kit.faults`."""

from uploader_kit.faults import *  # noqa: F403
