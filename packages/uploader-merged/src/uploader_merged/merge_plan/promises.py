"""What an adapter's configuration promises, and neither its file nor the base holds."""

from __future__ import annotations

from collections.abc import Iterator

from uploader_lora import Adapter
from uploader_lora.targets import is_saved, means_head
from uploader_merged.base.model import BaseModel
from uploader_merged.base.tying import is_contradicted, is_tied
from uploader_merged.merge_plan.ends import is_head

_CONVERT = (
    "save it again in the training script with model.save_pretrained(FOLDER, "
    "path_initial_model_for_weight_conversion=FIRST_ADAPTER), which makes an ordinary adapter of it"
)


def broken(base: BaseModel, adapter: Adapter) -> Iterator[tuple[str, str | None]]:
    """Yield why the two do not make the trained model, and what to do; None is the usual advice."""
    if adapter.config.initialisation is not None:
        yield (
            f"init_lora_weights = {adapter.config.initialisation} also changed the base weights, "
            "so the adapter alone does not say what the model is",
            _CONVERT,
        )
    for name in adapter.unstored:
        there = next((t for t in base.tensors if is_saved(t.rpartition(".")[0], name)), None)
        if there is not None:
            yield (
                f"modules_to_save names {name!r}, which the base has ({there}), and the adapter "
                "holds no tensor of it",
                "save the adapter again with save_pretrained, on all ranks where the model was "
                "trained on several GPUs",
            )
    for token_module, rows in adapter.config.trainable_tokens.items():
        if means_head(token_module) and not any(is_head(r.module) for r in adapter.token_rows):
            # PEFT stores the rows of a tied head once, with the embedding.
            stored = {r.rows for r in adapter.token_rows}
            if stored != {rows} or not (is_contradicted(base) or is_tied(base)):
                yield f"trainable_token_indices names {token_module}, and it has no rows", None
