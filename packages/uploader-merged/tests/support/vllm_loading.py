"""Let vLLM's own ``load_weights`` load model folders on a processor, in a process of its own.

    python vllm_loading.py FOLDER...

Prints for each folder what it refused, or which parameters it left as they were."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

_UNTOUCHED = float("nan")
"""What parameters hold before; no weight or code is that."""


class _Kernels:
    """Stands for kernels that the wheel does not have for a processor; nobody calls them."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


def load(folder: str) -> dict[str, Any]:
    from vllm.config import DeviceConfig, ModelConfig, VllmConfig, set_current_vllm_config
    from vllm.distributed import (
        destroy_model_parallel,
        init_distributed_environment,
        initialize_model_parallel,
    )
    from vllm.model_executor.model_loader.utils import initialize_model

    model_config = ModelConfig(
        model=folder, skip_tokenizer_init=True, dtype="float32", enforce_eager=True
    )
    config = VllmConfig(model_config=model_config, device_config=DeviceConfig(device="cpu"))
    with set_current_vllm_config(config):
        if not torch.distributed.is_initialized():
            meeting = Path(tempfile.mkdtemp()) / "meeting"
            init_distributed_environment(1, 0, f"file://{meeting}", 0, "gloo")
        destroy_model_parallel()  # of the model before; experts need groups of their own
        initialize_model_parallel(1, 1)
        model = initialize_model(config)
        parameters = {n: p for n, p in model.named_parameters() if p.is_floating_point()}
        for parameter in parameters.values():
            parameter.data.fill_(_UNTOUCHED)
        try:
            model.load_weights(load_file(f"{folder}/model.safetensors").items())
        except (KeyError, ValueError) as error:
            return {"refused": f"{type(error).__name__}: {error}"[:300]}
    left = [n for n, p in parameters.items() if bool(p.data.float().isnan().any())]
    return {"refused": "", "left": left}


def main() -> None:
    import vllm.platforms
    from vllm.platforms.cpu import CpuPlatform

    vllm.platforms._current_platform = CpuPlatform()  # type: ignore[attr-defined]
    import vllm.model_executor.models.llama  # while there are no kernels, which it registers
    from vllm.model_executor.models import registry

    registry._run_in_subprocess = lambda work: work()
    torch.ops._C = _Kernels()
    print(json.dumps([load(folder) for folder in sys.argv[1:]]))


if __name__ == "__main__":
    main()
