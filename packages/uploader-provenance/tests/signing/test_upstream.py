"""OpenSSF's own verifier accepts what is signed here, as ours does; neither what was changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from signing_tools import (
    Authority,
    digests_in,
    pem_of,
    public_pem_of,
    upstream_trusts,
    upstream_verifies,
)
from uploader_core.plugin import IntegrityError
from uploader_provenance.signing.certificates import in_der, vouched_key
from uploader_provenance.signing.envelope import read_bundle, to_sign, write_bundle
from uploader_provenance.signing.folder import compare_folder
from uploader_provenance.signing.keys import is_signed, load_private_key, name_of, sign
from uploader_provenance.signing.statement import build_statement, read_statement


def sign_folder(folder: Path, key: Any, ignored: tuple[str, ...] = ()) -> None:
    """Sign a folder as the step does, from digests that are known."""
    payload = build_statement("model", digests_in(folder), ignored)
    text = write_bundle(payload, sign(key, to_sign(payload)), key=name_of(key.public_key()))
    (folder / "model.sig").write_text(text, "utf-8")


def problems_of(folder: Path, key: Any) -> list[str]:
    """Check a folder as ``uploader verify-signature`` does."""
    bundle = read_bundle((folder / "model.sig").read_bytes(), "model.sig")
    assert is_signed(key.public_key(), bundle.signature, to_sign(bundle.payload))
    return [str(p.path) for p in compare_folder(folder, read_statement(bundle.payload, "it"))]


def test_upstream_accepts_a_signature(folder: Path, key: Any, public_key: Path) -> None:
    sign_folder(folder, key)
    assert upstream_verifies(folder, public_key) == (True, "Verification succeeded\n")
    assert problems_of(folder, key) == []


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
def test_upstream_accepts_keys_of_three_curves(
    folder: Path, curve: ec.EllipticCurve, tmp_path: Path
) -> None:
    key = load_private_key(pem_of(ec.generate_private_key(curve), "secret"), "key", "secret")
    public = tmp_path / "pub.pem"
    public.write_bytes(public_pem_of(key))
    sign_folder(folder, key)
    assert upstream_verifies(folder, public)[0]


def test_the_statement_is_the_one_that_upstream_makes(folder: Path, key_file: Path) -> None:
    import json

    from model_signing import hashing, signing

    signing.Config().use_elliptic_key_signer(private_key=key_file).set_hashing_config(
        hashing.Config().set_ignored_paths(paths=["model.sig"])
    ).sign(folder, folder / "model.sig")
    theirs = json.loads(read_bundle((folder / "model.sig").read_text(), "it").payload)
    ours = json.loads(build_statement("model", digests_in(folder)))
    assert ours["subject"] == theirs["subject"]
    assert ours["predicate"]["resources"] == theirs["predicate"]["resources"]
    for parts in (ours, theirs):
        parts["predicate"]["serialization"].pop("ignore_paths")
    assert ours["predicate"]["serialization"] == theirs["predicate"]["serialization"]


def test_what_upstream_signs_is_read(folder: Path, key: Any, key_file: Path) -> None:
    from model_signing import hashing, signing

    signing.Config().use_elliptic_key_signer(private_key=key_file).set_hashing_config(
        hashing.Config().set_ignored_paths(paths=["model.sig"])
    ).sign(folder, folder / "model.sig")
    assert problems_of(folder, key) == []


def flip_a_bit(folder: Path) -> str:
    path = folder / "model.safetensors"
    path.write_bytes(b"v" + path.read_bytes()[1:])
    return path.name


def add_a_file(folder: Path) -> str:
    (folder / "a" / "pytorch_model.bin").write_bytes(b"")
    return "a/pytorch_model.bin"


def rename_a_file(folder: Path) -> str:
    (folder / "config.json").rename(folder / "konfig.json")
    return "config.json"


def remove_a_file(folder: Path) -> str:
    (folder / "a.txt").unlink()
    return "a.txt"


def put_a_link(folder: Path) -> str:
    path = folder / "config.json"
    path.rename(folder.parent / "elsewhere")
    path.symlink_to(folder.parent / "elsewhere")
    return path.name


def put_a_link_to_a_folder(folder: Path) -> str:
    (folder / "a").rename(folder.parent / "a")
    (folder / "a").symlink_to(folder.parent / "a")
    return "a"


@pytest.mark.parametrize(
    "change",
    [flip_a_bit, add_a_file, rename_a_file, remove_a_file, put_a_link, put_a_link_to_a_folder],
)
def test_a_change_is_refused(
    change: Callable[[Path], str], folder: Path, key: Any, public_key: Path
) -> None:
    sign_folder(folder, key)
    changed = change(folder)
    accepted, said = upstream_verifies(folder, public_key)
    assert not accepted and changed.split("/")[-1] in said
    assert changed in problems_of(folder, key)


def test_what_the_hub_and_its_client_put_beside_it_is_no_change(
    folder: Path, key: Any, public_key: Path
) -> None:
    sign_folder(folder, key)
    (folder / ".gitattributes").write_text("*.safetensors filter=lfs\n")
    (folder / ".cache/huggingface/download").mkdir(parents=True)
    (folder / ".cache/huggingface/download/config.json.metadata").write_text("0\n")
    assert upstream_verifies(folder, public_key)[0]
    assert problems_of(folder, key) == []


def test_only_what_was_named_may_lie_beside_it(folder: Path, key: Any, public_key: Path) -> None:
    sign_folder(folder, key, (".uploader", "report.html"))
    (folder / ".uploader/steps").mkdir(parents=True)
    (folder / ".uploader/steps/x.json").write_text("{}")
    (folder / "report.html").write_text("<html>")
    assert upstream_verifies(folder, public_key)[0] and problems_of(folder, key) == []
    (folder / "report.htm").write_text("<html>")
    assert not upstream_verifies(folder, public_key)[0]
    assert problems_of(folder, key) == ["report.htm"]


def test_a_forged_statement_is_not_of_the_key(folder: Path, key: Any, public_key: Path) -> None:
    sign_folder(folder, key)
    before = read_bundle((folder / "model.sig").read_bytes(), "it")
    flip_a_bit(folder)
    forged = build_statement("model", digests_in(folder))
    text = write_bundle(forged, before.signature, key=name_of(key.public_key()))
    (folder / "model.sig").write_text(text)
    assert not upstream_verifies(folder, public_key)[0]
    assert not is_signed(key.public_key(), before.signature, to_sign(forged))


def test_the_same_files_and_key_make_the_same_signature(key: Any) -> None:
    payload = build_statement("m", {"a": "00" * 32})
    assert sign(key, to_sign(payload)) == sign(key, to_sign(payload))


def test_upstream_trusts_a_root_that_vouches_for_the_certificate(
    folder: Path, key: Any, tmp_path: Path
) -> None:
    root = Authority()
    between = Authority("Between", root)
    chain = [between.issue(key), between.certificate]
    payload = build_statement("model", digests_in(folder))
    text = write_bundle(payload, sign(key, to_sign(payload)), certificates=in_der(chain))
    (folder / "model.sig").write_text(text)
    trusted, other = tmp_path / "root.pem", tmp_path / "other.pem"
    strange = Authority().certificate
    from signing_tools import PEM

    trusted.write_bytes(root.certificate.public_bytes(PEM))
    other.write_bytes(strange.public_bytes(PEM))
    assert upstream_trusts(folder, trusted) == (True, "Verification succeeded\n")
    assert not upstream_trusts(folder, other)[0]
    carried = read_bundle(text, "it").certificates
    assert vouched_key(carried, [root.certificate], "it") == key.public_key()
    with pytest.raises(IntegrityError, match="none of the given roots vouches for CN=Release"):
        vouched_key(carried, [strange], "it")
