"""Nothing public is missing from the documentation."""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import inspect
import re
import shlex
from pathlib import Path

import click
import pytest

from uploader_core import errors, plugin
from uploader_core.builtin.local_source.plugin import SOURCE_KINDS
from uploader_core.cli import cli
from uploader_core.contract import context, hookspecs, sources, specs
from uploader_core.contract.settings import fields_of
from uploader_core.plugins.entry_points import ARTIFACTS
from uploader_core.plugins.registry import Registry

DOCS = Path(__file__).parents[2] / "docs"
REFERENCE = DOCS / "reference"
FIRST_PARTY = (
    "dir", "lora", "merged", "gguf", "compressed", "mlx", "hf", "ollama", "oci", "fsspec",
    "max", "provenance",
)  # fmt: skip


def page(name: str) -> str:
    return (REFERENCE / name).read_text("utf-8")


def error_classes() -> list[type[errors.UploaderError]]:
    classes = [c for _, c in inspect.getmembers(errors, inspect.isclass)]
    return [c for c in classes if issubclass(c, errors.UploaderError)]


@pytest.mark.parametrize("hook", [n for n in vars(hookspecs) if n.startswith("uploader_")])
def test_hook(hook: str) -> None:
    assert f"`{hook}`" in page("hooks.md")
    assert inspect.getdoc(getattr(hookspecs, hook))


@pytest.mark.parametrize(
    "cls",
    [
        c
        for module in (specs, context, sources)
        for c in vars(module).values()
        if dataclasses.is_dataclass(c) and c.__module__ == module.__name__
    ],
    ids=lambda cls: cls.__name__,
)
def test_fields_of_specs_and_contexts(cls: type) -> None:
    described = "\n".join(inspect.getdoc(base) or "" for base in cls.__mro__[:-1])
    missing = [
        field.name
        for field in dataclasses.fields(cls)
        if not re.search(rf"^ *(\w+, )*{field.name}(, \w+)*: ", described, re.MULTILINE)
    ]
    assert not missing
    assert f"### `{cls.__name__}`" in page("specs.md") + page("contexts.md")


@pytest.mark.parametrize("name", sorted(plugin.__all__))
def test_public_name_has_a_page(name: str) -> None:
    pages = "\n".join(path.read_text("utf-8") for path in REFERENCE.glob("*.md"))
    thing = getattr(plugin, name)
    if getattr(thing, "__module__", "").startswith("uploader_core"):
        assert f"### `{name}`\n" in pages
    else:
        assert f"`{name}`" in pages or f"`@{name}`" in pages


@pytest.mark.parametrize("plugin_id", FIRST_PARTY)
def test_settings(plugin_id: str) -> None:
    specs = Registry().load(plugin_id).specs
    fields = [f for spec in specs if spec.settings for f in fields_of(plugin_id, spec.settings)]
    assert {f.option for f in fields if f"| `{f.option}` |" not in page("settings.md")} == set()


def test_variables_of_core() -> None:
    sources = Path(plugin.__file__).parent.rglob("*.py")
    used = {v for p in sources for v in re.findall(r'"(UPLOADER_[A-Z_]+)"', p.read_text("utf-8"))}
    missing = {
        v for v in used if not v.startswith("UPLOADER_TESTING") and v not in page("settings.md")
    }
    assert not missing


def test_kinds() -> None:
    registry = Registry()
    modules = {e.module for e in registry.entries if e.name in FIRST_PARTY}
    made = {e.name for e in registry.entries if e.group == ARTIFACTS and e.module in modules}
    assert len(made) >= 6
    for kind in {*made, *SOURCE_KINDS, "checkpoint"}:
        assert f"| `{kind}` |" in page("kinds.md")


@pytest.mark.parametrize("error", error_classes(), ids=lambda error: error.__name__)
def test_exit_code(error: type[errors.UploaderError]) -> None:
    rows = [
        line
        for line in page("exit-codes.md").splitlines()
        if line.startswith("| ") and f"`{error.__name__}`" in line
    ]
    assert [row.split("|")[1].strip() for row in rows] == [str(error.exit_code)]


def test_readme_names_every_exit_code() -> None:
    def codes(text: str) -> list[str]:
        return re.findall(r"^\| (\d+) \|", text.partition("| code |")[2], re.MULTILINE)

    readme = (DOCS.parent / "README.md").read_text("utf-8")
    assert codes(readme) == codes(page("exit-codes.md"))


@pytest.mark.parametrize("error", error_classes(), ids=lambda error: error.__name__)
def test_error_id_has_a_section(error: type[errors.UploaderError]) -> None:
    page = (DOCS / "troubleshooting.md").read_text("utf-8")
    assert page.count(f"\n## {error.error_id}\n") == 1
    assert f"[{error.error_id}](#{error.error_id.lower()})" in page or (
        f"[-{error.error_id.rsplit('-', 1)[-1]}](#{error.error_id.lower()})" in page
    )


