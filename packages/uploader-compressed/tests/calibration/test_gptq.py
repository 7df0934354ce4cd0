"""A matrix is rounded so that what it computes changes least."""

from __future__ import annotations

import pytest
import torch

from uploader_compressed.calibration.gptq import describe_inputs, gptq
from uploader_compressed.encode import encode, pack, scales_of
from uploader_compressed.schemes import SCHEMES

CALIBRATED = [name for name, scheme in SCHEMES.items() if scheme.calibrated]


def weight() -> torch.Tensor:
    torch.manual_seed(1)
    return (0.02 * torch.randn(96, 256)).bfloat16()


def inputs(tokens: int = 2000) -> torch.Tensor:
    """Inputs that go together, as those of real layers do, and some that are large."""
    torch.manual_seed(2)
    mixed = torch.randn(tokens, 32) @ torch.randn(32, 256) + 0.5 * torch.randn(tokens, 256)
    mixed[:, ::40] *= 8
    return mixed


def values(scheme: str, codes: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    width = codes.shape[1] // scale.shape[1]
    return codes * scale.float().repeat_interleave(width, 1)


def plain(scheme: str) -> torch.Tensor:
    scale = scales_of(SCHEMES[scheme], weight())
    wide = scale.float().repeat_interleave(256 // scale.shape[1], 1)
    half = 2 ** (SCHEMES[scheme].bits - 1)
    return (weight().float() / wide).round().clamp(-half, half - 1) * wide


@pytest.mark.parametrize("scheme", CALIBRATED)
def test_outputs_are_nearer_than_those_of_the_nearest_codes(scheme: str) -> None:
    seen = inputs()
    fitted = values(scheme, *gptq(SCHEMES[scheme], weight(), describe_inputs(seen.T @ seen)))
    other = inputs().roll(1, 0) + 0.1 * torch.randn(2000, 256)
    wanted = other @ weight().float().T
    off, plainly_off = ((other @ w.T - wanted).norm() for w in (fitted, plain(scheme)))
    assert off < 0.7 * plainly_off


@pytest.mark.parametrize("scheme", CALIBRATED)
def test_inputs_that_say_nothing_of_each_other_give_the_nearest_codes(scheme: str) -> None:
    codes, scale = gptq(SCHEMES[scheme], weight(), describe_inputs(torch.eye(256)))
    assert torch.equal(values(scheme, codes, scale), plain(scheme))


@pytest.mark.parametrize("scheme", CALIBRATED)
def test_the_layout_is_that_of_the_plain_scheme(scheme: str) -> None:
    seen = inputs()
    codes, scale = gptq(SCHEMES[scheme], weight(), describe_inputs(seen.T @ seen))
    stored, scales = encode(SCHEMES[scheme.removesuffix("-gptq")], weight())
    assert torch.equal(scale, scales)
    found = pack(SCHEMES[scheme], codes.clone())
    assert (found.shape, found.dtype) == (stored.shape, stored.dtype)
    half = 2 ** (SCHEMES[scheme].bits - 1)
    assert codes.min() >= -half
    assert codes.max() < half


def test_columns_that_no_input_ever_had_keep_their_nearest_codes() -> None:
    seen = inputs()
    seen[:, 100] = 0
    codes, scale = gptq(SCHEMES["w4a16-gptq"], weight(), describe_inputs(seen.T @ seen))
    found = values("w4a16-gptq", codes, scale)[:, 100]
    assert torch.equal(found, plain("w4a16-gptq")[:, 100])


def test_fewer_tokens_than_columns_are_enough() -> None:
    seen = inputs(40)
    fitted = values("w4a16-gptq", *gptq(
        SCHEMES["w4a16-gptq"], weight(), describe_inputs(seen.T @ seen)
    ))  # fmt: skip
    wanted = seen @ weight().float().T
    assert (seen @ fitted.T - wanted).norm() < (seen @ plain("w4a16-gptq").T - wanted).norm()
