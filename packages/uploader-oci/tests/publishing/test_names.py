"""Which tags a run makes."""

from __future__ import annotations

from typing import Any

import pytest

from oci_tools import RELEASE
from uploader_core.plugin import Artifact, GroupContext, UsageError
from uploader_oci.publishing.names import group
from uploader_oci.publishing.tags import forms_of, quants_of, tags_of
from uploader_oci.settings import Settings


def tags(target: str, *kinds: str, **settings: Any) -> dict[str, str]:
    context = GroupContext(
        target=target, kinds=kinds, settings=Settings(**settings), release=RELEASE
    )
    return {g.kinds[0]: g.target.rpartition("/")[2].partition(":")[2] for g in group(context)}


@pytest.mark.parametrize(
    ("kinds", "found"),
    [
        (("lora",), {"lora": "v1"}),
        (("lora", "merged-16bit"), {"lora": "v1-lora", "merged-16bit": "v1"}),
        (("lora", "gguf"), {"lora": "v1-lora", "gguf": "v1"}),
        (("merged-16bit", "gguf"), {"merged-16bit": "v1", "gguf": "v1-gguf"}),
        (("acme.mlx-q4", "lora"), {"acme.mlx-q4": "v1", "lora": "v1-lora"}),
        (("lora", "acme.mlx-q4"), {"lora": "v1", "acme.mlx-q4": "v1-acme-mlx-q4"}),
    ],
)
def test_the_main_format_has_the_tag_that_was_asked_for(
    kinds: tuple[str, ...], found: dict[str, str]
) -> None:
    assert tags("r.io/me/model:v1", *kinds) == found


def test_beside_latest_a_format_is_called_by_its_name() -> None:
    assert tags("r.io/me/model", "lora", "merged-16bit") == {
        "lora": "lora", "merged-16bit": "latest",
    }  # fmt: skip


def test_a_tag_is_chosen() -> None:
    assert tags("r.io/me/model:v1", "lora", "gguf", tag=("lora=adapter",))["lora"] == "adapter"


def test_a_single_layout_has_everything_in_one_tag() -> None:
    context = GroupContext(
        target="r.io/me/model:v1",
        kinds=("lora", "gguf"),
        settings=Settings(layout="single"),
        release=RELEASE,
    )
    (only,) = group(context)
    assert (only.kinds, only.flatten) == (("lora", "gguf"), False)


@pytest.mark.parametrize(
    ("target", "settings", "what"),
    [
        ("r.io/me/Model", {}, "upper case"),
        ("r.io/me/model@sha256:" + "a" * 64, {}, "names a digest"),
        ("r.io/me/model:v1", {"tag": ("gguf=x",)}, "has no gguf"),
        ("r.io/me/model:v1", {"tag": ("lora",)}, "not of the form KIND=TAG"),
        ("r.io/me/model:v1", {"tag": ("lora=a b",)}, "other characters"),
        ("r.io/me/model:v1", {"tag": ("lora=v1",)}, "would hold lora and merged-16bit"),
        ("r.io/me/model:v1", {"tag": ("lora=x",), "layout": "single"}, "has only one"),
    ],
)
def test_what_cannot_be_is_refused(target: str, settings: dict[str, Any], what: str) -> None:
    with pytest.raises(UsageError, match=what):
        tags(target, "lora", "merged-16bit", **settings)


def test_each_quantisation_has_a_tag() -> None:
    quants = {"Q8_0": 8, "Q4_K_M": 4, "Q2_K": 2}
    assert tags_of("v1", quants) == [
        ("v1-Q8_0", "Q8_0"), ("v1-Q4_K_M", "Q4_K_M"), ("v1-Q2_K", "Q2_K"), ("v1", "Q4_K_M"),
    ]  # fmt: skip
    assert tags_of("latest", {"Q8_0": 8, "Q6_K": 6})[-1] == ("latest", "Q6_K")
    assert tags_of("v1", {"Q8_0": 8}) == [("v1", "Q8_0")]
    assert tags_of("v1", {}) == [("v1", "")]


def test_quantisations_are_known_by_what_made_them_or_by_their_names() -> None:
    names = ["m-Q8_0.gguf", "m-Q4_K_M-00001-of-00002.gguf", "m-Q4_K_M-00002-of-00002.gguf"]
    assert quants_of(names, []) == {"Q8_0": names[:1], "Q4_K_M": names[1:]}
    made = Artifact(kind="gguf", path=None, metadata={"quants": {"a.gguf": "Q8_0"}})  # type: ignore[arg-type]
    assert quants_of(["a.gguf", "a-imatrix.gguf", "mmproj.gguf"], [made]) == {"Q8_0": ["a.gguf"]}


def test_one_form_alone_has_the_tag_itself() -> None:
    assert forms_of("v1", "docker") == [("v1", "docker")]
    assert [tag for tag, _ in forms_of("v1", "all")] == ["v1", "v1-docker", "v1-ollama"]


def test_a_form_that_leaves_files_out_has_the_whole_release_beside_it() -> None:
    assert forms_of("v1", "ollama") == [("v1-modelpack", "modelpack"), ("v1", "ollama")]
