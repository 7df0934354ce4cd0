"""Whose words a README holds: a person's are kept, a library's are not taken for them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hf_tools import CARDS, RELEASE
from uploader_core.plugin import Artifact, OutputFolder, PlanContext, ReleaseInfo, StepContext
from uploader_hf.model_card.card import check, write
from uploader_hf.model_card.own_text import take_apart
from uploader_hf.settings import CardSettings

OWN = "\n\nIt was trained on letters about herons.\n"
UNSLOTH = """---
base_model: unsloth/Llama-3.2-1B-Instruct-bnb-4bit
tags:
- text-generation-inference
- transformers
- unsloth
- llama
- trl
license: apache-2.0
language:
- en
---

# Uploaded finetuned  model

- **Developed by:** me
- **License:** apache-2.0
- **Finetuned from model :** unsloth/Llama-3.2-1B-Instruct-bnb-4bit

This llama model was trained 2x faster with [Unsloth](https://github.com/unslothai/unsloth) and \
Huggingface's TRL library.

[<img src="https://raw.githubusercontent.com/unslothai/unsloth/main/images/unsloth.png" \
width="200"/>](https://github.com/unslothai/unsloth)
"""
AXOLOTL = """---
library_name: peft
base_model: /home/alice/models/llama
tags:
- axolotl
- generated_from_trainer
---

<!-- This model card has been generated automatically according to the information the Trainer had
access to. You should probably proofread and complete it, then remove this comment. -->

[<img src="https://raw.githubusercontent.com/axolotl-ai-cloud/axolotl/main/image/badge.png" \
alt="Built with Axolotl"/>](https://github.com/axolotl-ai-cloud/axolotl)
<details><summary>See axolotl config</summary>

axolotl version: `0.9.1`
```yaml
base_model: /home/alice/models/llama
datasets:
  - path: /home/alice/secret.jsonl
```

</details><br>

# outputs/lora-out

This model is a fine-tuned version of [/home/alice/models/llama](https://huggingface.co/x) on the \
/home/alice/secret.jsonl dataset.
It achieves the following results on the evaluation set:
- Loss: 1.25
- Memory/max Active Gib: 3.1

## Model description

More information needed

## Training procedure

### Training hyperparameters

- learning_rate: 0.0002

### Framework versions

- PEFT 0.15.2
"""


def peft_card() -> str:
    """Return what peft puts beside an adapter; it renders the client's own template."""
    from huggingface_hub import ModelCard, ModelCardData

    card = ModelCard.from_template(ModelCardData())
    card.data["base_model"] = "/home/alice/llama"
    card.data["tags"] = ["lora"]
    card.text += "\n### Framework versions\n\n- PEFT 0.21.2"
    return str(card)


def trainer_card() -> str:
    """Return what transformers' Trainer writes."""
    modelcard = pytest.importorskip("transformers.modelcard")
    summary = modelcard.TrainingSummary(
        model_name="final_model",
        finetuned_from="acme/base",
        eval_results={"Loss": 1.5, "Accuracy": 0.5},
        hyperparameters={"learning_rate": 0.1, "seed": 1},
        eval_lines=[{"Epoch": 1, "Step": 10, "Loss": 2.0}],
        source="trainer",
    )
    return str(summary.to_model_card())


def trl_card() -> str:
    """Return what TRL's trainers write; for a base of this machine they name None."""
    utils = pytest.importorskip("trl.trainer.utils")
    return str(
        utils.generate_model_card(
            base_model=None,
            model_name="run",
            hub_model_id="me/run",
            dataset_name=None,
            tags=["generated_from_trainer", "sft", "trl"],
            wandb_url=None,
            trackio_url=None,
            trainer_name="SFT",
        )
    )


def sentence_transformers_card() -> str:
    """Return what sentence-transformers writes, without a training."""
    pytest.importorskip("sentence_transformers")
    from sentence_transformers.sentence_transformer import model_card

    template = Path(model_card.__file__).with_name("model_card_template.md")
    from huggingface_hub import ModelCard, ModelCardData

    known = {
        "model_name": "SentenceTransformer based on acme/base",
        "base_model": "acme/base",
        "train_datasets": [{"name": "letters", "columns": ["a"], "loss": {"fullname": "x.Loss"}}],
        "eval_datasets": [],
        "all_hyperparameters": {"seed": 1},
        "version": {},
        "citations": {"Loss": "@x"},
        "task_name": "semantic search",
        "model_string": "SentenceTransformer(...)",
    }
    return str(ModelCard.from_template(ModelCardData(), template_path=str(template), **known))


GENERATED: dict[str, Callable[[], str]] = {
    "peft": peft_card,
    "trainer": trainer_card,
    "trl": trl_card,
    "sentence-transformers": sentence_transformers_card,
    "unsloth": lambda: UNSLOTH,
    "axolotl": lambda: AXOLOTL,
}


@pytest.mark.parametrize("library", GENERATED)
def test_what_a_library_wrote_is_nobodys(library: str) -> None:
    card = take_apart(GENERATED[library]())
    assert card.before == ""
    assert not card.has_own_text


@pytest.mark.parametrize("library", GENERATED)
def test_what_a_person_wrote_into_it_is_kept(library: str) -> None:
    text = GENERATED[library]() + "\n## About herons" + OWN
    assert take_apart(text).before == "## About herons\n\nIt was trained on letters about herons."


@pytest.mark.parametrize(
    ("library", "place"),
    [
        ("trainer", "## Model description\n\nMore information needed"),
        ("axolotl", "## Model description\n\nMore information needed"),
        ("peft", "### Direct Use"),
    ],
)
def test_a_section_that_a_person_filled_in_is_kept(library: str, place: str) -> None:
    text = GENERATED[library]()
    heading = place.splitlines()[0]
    assert place in text
    card = take_apart(text.replace(place, heading + OWN, 1))
    assert card.before.strip().endswith(f"{heading}\n\nIt was trained on letters about herons.")
    assert "nformation" not in card.before


def test_what_peft_appends_to_a_persons_readme_is_not_theirs() -> None:
    text = "# Pond keeper" + OWN + "### Framework versions\n\n- PEFT 0.21.2"
    assert take_apart(text).before.strip() == "# Pond keeper" + OWN.rstrip()


# -- the card -------------------------------------------------------------------------------


FULL = ReleaseInfo(name="tiny", source="checkpoint")


@pytest.fixture
def card(tmp_path: Path) -> Callable[..., Any]:
    """Write a card from READMEs by source kind; returns it as the client reads it."""

    def run(release: ReleaseInfo, kind: str = "merged-16bit", **readmes: str) -> Any:
        from huggingface_hub import ModelCard

        for source, text in readmes.items():
            (tmp_path / source).mkdir(exist_ok=True)
            (tmp_path / source / "README.md").write_text(text)
        work = tmp_path / "work"
        work.mkdir(exist_ok=True)
        write(
            StepContext(
                step=f"hf:card@{kind}",
                inputs=(Artifact(kind=kind, path=tmp_path / "out"),),
                settings=CardSettings(),
                release=release,
                output=OutputFolder(tmp_path / "out", work),
                work=work,
                sources={source: tmp_path / source for source in readmes},
                cards=CARDS,
            )
        )
        return ModelCard.load(tmp_path / "out" / "README.md")

    return run


HEAD = """---
license: mit
language: [de]
tags: [gardening]
datasets: [acme/letters]
pipeline_tag: text-ranking
base_model: acme/base
---
"""


@pytest.mark.parametrize("head", ["", HEAD], ids=["plain", "with metadata"])
@pytest.mark.parametrize("kind", ["merged-16bit", "gguf"])
def test_readme_of_a_full_fine_tune_is_its_owners(
    card: Callable[..., Any], kind: str, head: str
) -> None:
    made = card(FULL, kind, checkpoint=f"{head}# Pond keeper{OWN}")
    assert made.text.strip().startswith("# Pond keeper\n\nIt was trained on letters about herons.")
    assert "as the base model" not in made.text
    data = made.data.to_dict()
    if head:
        assert data["license"] == "mit"
        assert data["language"] == ["de"]
        assert "gardening" in data["tags"]
        assert data["datasets"] == ["acme/letters"]
        assert data["pipeline_tag"] == "text-ranking"
        assert data["base_model"] == "acme/base"
        assert data["base_model_relation"] == ("quantized" if kind == "gguf" else "finetune")
        assert "`mit`." in made.text
    else:
        assert "license" not in data


def test_metadata_without_a_text_are_the_owners_too(card: Callable[..., Any]) -> None:
    made = card(FULL, checkpoint=HEAD)
    assert made.data.license == "mit"
    assert made.data.base_model == "acme/base"
    assert "# tiny" in made.text


@pytest.mark.parametrize("base", ["/home/alice/llama", "outputs/base", "llama"])
def test_base_that_may_be_a_folder_is_not_named(card: Callable[..., Any], base: str) -> None:
    text = trainer_card().replace("acme/base", base)
    made = card(FULL, checkpoint=f"{text}\n## Words{OWN}")
    assert "base_model" not in made.data.to_dict()
    assert base not in str(made)


def test_readme_of_a_model_that_was_fetched_stays_with_it(card: Callable[..., Any]) -> None:
    release = dataclasses.replace(RELEASE, source="checkpoint")
    made = card(release, "gguf", checkpoint=f"{HEAD}# Theirs{OWN}")
    assert "herons" not in made.text
    assert "`mit`, as the base model" in made.text


def test_licence_of_an_adapter_is_not_that_of_a_merged_model(card: Callable[..., Any]) -> None:
    base, own = "---\nlicense: llama3.2\n---\n", f"---\nlicense: mit\n---\n# Mine{OWN}"
    merged = card(RELEASE, base=base, adapter=own)
    assert merged.data.license == "llama3.2"
    assert "`llama3.2`, as the base model." in merged.text
    assert "The adapter is under `mit`." in merged.text
    assert card(RELEASE, "lora", base=base, adapter=own).data.license == "mit"


def test_licence_that_unsloth_writes_for_every_model_is_not_believed(
    card: Callable[..., Any],
) -> None:
    base = "---\nlicense: llama3.2\n---\n"
    made = card(RELEASE, "lora", base=base, adapter=UNSLOTH + "\n## Words" + OWN)
    assert made.data.license == "llama3.2"
    assert "herons" in made.text
    assert "Unsloth" not in made.text


def test_private_path_is_not_published_and_the_plan_says_so(
    card: Callable[..., Any], tmp_path: Path
) -> None:
    text = (
        "# Mine\n\nTrained on `/home/alice/data/herons.jsonl` and C:\\Users\\alice\\more.csv, see "
        "https://example.com/home/alice and /usr/bin/python.\n"
    )
    made = card(FULL, checkpoint=text)
    assert "Trained on `herons.jsonl` and more.csv, see https://example.com/home/alice" in made.text
    assert "/usr/bin/python" in made.text
    context = PlanContext(
        inputs=(),
        settings=CardSettings(),
        release=FULL,
        output=tmp_path,
        sources={"checkpoint": tmp_path / "checkpoint"},
    )
    (finding,) = check(context)
    assert finding.level == "note"
    assert "/home/alice/data/herons.jsonl" in finding.what
