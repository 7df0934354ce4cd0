"""What a check says besides passing and failing."""

from __future__ import annotations

import warnings
from typing import NoReturn

import pytest

from uploader_core.deprecations import UploaderDeprecationWarning

NOT_TRIED = "not tried: "
"""How the reason begins why a rule could have been tried elsewhere, but not here."""

LATER = " (announced: a warning today, an error in a later version)"


def announce(plugin: str, sentence: str) -> None:
    """Warn of what will fail in a later version, as :doc:`versions` says: never at once.

    Args:
        plugin: Plugin id.
        sentence: The rule, the place, and what to do.
    """
    warnings.warn(f"{plugin}: {sentence}{LATER}", UploaderDeprecationWarning, stacklevel=3)


def does_not_apply(why: str) -> NoReturn:
    """Skip a rule that is not about such a step."""
    pytest.skip(why)


def not_tried(why: str) -> NoReturn:
    """Skip a rule that could not be tried here."""
    pytest.skip(NOT_TRIED + why)
