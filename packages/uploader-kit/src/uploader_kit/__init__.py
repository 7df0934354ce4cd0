"""What authors of plugins test their own work with.

A class to inherit for each kind of step; pytest runs it, and so does ``uploader plugins check``::

    from uploader_kit import ConvertConformance

    class TestOnnx(ConvertConformance):
        plugin = "onnx"

The only way to opt out of a check is to override it with an ``xfail`` that says why.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from uploader_kit.conformance import ConformanceError, PluginConformance
    from uploader_kit.destination import Destination
    from uploader_kit.documenting import DocumentConformance
    from uploader_kit.executing import ExecutorConformance
    from uploader_kit.inputs import make_input
    from uploader_kit.making import ConvertConformance, SaveConformance
    from uploader_kit.sending import UploadConformance

_PLACES = {
    "ConformanceError": "conformance",
    "ConvertConformance": "making",
    "Destination": "destination",
    "DocumentConformance": "documenting",
    "ExecutorConformance": "executing",
    "PluginConformance": "conformance",
    "SaveConformance": "making",
    "UploadConformance": "sending",
    "make_input": "inputs",
}

__all__ = [
    "ConformanceError",
    "ConvertConformance",
    "Destination",
    "DocumentConformance",
    "ExecutorConformance",
    "PluginConformance",
    "SaveConformance",
    "UploadConformance",
    "make_input",
]


def __getattr__(name: str) -> Any:
    # The worker of every trial is a module of this package, and needs neither these nor pytest.
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)
