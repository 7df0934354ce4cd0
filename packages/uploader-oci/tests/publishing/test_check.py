"""What is refused before anything is computed, and what the plan says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from oci_tools import manifest_of, put_manifest
from uploader_core.plugin import AuthError, RefusedError, TemporaryError, UsageError
from uploader_oci.loopback import LoopbackRegistry

Check = Callable[..., list[Any]]


def test_the_plan_names_place_login_and_tags(
    check: Check, basic_registry: LoopbackRegistry
) -> None:
    found = check(
        f"{basic_registry.host}/me/model:v1",
        (("m-Q8_0.gguf", 8), ("m-Q4_K_M.gguf", 4)),
        "gguf",
        dict(basic_registry.environment),
    )
    assert [finding.what for finding in found] == [
        f"{basic_registry.host}/me/model can be pushed to, by UPLOADER_OCI_USERNAME, "
        "UPLOADER_OCI_PASSWORD; tags v1-Q8_0, v1-Q4_K_M, v1"
    ]
    assert basic_registry.sessions("me/model") == 0


def test_the_plan_says_what_tags_with_a_part_of_the_files_lack(
    check: Check, open_registry: LoopbackRegistry
) -> None:
    target, signed = f"{open_registry.host}/me/model:v1", ("provenance:signature@oci:x",)
    one, two = ("m-Q8_0.gguf", 8), ("m-Q4_K_M.gguf", 4)
    found = check(target, (one, two), "gguf", about_all=signed)
    assert [f.level for f in found if "all files: provenance:signature" in f.what] == ["note"]
    assert len(check(target, (one,), "gguf", about_all=signed)) == 1
    assert len(check(target, (one, two), "gguf")) == 1


def test_no_login(check: Check, basic_registry: LoopbackRegistry) -> None:
    with pytest.raises(AuthError, match="wants a login"):
        check(f"{basic_registry.host}/me/model:v1")


def test_a_name_that_no_registry_takes(check: Check) -> None:
    with pytest.raises(UsageError, match="upper case"):
        check("r.io/Me/model:v1")


def test_http_to_another_machine(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCI_ENDPOINT", "http://registry.example.org")
    with pytest.raises(RefusedError, match="another machine"):
        check("registry.example.org/me/model:v1")


def test_too_many_files_for_a_manifest(check: Check, open_registry: LoopbackRegistry) -> None:
    names = tuple((f"{'x' * 100}-{n:05d}.safetensors", 1) for n in range(10_000))
    with pytest.raises(RefusedError, match="and registries take 4,194,304"):
        check(f"{open_registry.host}/me/model:v1", names)


@pytest.mark.usefixtures("no_waiting")
def test_nobody_there(check: Check) -> None:
    with pytest.raises(TemporaryError, match="no answer") as error:
        check("127.0.0.1:9/me/model:v1")
    assert error.value.safe == "nothing was sent"
    assert str(error.value.next).startswith("check the name of the registry and the network")


def test_what_becomes_of_a_tag_that_is_there(
    check: Check,
    push: Callable[..., Any],
    make_files: Callable[..., Any],
    open_registry: LoopbackRegistry,
    repository: str,
) -> None:
    target = f"{open_registry.host}/{repository}:v1"
    push(target, make_files({"adapter_config.json": b"{}"}, "lora"))
    ours = check(target)[-1]
    assert (ours.level, ours.what[:13]) == ("note", "v1 stands for")
    manifest = manifest_of(open_registry, repository, "v1")
    del manifest["annotations"]
    put_manifest(open_registry, repository, "v1", manifest)
    assert check(target)[-1].level == "error"
    assert check(target, foreign="replace")[-1].level == "warning"


@pytest.mark.parametrize(
    ("form", "kind", "names", "refused"),
    [
        ("docker", "lora", ("adapter_config.json", "adapter_model.safetensors"), True),
        ("docker", "merged-16bit", ("config.json", "model.safetensors"), False),
        ("ollama", "merged-16bit", ("config.json", "model.safetensors"), True),
        ("ollama", "gguf", ("m-Q8_0.gguf", "m-Q4_K_M.gguf"), False),
        ("ollama", "gguf", ("m-Q8_0-00001-of-00002.gguf", "m-Q8_0-00002-of-00002.gguf"), True),
        ("ollama", "gguf-lora", ("m-LoRA-F16.gguf",), True),
        ("all", "lora", ("adapter_config.json", "adapter_model.safetensors"), False),
    ],
)
def test_a_form_without_room_is_refused(
    check: Check,
    open_registry: LoopbackRegistry,
    repository: str,
    form: str,
    kind: str,
    names: tuple[str, ...],
    refused: bool,
) -> None:
    sizes = tuple((name, 1) for name in names)
    found = check(f"{open_registry.host}/{repository}:v1", sizes, kind, format=form)
    errors = [finding.what for finding in found if finding.level == "error"]
    assert bool(errors) is refused


@pytest.mark.parametrize(
    ("kind", "names", "tags"),
    [
        ("lora", ("adapter_config.json", "adapter_model.safetensors"), "tag v1"),
        ("merged-16bit", ("config.json", "model.safetensors"), "tags v1, v1-docker"),
        ("gguf", ("m-Q8_0.gguf",), "tags v1, v1-docker, v1-ollama"),
        ("gguf", ("m-00001-of-00002.gguf", "m-00002-of-00002.gguf"), "tags v1, v1-docker"),
    ],
)
def test_the_plan_names_the_tags_of_all_forms(
    check: Check,
    open_registry: LoopbackRegistry,
    repository: str,
    kind: str,
    names: tuple[str, ...],
    tags: str,
) -> None:
    sizes = tuple((name, 1) for name in names)
    (found,) = check(f"{open_registry.host}/{repository}:v1", sizes, kind, format="all")
    assert found.what.partition("; ")[2] == tags


def test_several_ggufs_in_one_tag_are_warned_of(
    check: Check, open_registry: LoopbackRegistry, repository: str
) -> None:
    names = (("gguf/m-Q8_0.gguf", 1), ("gguf/m-Q4_K_M.gguf", 1))
    found = check(f"{open_registry.host}/{repository}:v1", names, "gguf", layout="single")
    assert [f.level for f in found] == ["warning", "note"]
    assert found[0].what.startswith("2 GGUF files in one tag")
