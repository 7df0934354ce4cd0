"""The base model under an adapter: the revision that it was trained on is the one that is taken."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from uploader_core.builtin.local_source.base_model import public_name
from uploader_core.builtin.local_source.read import read
from uploader_core.contract.context import FetchedSource
from uploader_core.contract.sources import Fetch, Identify, ReaderContext, Sources
from uploader_core.errors import SourceError

OLD, NEW = "0" * 39 + "1", "0" * 39 + "2"
COMMITS = {"": NEW, "main": NEW, "v1": OLD, OLD: OLD, NEW: NEW}
"""What a place that models are fetched from makes of a revision."""


def open_source(
    reference: str,
    base: str | None,
    fetch: Fetch,
    adapters: Sequence[str] = (),
    identify: Identify = lambda _: None,
) -> Sources:
    return read(
        ReaderContext(
            reference=reference,
            base=base,
            adapters=tuple(adapters),
            fetch=fetch,
            identify=identify,
        )
    )


class Place:
    """Models by name, as a source plugin brings them; remembers what was asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.asked: list[str] = []

    def __call__(self, reference: str, purpose: str) -> FetchedSource | None:
        self.asked.append(reference)
        name, _, revision = reference.partition("@")
        if revision not in COMMITS:
            raise SourceError(f"{reference} is not there", owner="the place")
        path = self._folder / name / COMMITS[revision]
        path.mkdir(parents=True, exist_ok=True)
        (path / "config.json").write_text("{}")
        return FetchedSource(path=path, model_id=name, revision=COMMITS[revision])


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "place")


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Path]:
    """Leave an adapter that says of its base what is given."""

    def leave(
        revision: object = None,
        name: str = "adapter",
        base: str = "org/base",
        lineage: object = None,
    ) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        config = {"base_model_name_or_path": base, "revision": revision}
        (folder / "adapter_config.json").write_text(json.dumps(config))
        if lineage is not None:
            (folder / "training_lineage.json").write_text(json.dumps(lineage))
        return folder

    return leave


def said(sources: Sources) -> list[tuple[str, str]]:
    return [(finding.level, finding.what) for finding in sources.findings]


def test_base_is_fetched_at_the_revision_of_the_adapter(
    make: Callable[..., Path], place: Place
) -> None:
    sources = open_source(str(make(OLD)), None, place)
    assert place.asked == [f"org/base@{OLD}"]
    assert (sources.base_revision, sources.base_pinned) == (OLD, True)
    assert sources.artifacts["base"].metadata == {"model_id": "org/base", "revision": OLD}
    assert said(sources) == []


def test_without_a_revision_it_is_the_newest_and_not_called_pinned(
    make: Callable[..., Path], place: Place
) -> None:
    sources = open_source(str(make("")), None, place)
    assert place.asked == ["org/base"]
    assert (sources.base_revision, sources.base_pinned) == (NEW, False)


def test_commit_that_our_callback_saw_is_more_exact_than_a_branch(
    make: Callable[..., Path], place: Place
) -> None:
    lineage = {"base_model": "org/base", "base_revision": OLD}
    open_source(str(make("main", lineage=lineage)), None, place)
    open_source(str(make(NEW, "pinned", lineage=lineage)), None, place)
    open_source(str(make(None, "other", lineage={**lineage, "base_model": "org/x"})), None, place)
    assert place.asked == [f"org/base@{OLD}", f"org/base@{NEW}", "org/base"]


def test_same_name_with_base_keeps_the_revision(make: Callable[..., Path], place: Place) -> None:
    sources = open_source(str(make(OLD)), "Org/Base", place)
    assert place.asked == [f"Org/Base@{OLD}"]
    assert said(sources) == []


def test_revision_that_the_user_names_counts_and_the_difference_is_said(
    make: Callable[..., Path], place: Place
) -> None:
    folder = make(OLD)
    sources = open_source(str(folder), "org/base@main", place)
    assert sources.base_revision == NEW
    ((level, what),) = said(sources)
    assert level == "warning"
    assert f"was trained on org/base@{OLD}" in what and "merged into org/base@main" in what
    # A tag of the same commit is no difference.
    assert said(open_source(str(folder), "org/base@v1", place)) == []


def test_revision_of_one_model_says_nothing_of_another(
    make: Callable[..., Path], place: Place
) -> None:
    sources = open_source(str(make(OLD)), "org/other", place)
    assert place.asked == ["org/other"]
    ((level, what),) = said(sources)
    assert level == "note" and "says nothing of org/other" in what


def test_revision_that_does_not_exist_is_refused_by_name(
    make: Callable[..., Path], place: Place
) -> None:
    folder = make("v9")
    error = open_source(str(folder), None, place).missing["base"]
    assert "org/base@v9" in error.what
    assert f"revision in {folder / 'adapter_config.json'}" in str(error.owner)
    assert "--base org/base@REVISION" in str(error.next)


def test_revision_that_is_no_text_is_refused(make: Callable[..., Path], place: Place) -> None:
    with pytest.raises(SourceError, match="revision is 3"):
        open_source(str(make(3)), None, place)


