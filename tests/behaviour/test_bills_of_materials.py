"""Bills of materials of real releases: valid, as the manifest says, and the same anywhere."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from bom_tools import hashes_of, references_of, strict_error
from uploader_command import Uploader

BILL = "ml-bom.cdx.json"
FORMATS = "lora,merged,gguf,compressed,mlx"


def bills(release: Path) -> dict[str, str]:
    """Return every bill of a release by its path."""
    return {
        str(path.relative_to(release)): path.read_text("utf-8")
        for path in sorted(release.rglob(BILL))
        if ".uploader" not in path.parts
    }


def listed(release: Path) -> dict[str, str]:
    """Return the digests of the manifest by path."""
    manifest = json.loads((release / "upload_manifest.json").read_text("utf-8"))
    return {file["path"]: file["sha256"] for file in manifest["files"]}


def run(uploader: Uploader, source: Path, output: Path, *more: object) -> Any:
    """Release with the bills in it, which the tests of everything else do without."""
    uploader.environment["UPLOADER_DISABLE"] = ""
    return uploader("run", source, "--output", output, "--name", "tiny", *more)


def check(release: Path) -> None:
    """Compare every bill with the schema and with the manifest."""
    manifest = listed(release)
    for path, text in bills(release).items():
        assert strict_error(text) is None, path
        bill = json.loads(text)
        references = references_of(bill)
        assert len(references) == len(set(references)), path
        subject = bill["metadata"]["component"]
        models = [c for c in bill["components"] if c["bom-ref"].startswith("model:")]
        folder = path.removesuffix(BILL)
        named = {
            (folder if not models else "") + name: digest
            for component in models or [subject]
            for name, digest in hashes_of(component).items()
        }
        assert named, path
        assert named.items() <= manifest.items(), path


def test_bill_of_an_adapter_names_what_the_manifest_names(uploader: Any, fine_tune: Path) -> None:
    output = uploader.cwd / "release"
    result = run(uploader, fine_tune, output, "--plugins", "lora")
    assert result.returncode == 0, result.stderr
    assert [*bills(output)] == [f"lora/{BILL}", BILL]
    check(output)
    assert not [*output.rglob("spdx.json")]
    materials = json.loads((output / "upload_manifest.json").read_text())["materials"]
    adapter = next(m for m in materials if m["kind"] == "adapter")
    bill = json.loads(bills(output)[f"lora/{BILL}"])
    (named,) = [c for c in bill["components"] if c["bom-ref"] == "material:adapter"]
    assert hashes_of(named) == {file["path"]: file["sha256"] for file in adapter["files"]}


def test_bill_at_the_hub_names_what_is_there(uploader: Any, fine_tune: Path, hub: Any) -> None:
    """A Llama's adapter may go to a private repository; in a public one its licence is missed."""
    base = fine_tune.parents[1] / "base"
    (base / "README.md").write_text("---\nlicense: llama3.1\n---\n# Base\n")
    release, place = uploader.cwd / "release", uploader.cwd / "there"
    result = run(
        uploader, fine_tune, release, "--plugins", "lora", "--to", "hf:me/tiny-LoRA", "--yes"
    )
    assert result.returncode == 0, result.stderr
    from huggingface_hub import HfApi

    api = HfApi(endpoint=hub.url, token=hub.token("me"))
    for name in (BILL, "upload_manifest.json"):
        api.hf_hub_download("me/tiny-LoRA", name, local_dir=place)
    assert [*bills(place)] == [BILL]
    check(place)
    assert "NOTICE" in listed(place)
    # Nothing has to be made for it; it may not go there all the same.
    public = ("--plugins", "lora", "--to", "hf:me/other", "--hf-public", "--yes")
    result = run(uploader, fine_tune, release, *public)
    assert result.returncode == 4, result.stdout
    assert "wants a copy of itself to go with what is made of the model" in result.stderr
    assert "https://www.llama.com/llama3_1/license/" in result.stderr


def test_spdx_is_written_when_it_is_asked_for(uploader: Any, fine_tune: Path) -> None:
    output = uploader.cwd / "release"
    asked = ("--provenance-spdx", "--provenance-date", "2026-11-29")
    result = run(uploader, fine_tune, output, "--plugins", "lora", *asked)
    assert result.returncode == 0, result.stderr
    for path in ("lora/spdx.json", "spdx.json"):
        graph = json.loads((output / path).read_text())["@graph"]
        assert graph[0]["created"] == "2026-11-29T00:00:00Z"
        assert path in listed(output)


