"""What authors of plugins test their own work with.

A class to inherit for each kind of step; pytest runs it, and so does ``uploader plugins check``::

    from uploader_kit import ConvertConformance

    class TestOnnx(ConvertConformance):
        plugin = "onnx"

The only way to opt out of a check is to override it with an ``xfail`` that says why.
"""

from uploader_kit.conformance import ConformanceError, PluginConformance
from uploader_kit.destination import Destination
from uploader_kit.documenting import DocumentConformance
from uploader_kit.inputs import make_input
from uploader_kit.making import ConvertConformance, SaveConformance
from uploader_kit.sending import UploadConformance

__all__ = [
    "ConformanceError",
    "ConvertConformance",
    "Destination",
    "DocumentConformance",
    "PluginConformance",
    "SaveConformance",
    "UploadConformance",
    "make_input",
]
