"""Package URLs and addresses of models, data sets and Python distributions."""

from __future__ import annotations

from urllib.parse import quote

HUB = "https://huggingface.co"


def model_purl(model_id: str, revision: str = "") -> str:
    """Return the package URL of a model on the Hub (``pkg:huggingface/org/name@commit``)."""
    at = f"@{quote(revision.lower(), safe='')}" if revision else ""
    return f"pkg:huggingface/{quote(model_id)}{at}"


def model_url(model_id: str, revision: str = "") -> str:
    """Return the address of a model on the Hub, at its commit where that is known."""
    return f"{HUB}/{quote(model_id)}" + (f"/tree/{quote(revision, safe='')}" if revision else "")


def dataset_url(dataset_id: str) -> str:
    """Return the address of a data set on the Hub."""
    return f"{HUB}/datasets/{quote(dataset_id)}"


def python_purl(name: str, version: str) -> str:
    """Return the package URL of a distribution on PyPI."""
    return f"pkg:pypi/{quote(name.lower().replace('_', '-'))}@{quote(version, safe='')}"
