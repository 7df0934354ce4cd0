"""Which variables of an environment are credentials, whatever they are called."""

from __future__ import annotations

import re

_NAME = re.compile(
    r"TOKEN|OIDC|JWT|SECRET|PASSW(OR)?D|CRED(ENTIAL|S)|APIKEY|_KEY(_|$)|CONNECTION_STR", re.I
)
_NO_CREDENTIAL = frozenset({"TOKENIZERS_PARALLELISM", "HF_HUB_DISABLE_IMPLICIT_TOKEN"})

# GitLab gives its jobs signed web tokens in variables of any name.
_IDENTITY = re.compile(r"\s*eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.")

# The name of a repository. With it the Hub's client asks for an identity, and fails without.
_SHOWN = frozenset({"HF_OIDC_RESOURCE"})


def is_credential(name: str, value: str) -> bool:
    """Return whether only those may have a variable who ask for it by name.

    Args:
        name: Of the variable. What the jobs of a CI get their identity by counts too, such as
            the address ``ACTIONS_ID_TOKEN_REQUEST_URL``.
        value: Its value.
    """
    return name not in _NO_CREDENTIAL and bool(_NAME.search(name) or _IDENTITY.match(value))


def is_shown(name: str) -> bool:
    """Return whether the value of a variable that is given by name may be seen by everybody."""
    return name in _SHOWN
