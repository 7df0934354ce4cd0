"""Matrices with the same inputs share one sum, and every token counts once."""

from __future__ import annotations

import torch

from uploader_compressed.calibration.inputs import SeenInputs


def rows(seed: int) -> torch.Tensor:
    torch.manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(5, 3))


def test_projections_of_one_input_share_their_sum() -> None:
    seen = SeenInputs(frozenset("qkvo"))
    for seed in (1, 2):
        hidden, attended = rows(seed), rows(seed + 10)
        for name in "qkv":
            seen.see((name,), hidden)
        seen.see(("o",), attended)
    shared, own = seen.products()
    assert shared[0] == ["q", "k", "v"]
    assert own[0] == ["o"]
    assert torch.allclose(shared[1], sum(rows(s).T @ rows(s) for s in (1, 2)))


def test_equal_inputs_at_other_places_count_twice() -> None:
    seen = SeenInputs(frozenset("a"))
    seen.see(("a",), rows(1))
    seen.see(("a",), rows(1))
    ((_, products),) = seen.products()
    assert torch.allclose(products, 2 * rows(1).T @ rows(1))


def test_every_token_counts_alike() -> None:
    seen = SeenInputs(frozenset("a"))
    large = rows(1)
    large[0] *= 1000
    seen.see(("a",), large)
    ((_, products),) = seen.products()
    assert torch.allclose(products, rows(1).T @ rows(1), atol=1e-6)


def test_a_token_that_is_nothing_counts_nothing() -> None:
    seen = SeenInputs(frozenset("a"))
    seen.see(("a",), torch.zeros(5, 3))
    ((_, products),) = seen.products()
    assert not products.any()


def test_a_matrix_of_two_tensors_counts_for_both() -> None:
    seen = SeenInputs(frozenset({"gate", "up"}))
    seen.see(("gate", "up"), rows(1))
    ((names, products),) = seen.products()
    assert names == ["gate", "up"]
    assert torch.allclose(products, rows(1).T @ rows(1))


def test_what_is_not_quantised_is_not_collected() -> None:
    seen = SeenInputs(frozenset("a"))
    seen.see(("router",), rows(1))
    assert seen.products() == []
