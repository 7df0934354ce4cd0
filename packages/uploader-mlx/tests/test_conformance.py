"""uploader-mlx on core's conformance kit."""

from __future__ import annotations

import pytest

from uploader_kit import ConvertConformance, DocumentConformance


class TestQuantised(ConvertConformance):
    plugin = "mlx"
    spec = "quantised"
    # Two kinds for what is made in one call, and several files, so that resuming has work.
    settings = {"quants": "4bit,nvfp4", "shard_size": "30000"}


@pytest.mark.slow
class TestMlx(ConvertConformance):
    plugin = "mlx"
    spec = "mlx"


@pytest.mark.slow
class TestLora(ConvertConformance):
    plugin = "mlx"
    spec = "lora"


@pytest.mark.slow
class TestLoraSection(DocumentConformance):
    plugin = "mlx"
    spec = "mlx-lora-use"
    kinds = ("mlx-lora",)


@pytest.mark.slow
class TestFidelity(DocumentConformance):
    plugin = "mlx"
    spec = "mlx-fidelity"
    kinds = ("mlx",)


@pytest.mark.slow
class TestSection(DocumentConformance):
    plugin = "mlx"
    spec = "mlx-use"
