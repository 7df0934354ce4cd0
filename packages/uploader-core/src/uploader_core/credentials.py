"""Which variables of an environment are credentials, whatever they are called."""

from __future__ import annotations

import re

_NAME = re.compile(
    r"TOKEN|OIDC|JWT|SECRET|PASSW(OR)?D|PASSPHRASE|_PASS$|_PAT$|CRED(ENTIAL|S)|APIKEY|_KEY(_|$)"
    # Not the name of a file (REGISTRY_AUTH_FILE) or of a socket, which others are asked by.
    r"|CONNECTION_STR|(^|_)AUTH(_CONFIG|_JSON|_HEADER)?$|AUTHORIZATION",
    re.I,
)
_NO_CREDENTIAL = frozenset({"TOKENIZERS_PARALLELISM", "HF_HUB_DISABLE_IMPLICIT_TOKEN"})

# Variables of a CI have any name. What is in one: a signed web token, which GitLab gives its jobs;
# a header; a private key, alone or in the account of a service; docker's file of logins.
_VALUE = re.compile(
    r"\A\s*(?:eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.|(?:(?:proxy-)?authorization:|basic |bearer ))"
    r"|-----BEGIN (?:[A-Z]+ )*PRIVATE KEY"
    r"|\"(?:auth|identitytoken|password)\"\s*:\s*\"[^\"]",
    re.I,
)

# The name of a repository. With it the Hub's client asks for an identity, and fails without.
_SHOWN = frozenset({"HF_OIDC_RESOURCE"})


def is_credential(name: str, value: str) -> bool:
    """Return whether only those may have a variable who ask for it by name.

    Args:
        name: Of the variable. What the jobs of a CI get their identity by counts too, such as
            the address ``ACTIONS_ID_TOKEN_REQUEST_URL``.
        value: Its value.
    """
    return name not in _NO_CREDENTIAL and bool(_NAME.search(name) or _VALUE.search(value))


def is_shown(name: str) -> bool:
    """Return whether the value of a variable that is given by name may be seen by everybody."""
    return name in _SHOWN