def texts_of_errors() -> str:
    """Return every text of the sources, with … in place of what is filled in."""
    found = []
    for path in DOCS.parent.glob("packages/*/src/**/*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            parts = node.values if isinstance(node, ast.JoinedStr) else [node]
            texts = [
                str(part.value) if isinstance(part, ast.Constant) else "…"
                for part in parts
                if isinstance(part, ast.Constant | ast.FormattedValue)
            ]
            found.append("".join(texts))
    return "\n".join(found)


def test_messages_of_the_troubleshooting_page_are_those_of_the_sources() -> None:
    page = (DOCS / "troubleshooting.md").read_text("utf-8")
    messages = re.findall(r"^\| `(.+?)` \| ", page, re.MULTILINE)
    texts = texts_of_errors()
    # What is filled in may be a text of its own, and the end another string.
    parts = {part for message in messages for part in message.split("…") if len(part) > 3}
    assert len(messages) > 50
    assert {part for part in parts if part not in texts} == set()


def documented_commands() -> list[tuple[str, str]]:
    """Return (page, arguments) of every command line of uploader that a page shows."""
    root = DOCS.parent
    pages = [root / "README.md", *DOCS.rglob("*.md"), *root.glob("packages/*/README.md")]
    found = set()
    for path in pages:
        text = path.read_text("utf-8")
        lines = re.findall(r"^(?: {4})?uploader (\w.+)$", text, re.MULTILINE)
        lines += re.findall(r"`!?uploader (\w[^`\n]+)`", text)
        found |= {(path.relative_to(root).as_posix(), line) for line in lines}
    return sorted(found)


@pytest.fixture
def folder_of_a_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where somebody is who wrote the plugin of one file that a page shows."""
    (tmp_path / "my_format.py").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("UPLOADER_DISABLE")


@pytest.mark.usefixtures("folder_of_a_reader")
@pytest.mark.parametrize(("where", "line"), documented_commands())
def test_command_of_a_page_can_be_typed(where: str, line: str) -> None:
    words = shlex.split(re.split(r" {2,}| > |, |;|\.\.\.", line)[0], comments=True)
    command: click.Command = cli
    with click.Context(cli) as context:
        while isinstance(command, click.Group) and words:
            name = words.pop(0)
            found = command.get_command(context, name)
            assert found is not None, f"{where}: there is no {name}"
            command = found
        if words:
            with contextlib.suppress(click.exceptions.Exit):  # of --help
                command.make_context(command.name, words, parent=context)


def test_pages_show_many_commands() -> None:
    assert len(documented_commands()) > 50


def test_links_of_the_readme_lead_somewhere() -> None:
    root = DOCS.parent
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", (root / "README.md").read_text("utf-8"))
    local = [link for link in links if "://" not in link]
    assert "docs/images/run.svg" in local
    assert [link for link in local if not (root / link).exists()] == []


def test_every_page_is_in_the_navigation() -> None:
    navigation = (DOCS.parent / "mkdocs.yml").read_text("utf-8")
    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    assert {name for name in pages if name not in navigation} == set()


def places() -> list[Path]:
    """Return the folders that a path on the page for newcomers may be relative to."""
    root = DOCS.parent
    return [root, Path(plugin.__file__).parent, *root.glob("packages/*/src")]


def defined_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text("utf-8"))
    kinds = ast.ClassDef | ast.FunctionDef
    names = {node.name for node in tree.body if isinstance(node, kinds)}
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{m.name}" for m in node.body if isinstance(m, kinds)}
    return names | {name.rpartition(".")[2] for name in names}


def test_names_of_the_page_for_newcomers_exist() -> None:
    wrong, seen, known = [], 0, set[str]()
    for part in re.split(r"\n\n|\n(?=\d+\.|\|)", (DOCS / "onboarding.md").read_text("utf-8")):
        spans = re.findall(r"`([^`\n]+)`", part)
        paths = [s for s in spans if re.fullmatch(r"[\w./-]+(\.py|\.md|/)", s)]
        names = [s for s in spans if re.fullmatch(r"[A-Za-z_.]+\(\)|[A-Z][a-z]\w+(\.\w+)?", s)]
        found = {p: [q / p for q in places() if (q / p).exists()] for p in paths}
        wrong += [p for p, there in found.items() if not there]
        files = [there[0] for there in found.values() if there and there[0].suffix == ".py"]
        known |= {name for file in files for name in defined_in(file)}
        wrong += [n for n in names if n.removesuffix("()") not in known]
        seen += len(paths) + len(names)
    assert wrong == []
    assert seen > 100


def test_page_for_newcomers_names_every_folder() -> None:
    page = (DOCS / "onboarding.md").read_text("utf-8")
    core = Path(plugin.__file__).parent
    shown = {
        folder.relative_to(root).as_posix() + "/"
        for root in places()
        for folder in (*core.iterdir(), *root.glob("uploader_[ghm]*/*/"))
        if (folder / "__init__.py").is_file() and folder.is_relative_to(root)
        if root != DOCS.parent and not (root != core and folder.is_relative_to(core))
    }
    assert {name for name in shown if f"`{name}`" not in page} == set()
    assert len(shown) > 25
