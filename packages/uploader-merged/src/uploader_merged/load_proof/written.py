"""Compare the headers of a finished folder with what was proved before it was written."""

from __future__ import annotations

from collections.abc import Mapping

from uploader_core.plugin import IntegrityError
from uploader_lora import StoredTensor
from uploader_merged.failed_proof import failed_proof
from uploader_merged.load_proof.subject import Subject


def compare_headers(
    subject: Subject,
    written: Mapping[str, StoredTensor],
    quantised: Mapping[str, str] | None = None,
) -> None:
    """Check that the files hold the tensors that were proved to load, and no others.

    Args:
        subject: What was proved, with the types that were to be written.
        written: Every tensor of the files, by name.
        quantised: Names of tensors that were quantised on the way, each with the ending of its
            quantisation state. Their types and shapes are those of the codes, and what belongs to
            them stands under their name.

    Raises:
        IntegrityError: A tensor is missing, superfluous, or of another type or shape.
    """
    packed = quantised or {}
    found = {name: t for name, t in written.items() if not _belongs(name, packed)}
    if found.keys() != subject.tensors.keys():
        name = min(found.keys() ^ subject.tensors.keys())
        raise _broken(name, "it is in only one of the checkpoint and the files")
    for name, ending in packed.items():
        if f"{name}.{ending}" not in written:
            raise _broken(name, "its quantisation state is missing")
    for name, tensor in found.items():
        wanted = subject.tensors[name]
        if name not in packed and (tensor.dtype, tensor.shape) != wanted:
            raise _broken(name, f"it is {tensor.dtype} {list(tensor.shape)}, not {wanted}")


def _belongs(name: str, packed: Mapping[str, str]) -> bool:
    """Return whether a tensor is a part of a quantised one."""
    at = name.find(".weight.")
    return at >= 0 and name[: at + len(".weight")] in packed


def _broken(name: str, why: str) -> IntegrityError:
    return failed_proof(f"the finished files are not what was proved to load, at {name}: {why}")