def test_licence_that_forbids_a_release_refuses_it(uploader: Any, fine_tune: Path) -> None:
    base = fine_tune.parents[1] / "base"
    (base / "README.md").write_text("---\nlicense: cc-by-nc-nd-4.0\n---\n# Base\n")
    to = ("--plugins", "lora", "--to", "oci:localhost:1/me/tiny")
    result = run(uploader, fine_tune, uploader.cwd / "release", *to)
    assert result.returncode == 4, result.stdout
    assert "does not let others have what is made of it" in result.stderr
    assert "section 2(a)(1)(B)" in result.stderr
    assert not (uploader.cwd / "release").exists()


def test_reason_that_overrules_a_licence_is_in_the_manifest(uploader: Any, fine_tune: Path) -> None:
    base = fine_tune.parents[1] / "base"
    (base / "README.md").write_text("---\nlicense: llama3.1\n---\n# Base\n")
    (fine_tune / "README.md").write_text("---\nlicense: mit\n---\n# Mine\n")
    output = uploader.cwd / "release"
    reason = "a contract of 2026-05-02 allows it"
    result = run(
        uploader, fine_tune, output, "--plugins", "lora",
        "--provenance-licence-override", reason,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    manifest = json.loads((output / "upload_manifest.json").read_text())
    assert manifest["policy"]["settings"]["provenance"]["licence_override"] == reason


@pytest.fixture(scope="module")
def measured(pristine: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Every format of the fine-tune, measured, made twice: here, and as if by somebody else."""
    text = tmp_path_factory.mktemp("text") / "held_out.txt"
    text.write_text("The kingfisher dives into the green river for a silver fish.\n" * 120)
    releases = []
    for who, variables in {
        "one": {"OMP_NUM_THREADS": "1"},
        "somebody/else": {
            "OMP_NUM_THREADS": "1",
            "TZ": "Asia/Tokyo",
            "LC_ALL": "C",
            "PYTHONHASHSEED": "7",
            "USER": "bob",
        },
    }.items():
        root = tmp_path_factory.mktemp("made") / who
        shutil.copytree(pristine, root / "fine-tune")
        uploader = Uploader(root)
        uploader.environment |= variables
        result = run(
            uploader, root / "fine-tune" / "run" / "final_model", root / "release",
            "--plugins", FORMATS, "--measure", "--gguf-measure-text", text,
            "--gguf-measure-contexts", 2, "--compressed-measure-text", text,
            "--compressed-measure-contexts", 2, "--mlx-measure-text", text,
            "--mlx-measure-contexts", 2, "--gguf-quants", "Q8_0,Q4_K_M",
        )  # fmt: skip
        assert result.returncode == 0, result.stderr + result.stdout
        releases.append(root / "release")
    return releases


@pytest.mark.slow
def test_bills_of_all_formats_are_valid_and_agree_with_the_manifest(measured: Any) -> None:
    found = {path.rpartition("/")[0] for path in bills(measured[0])}
    assert found == {"", "lora", "merged-16bit", "gguf", "compressed-fp8-dynamic", "mlx"}
    check(measured[0])


@pytest.mark.slow
def test_base_is_named_with_its_files_where_it_was_read(measured: Any) -> None:
    release = measured[0]
    materials = json.loads((release / "upload_manifest.json").read_text("utf-8"))["materials"]
    (base,) = [m["files"] for m in materials if m["kind"] == "base"]
    for kind in ("merged-16bit", "gguf", "compressed-fp8-dynamic", "mlx"):
        bill = json.loads((release / kind / BILL).read_text("utf-8"))
        (named,) = [c for c in bill["components"] if c["bom-ref"] == "material:base"]
        assert hashes_of(named) == {file["path"]: file["sha256"] for file in base}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["gguf", "compressed-fp8-dynamic", "mlx"])
def test_numbers_of_the_bill_are_those_that_were_measured(measured: Any, kind: str) -> None:
    folder = measured[0] / kind
    fidelity = json.loads((folder / "fidelity.json").read_text("utf-8"))
    bill = json.loads((folder / BILL).read_text("utf-8"))
    card = bill["metadata"]["component"]["modelCard"]
    metrics = card["quantitativeAnalysis"]["performanceMetrics"]
    for model in fidelity["models"]:
        of_model = {
            m["type"]: m["value"] for m in metrics if m["slice"].startswith(f"{model['file']} on ")
        }
        assert of_model["perplexity"] == f"{model['perplexity']:.6g}"
        assert of_model["top-1 agreement"] == f"{model['top1']:.6g}"
        assert of_model["KL divergence, mean, nats"] == f"{model['kl_mean']:.6g}"


@pytest.mark.slow
def test_bills_made_elsewhere_are_the_same_bytes(measured: Any) -> None:
    here, elsewhere = (bills(release) for release in measured)
    assert here == elsewhere