def test_plugin_that_brings_another_commit_is_not_believed(
    make: Callable[..., Path], place: Place
) -> None:
    def newest(reference: str, purpose: str) -> FetchedSource | None:
        return place(reference.partition("@")[0], purpose)

    error = open_source(str(make(OLD)), None, newest).missing["base"]
    assert error.what == f"org/base@{OLD} was asked for, and {NEW} came"


def test_adapters_that_name_different_revisions_are_not_merged_into_one(
    make: Callable[..., Path], place: Place
) -> None:
    first, second = make(OLD, "one"), make("main", "two")
    sources = open_source(str(first), None, place, [str(second)])
    error = sources.missing["base"]
    assert "different revisions of org/base" in error.what
    assert str(first) in error.what and str(second) in error.what
    assert place.asked == []
    named = open_source(str(first), "org/base@main", place, [str(second)])
    assert named.base_revision == NEW
    assert [level for level, _ in said(named)] == ["warning"]


def test_one_of_several_adapters_names_the_revision_for_all(
    make: Callable[..., Path], place: Place
) -> None:
    sources = open_source(str(make(None, "one")), None, place, [str(make(OLD, "two"))])
    assert (sources.kind, sources.base_revision) == ("adapter-stack", OLD)


def test_adapters_of_different_bases_are_said(make: Callable[..., Path], place: Place) -> None:
    second = make(None, "two", base="org/cousin")
    sources = open_source(str(make(None, "one")), None, place, [str(second)])
    ((level, what),) = said(sources)
    assert level == "warning" and "was trained on org/cousin" in what


def test_base_as_the_source_is_the_one_that_the_adapter_was_trained_on(
    make: Callable[..., Path], place: Place
) -> None:
    folder = make(OLD)
    sources = open_source("org/base", None, place, [str(folder)])
    assert place.asked == [f"org/base@{OLD}"]
    assert (sources.kind, sources.base_revision) == ("adapter", OLD)
    explicit = open_source("org/base@main", None, place, [f"{folder}=0.5"])
    assert explicit.base_revision == NEW
    assert [level for level, _ in said(explicit)] == ["warning"]


@pytest.fixture
def here(tmp_path: Path) -> Path:
    folder = tmp_path / "base"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    return folder


def test_folder_of_an_unknown_revision_is_taken_and_that_is_said(
    make: Callable[..., Path], place: Place, here: Path
) -> None:
    sources = open_source(str(make(OLD)), str(here), place)
    assert (sources.base_revision, sources.base_pinned) == (None, False)
    ((level, what),) = said(sources)
    assert level == "note" and OLD in what and str(here) in what
    assert sources.findings[0].next == f"--base org/base@{OLD} takes that one"
    # Everybody gets main who asks for nothing: it pins nothing.
    assert said(open_source(str(make("main", "two")), str(here), place)) == []


def copy_of(commit: str, model_id: str = "") -> Callable[[Path], FetchedSource]:
    return lambda folder: FetchedSource(path=folder, model_id=model_id, revision=commit)


def test_folder_that_is_a_copy_of_the_commit(
    make: Callable[..., Path], place: Place, here: Path
) -> None:
    sources = open_source(str(make(OLD)), str(here), place, identify=copy_of(OLD))
    assert (sources.base_revision, sources.base_pinned) == (OLD, True)
    assert said(sources) == []


def test_folder_that_is_a_copy_of_another_commit(
    make: Callable[..., Path], place: Place, here: Path
) -> None:
    adapter = make(OLD, base=str(here))
    refused = open_source(str(adapter), None, place, identify=copy_of(NEW)).missing["base"]
    assert OLD in refused.what and f"{here} is a copy of {NEW}" in refused.what
    # Who names the folder is told, and gets it.
    taken = open_source(str(adapter), str(here), place, identify=copy_of(NEW))
    assert taken.base_revision == NEW
    assert [level for level, _ in said(taken)] == ["warning"]


def test_folder_that_is_a_copy_of_another_model_has_other_commits(
    make: Callable[..., Path], place: Place, here: Path
) -> None:
    identify = copy_of(NEW, "org/base-16bit")
    assert said(open_source(str(make(OLD)), str(here), place, identify=identify)) == []


def test_base_of_a_full_model_is_not_used_and_that_is_said(here: Path, place: Place) -> None:
    (here / "model.safetensors").write_text("")
    ((level, what),) = said(open_source(str(here), "org/base", place))
    assert level == "warning" and "--base org/base is not used" in what
    assert place.asked == []


@pytest.mark.parametrize(
    ("named", "said", "public"),
    [
        ("org/base", None, "org/base"),
        ("org/base", "me/base@v1", "me/base"),
        # What a plugin fetches under a scheme of its own is on no Hub.
        ("org/base", "oci:r.io/me/base:v1", "org/base"),
        (None, "oci:r.io/me/base:v1", None),
    ],
)
def test_name_that_is_published(named: str | None, said: str | None, public: str | None) -> None:
    assert public_name(named, said) == public


def test_model_of_another_place_is_no_name_on_the_hub(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"")
    for model_id, public in (("me/m", True), ("oci:r.io/me/m", False)):
        fetched = FetchedSource(path=tmp_path, model_id=model_id, revision="c")
        sources = read(ReaderContext(reference=model_id, fetch=lambda *_, it=fetched: it))
        assert (sources.base_model, sources.base_is_hub_id) == (model_id, public)
