"""Which inference engines load what is released, and what to do where one does not.

``engines.json`` holds versions, and the architectures or model types that each knows, as
``tools/engine_facts.py`` reads them; the modules hold what engines accept besides, with the place
in the source that says so. What nobody looked at is said to be unknown, and gets no command.
"""

from uploader_lora.where_it_runs.adapters import of_adapter
from uploader_lora.where_it_runs.described import Described
from uploader_lora.where_it_runs.models import Form, of_model
from uploader_lora.where_it_runs.plan import planned
from uploader_lora.where_it_runs.verdicts import (
    Verdict,
    on_engine,
    recorded,
    runs_alone,
    shown,
)

__all__ = [
    "Described",
    "Form",
    "Verdict",
    "of_adapter",
    "of_model",
    "on_engine",
    "planned",
    "recorded",
    "runs_alone",
    "shown",
]
