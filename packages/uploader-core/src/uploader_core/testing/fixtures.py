"""Another name for :mod:`uploader_kit.fixtures`."""

from uploader_kit.fixtures import *  # noqa: F403
