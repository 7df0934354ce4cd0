"""No code of a model's folder or repository runs, whatever a library asks transformers for.

llama.cpp's converter loads tokenizers with ``trust_remote_code=True``, or without a word, and then
transformers asks on standard input, which is a worker's pipe.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, NoReturn


@contextlib.contextmanager
def without_foreign_code() -> Iterator[None]:
    """Refuse within it every class that transformers would take from a file of a model.

    Raises:
        ValueError: By transformers, for a model that has no class but its own.
    """
    from transformers import dynamic_module_utils

    module: Any = dynamic_module_utils
    before = module.get_class_in_module, module.TIME_OUT_REMOTE_CODE
    # Of 0 seconds: it is not asked, and the answer is no.
    module.get_class_in_module, module.TIME_OUT_REMOTE_CODE = _refuse, 0
    try:
        yield
    finally:
        module.get_class_in_module, module.TIME_OUT_REMOTE_CODE = before


def _refuse(class_name: str, *_: object, **__: object) -> NoReturn:
    raise ValueError(f"{class_name} is code of the model's own, which is never run here")
