"""Rules for the sources that no linter knows."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from uploader_core.running.events import Event

ROOT = Path(__file__).parents[2]
SOURCES = sorted(ROOT.glob("packages/*/src/**/*.py"))
FIELDS = {"what", "owner", "safe", "next"}


@functools.cache
def trees() -> list[tuple[str, ast.Module]]:
    return [
        (path.relative_to(ROOT).as_posix(), ast.parse(path.read_text("utf-8"))) for path in SOURCES
    ]


def errors_of(tree: ast.Module) -> set[str]:
    """Return the names that errors have in a module: caught, annotated, or called so."""
    names = {node.name for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler)}
    for node in ast.walk(tree):
        if isinstance(node, ast.arg) and node.annotation is not None:
            if ast.unparse(node.annotation).endswith("Error"):
                names.add(node.arg)
        elif isinstance(node, ast.Name) and node.id.endswith("error"):
            names.add(node.id)
    return {name for name in names if name}


def assigned(tree: ast.Module) -> Iterator[ast.Attribute]:
    """Yield every attribute that is assigned to."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del):
            yield node


def changed_errors(tree: ast.Module) -> list[str]:
    errors = errors_of(tree)
    return [
        ast.unparse(target)
        for target in assigned(tree)
        if target.attr in FIELDS and ast.unparse(target.value) in errors
    ]


def test_no_error_is_changed_after_it_was_made() -> None:
    """Another thread or the log may have it already: ``error.replace(...)`` makes a new one."""
    found = {f"{name}: {line}" for name, tree in trees() for line in changed_errors(tree)}
    assert found == set()


@pytest.mark.parametrize(
    "line", ["error.what += 'x'", "error.owner = 'me'", "error.next, other = 1, 2"]
)
def test_changed_error_is_seen(line: str) -> None:
    tree = ast.parse(f"try:\n    pass\nexcept ValueError as error:\n    {line}")
    assert len(changed_errors(tree)) == 1


def emitted(tree: ast.Module) -> Iterator[str]:
    """Yield the types of events that a module emits."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("events.emit"):
            (first, *_) = node.args
            yield ast.literal_eval(first)


def test_types_of_events_are_those_that_are_emitted() -> None:
    assert {name for _, tree in trees() for name in emitted(tree)} == {
        *re.findall(r"``(\w+)``", Event.__doc__ or "")
    }


def test_no_assert_looks_at_the_type_of_data() -> None:
    """``python -O`` takes asserts out, and data from a disk or a pipe may be anything."""
    found = [
        f"{name}:{node.lineno}"
        for name, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Assert)
        and any(isinstance(call, ast.Call) for call in ast.walk(node.test))
        and "isinstance" in ast.unparse(node.test)
    ]
    assert found == []


def imported(tree: ast.Module, modules: set[str]) -> set[str]:
    """Return the modules of ours that a module imports anywhere, in functions too."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            # ``from package import module`` needs the module; else the package itself.
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= names & modules
            if names - modules:
                found.add(node.module)
    return found & modules


def circles(graph: dict[str, set[str]]) -> list[set[str]]:
    """Return the sets of modules that import each other, directly or through others."""
    reached = {name: set(targets) for name, targets in graph.items()}
    changed = True
    while changed:
        changed = False
        for targets in reached.values():
            more = set().union(*(reached[target] for target in targets))
            if not more <= targets:
                targets |= more
                changed = True
    together = {
        name: {other for other in targets if name in reached[other]}
        for name, targets in reached.items()
    }
    return [group for name, group in together.items() if group and name == min(group)]


def import_graph() -> dict[str, set[str]]:
    named = {
        ".".join(Path(path).with_suffix("").parts[3:]).removesuffix(".__init__"): tree
        for path, tree in trees()
    }
    modules = set(named)
    return {name: imported(tree, modules) - {name} for name, tree in named.items()}


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = import_graph()
    assert len(graph) > 200
    assert sum(map(len, graph.values())) > 500
    assert circles(graph) == []


def test_circle_is_seen() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}
    assert circles(graph) == [{"b", "c"}]


def private_imports(tree: ast.Module) -> list[str]:
    """Return the private names that a module takes from modules of ours."""
    return [
        f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("uploader_")
        for alias in node.names
        if alias.name.startswith("_") and not alias.name.startswith("__")
    ]


def test_no_private_name_leaves_its_module() -> None:
    assert [f"{name}: {line}" for name, tree in trees() for line in private_imports(tree)] == []


def test_private_import_is_seen() -> None:
    tree = ast.parse("from uploader_core.planning.plan import Plan, _step")
    assert private_imports(tree) == ["uploader_core.planning.plan._step"]


LOADERS = ("from_pretrained", "from_config")
NOT_TRANSFORMERS = ("PeftModel", "GenerationConfig", "FastLanguageModel")
PARSED = "packages/uploader-gguf/src/uploader_gguf/chat_template/ollama_families.py"
OURS = ("packages/uploader-demo/", "packages/uploader-kit/")
"""Work on models that they made themselves."""


def calls(tree: ast.Module) -> Iterator[tuple[str, ast.Call]]:
    """Yield every call with what is called, as it is written."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def keyword(call: ast.Call, name: str) -> str | None:
    found = [ast.unparse(word.value) for word in call.keywords if word.arg == name]
    return found[0] if found else None


def loads_without_saying_so(tree: ast.Module) -> list[str]:
    """Return the calls that load a model and do not refuse its own code.

    transformers asks on a terminal where nothing is said, and an answer that was typed for another
    question runs the code.
    """
    return [
        f"{name} in line {call.lineno}"
        for name, call in calls(tree)
        if name.rsplit(".", 1)[-1] in LOADERS
        and not any(part in name for part in NOT_TRANSFORMERS)
        and keyword(call, "trust_remote_code") != "False"
    ]


def test_code_of_a_model_is_refused_by_every_call_that_loads_one() -> None:
    loading = {path: loads_without_saying_so(t) for path, t in trees() if not path.startswith(OURS)}
    assert {path: found for path, found in loading.items() if found} == {}


def test_nobody_trusts_code_of_a_model() -> None:
    trusting = [
        path
        for path, tree in trees()
        for _, call in calls(tree)
        if keyword(call, "trust_remote_code") not in (None, "False")
    ]
    assert trusting == []


@pytest.mark.parametrize(
    "line", ["AutoModel.from_pretrained(x)", "AutoConfig.from_pretrained(x, revision=y)"]
)
def test_call_that_says_nothing_is_seen(line: str) -> None:
    assert loads_without_saying_so(ast.parse(line))


def test_templates_are_rendered_in_the_sandbox_alone() -> None:
    outside = {"Template", "Environment", "NativeEnvironment", "NativeTemplate"}
    made = [
        f"{path}: {name}"
        for path, tree in trees()
        for name, _ in calls(tree)
        if name.rsplit(".", 1)[-1] in outside and "jinja2" in ast.unparse(tree)
    ]
    # Reads a template of ours, as a tree, and renders nothing.
    assert made == [f"{PARSED}: Environment"]


def test_nothing_is_unpickled() -> None:
    opening = {"pickle.load", "pickle.loads", "torch.load", "joblib.load", "dill.load"}
    found = [
        f"{path}: {name}" for path, tree in trees() for name, _ in calls(tree) if name in opening
    ]
    assert found == []
