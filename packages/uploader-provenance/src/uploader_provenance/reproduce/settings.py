"""The settings that a release was made with, as far as its manifest can say them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from uploader_core.plugin import SourceError, UsageError, from_home, hash_file
from uploader_provenance.reproduce.published import Published


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """A field of the installed version of a plugin.

    Attributes:
        default: Its default.
        reads: Whether it may name a file, whose content counts.
        path: Whether it is a path and nothing else.
    """

    default: Any
    reads: bool
    path: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Restored:
    """Settings for the rebuild.

    Attributes:
        values: By plugin id and field.
        lost: Recorded settings that the installed version does not know, in words.
    """

    values: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    lost: tuple[str, ...] = ()


def restore(
    release: Published, given: Mapping[str, str], known: Callable[[str], Mapping[str, Known]]
) -> Restored:
    """Return the settings of the steps that made a release's formats.

    Args:
        release: What is reproduced.
        given: What the user named anew, by ``PLUGIN.FIELD``: files of the machine on which the
            release was made.
        known: Returns the fields that the installed version of a plugin has.

    Raises:
        SourceError: A file is missing that only the maker has, or is another one.
        UsageError: The user named a setting that the release does not have.
    """
    values: dict[str, dict[str, object]] = {}
    lost: dict[str, None] = {}
    left = {*given}
    for step in release.manifest["steps"]:
        # A document that comes out otherwise is named, and changes no format.
        is_document = step["kind"] == "document"
        plugin = str(step["plugin"])
        fields = known(plugin)
        for name, value in step["settings"].items():
            option = f"{plugin}.{name}"
            if is_document and (name not in fields or fields[name].reads):
                continue
            if name not in fields:
                lost[f"{step['distribution']} has no setting {name} any more ({value!r} then)"] = (
                    None
                )
            elif option in given:
                left.discard(option)
                _check_content(release, step, name, given[option])
                values.setdefault(plugin, {})[name] = given[option]
            else:
                if _is_missing(step, name, value, fields[name]):
                    raise _missing(release, option, value)
                values.setdefault(plugin, {})[name] = value
    if left:
        raise UsageError(
            f"{release.reference} was made without the setting {', '.join(sorted(left))}",
            next="leave it out; what the release was made with is in its manifest",
        )
    return Restored(values=values, lost=tuple(lost))


def _is_missing(step: Mapping[str, Any], name: str, value: object, known: Known) -> bool:
    """Whether a setting named a file, which only whoever made the release has.

    What a manifest names is never looked for on this machine: somebody else wrote it, and a path
    can lead to code (a checkout of llama.cpp) or to what is nobody's business.
    """
    if value in (None, "", [], known.default) or not (known.reads or known.path):
        return False
    named = value if isinstance(value, list) else [value]
    if known.path or any(_is_here(item) for item in named):
        return True
    # Manifests of older versions do not say what was a file; whatever can be one counts as one.
    return name in step.get("contents", {name: None})


def _is_here(value: object) -> bool:
    try:
        return from_home(str(value), typed=False).exists()
    except (OSError, ValueError):  # a text that is longer than any name
        return False


def _missing(release: Published, option: str, value: object) -> SourceError:
    return SourceError(
        f"{release.reference} was made with a file that only its maker has: {option} = {value}",
        owner=f"{option}, of which the manifest has no more than the name",
        safe="nothing was made",
        next=f"get that file and name it: --setting {option}=FILE",
    )


def _check_content(release: Published, step: Mapping[str, Any], name: str, value: str) -> None:
    """Refuse another file than the recorded one, where its digest is recorded."""
    recorded = step.get("contents", {}).get(name)
    path = from_home(value)
    if not recorded or not path.is_file():
        return
    wanted = {digest for entry in recorded if isinstance(entry, list) for digest in entry[1:]}
    digest = hash_file(path)[1]
    if wanted and digest not in wanted:
        raise SourceError(
            f"{path} is not the file that {release.reference} was made with",
            owner=f"{step['plugin']}.{name}: {digest[:12]}, and the manifest has another digest",
            safe="nothing was made",
            next=f"--setting {step['plugin']}.{name}=FILE with the file of the time",
        )
