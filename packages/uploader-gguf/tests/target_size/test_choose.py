"""The pure choice: random models and budgets, and the rules that hold for all of them."""

from __future__ import annotations

import itertools
import random

import pytest

from uploader_core.plugin import UsageError
from uploader_gguf.format.quants import TensorType as T
from uploader_gguf.target_size.choose import Option, TooSmallError, choose, hull
from uploader_gguf.target_size.wish import parse

KINDS = (T.Q2_K, T.Q3_K, T.Q4_K, T.Q5_K, T.Q6_K, T.Q8_0)


def some_model(seed: int) -> dict[str, list[Option]]:
    """Tensors of all sizes, with errors that mostly fall with bytes, and sometimes do not."""
    random_ = random.Random(seed)
    model = {}
    for number in range(random_.randint(1, 12)):
        rows = random_.choice((1, 2, 4, 16, 64))
        options, error = [], random_.lognormvariate(0, 2)
        for kind in random_.sample(KINDS, random_.randint(1, len(KINDS))):
            nbytes = kind.nbytes((rows, 256))
            error_of = error * 4.0 ** -(8 * nbytes / rows / 256) * random_.uniform(0.5, 2)
            options.append(Option(kind=kind, nbytes=nbytes, error=error_of))
        model[f"blk.{number}.ffn_up.weight"] = options
    return model


def budgets(model: dict[str, list[Option]]) -> list[int]:
    least = sum(min(o.nbytes for o in options) for options in model.values())
    most = sum(max(o.nbytes for o in options) for options in model.values())
    return [least + (most - least) * n // 40 for n in range(42)]


@pytest.mark.parametrize("seed", range(60))
def test_never_above_the_budget_and_never_worse_with_more_of_it(seed: int) -> None:
    model = some_model(seed)
    chosen = [choose(model, budget) for budget in budgets(model)]
    for budget, choice in zip(budgets(model), chosen, strict=True):
        assert choice.nbytes <= budget
        assert set(choice.kinds) == set(model)
    errors = [choice.error for choice in chosen]
    assert all(b <= a * (1 + 1e-12) for a, b in itertools.pairwise(errors))
    best = sum(min(o.error for o in options) for options in model.values())
    assert errors[-1] == pytest.approx(best)
    assert chosen[-1].largest


@pytest.mark.parametrize("seed", range(20))
def test_near_the_best_of_all_choices(seed: int) -> None:
    """Every combination of a few tensors; one step of the largest is what it may miss."""
    model = dict(itertools.islice(some_model(seed).items(), 4))
    for budget in budgets(model)[::8]:
        best = min(
            sum(o.error for o in options)
            for options in itertools.product(*model.values())
            if sum(o.nbytes for o in options) <= budget
        )
        most = max(
            a.error - b.error
            for options in model.values()
            for a, b in itertools.pairwise([hull(options)[0], *hull(options)])
        )
        assert choose(model, budget).error <= best + most


def test_the_order_of_tensors_and_options_does_not_matter() -> None:
    model = some_model(3)
    turned = {name: options[::-1] for name, options in reversed(model.items())}
    for budget in budgets(model):
        assert choose(model, budget).kinds == choose(turned, budget).kinds


def test_equal_tensors_are_served_by_name() -> None:
    options = [Option(kind=T.Q4_K, nbytes=10, error=2.0), Option(kind=T.Q8_0, nbytes=20, error=1.0)]
    model = {"b": options, "a": options}
    assert choose(model, 30).kinds == {"a": T.Q8_0, "b": T.Q4_K}


def test_a_type_that_is_larger_and_no_better_is_never_taken() -> None:
    options = [
        Option(kind=T.Q4_1, nbytes=10, error=0.1),
        Option(kind=T.Q5_0, nbytes=11, error=0.4),
        Option(kind=T.Q8_0, nbytes=20, error=0.0),
    ]
    assert choose({"a": options}, 15).kinds == {"a": T.Q4_1}


def test_a_budget_below_the_smallest_is_refused() -> None:
    model = some_model(5)
    with pytest.raises(TooSmallError, match="1 bytes larger"):
        choose(model, budgets(model)[0] - 1)


@pytest.mark.parametrize(
    ("text", "label", "budget"),
    [
        ("4.5bpw", "4.5bpw", 562_500),
        ("4 BPW", "4bpw", 500_000),
        ("4.0GiB", "4GiB", 4 << 30),
        ("1.5MB", "1.5MB", 1_500_000),
        ("700000", "700000B", 700_000),
    ],
)
def test_sizes_and_bits_per_weight(text: str, label: str, budget: int) -> None:
    wish = parse(text)
    assert wish.label == label
    assert wish.budget(1_000_000) == budget


@pytest.mark.parametrize("text", ["", "small", "4.5bits", "0bpw", "-1GB", "4,5bpw", "0"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(UsageError, match="neither a size nor bits per weight"):
        parse(text)
