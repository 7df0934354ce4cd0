"""What holds for every plugin: its metadata, its import, its specs and its settings."""

from __future__ import annotations

import ast
import enum
import importlib.util
import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from uploader_core.cli.commands import GROUP as COMMANDS
from uploader_core.cli.plugin_file import advertised
from uploader_core.contract.settings import Setting, fields_of, from_json, to_json
from uploader_core.contract.specs import (
    SUPPORTED_API,
    ExecutorSpec,
    Spec,
    UploadSpec,
)
from uploader_core.doctor.inspection import Inspection, inspect
from uploader_core.plugins.entry_points import (
    ARTIFACTS,
    DOCUMENTS,
    EXECUTORS,
    MEASURES,
    READERS,
    SCHEMES,
    SOURCES,
)
from uploader_core.plugins.registry import Plugin, Registry
from uploader_core.size import Size
from uploader_core.user_config.files import load
from uploader_kit.trial import PLACE

HEAVY = frozenset(
    {
        *("torch", "tensorflow", "jax", "numpy", "scipy", "pandas", "transformers", "peft"),
        *("unsloth", "huggingface_hub", "gguf", "onnx", "onnxruntime", "boto3", "bitsandbytes"),
    }
)
"""Libraries that a plugin module must not import: every listing and every plan would pay for it."""


class ConformanceError(AssertionError):
    """A plugin breaks the contract; the message says which line of it, and what to do."""


def expect(condition: object, sentence: str) -> None:
    """Raise :class:`ConformanceError` with the sentence unless the condition holds."""
    if not condition:
        raise ConformanceError(sentence)


class PluginConformance:
    """Checks of a plugin as a whole; the classes for single steps inherit them.

    A class without a ``plugin`` is a base for others: pytest does not run it.

    Attributes:
        plugin: Plugin id.
        modules_at_import: How many modules the plugin module may bring in.
        heavy: Libraries that must not be imported with it.
    """

    plugin: ClassVar[str] = ""
    modules_at_import: ClassVar[int] = 150
    heavy: ClassVar[frozenset[str]] = HEAVY

    __test__: ClassVar[int] = 0
    _folder: ClassVar[tempfile.TemporaryDirectory[str]]
    _loaded: ClassVar[Plugin | None] = None
    _inspected: ClassVar[Inspection | None] = None
    _registry: ClassVar[Registry | None] = None

    def __init_subclass__(cls) -> None:
        """Refuse a check that is overridden without a reason."""
        super().__init_subclass__()
        if "__test__" not in vars(cls):
            # A base of an author's own classes is no test. And of the rest only what its name says
            # is one: True itself would make pytest collect a class of any name.
            cls.__test__ = int(bool(cls.plugin))
        if cls.__module__.startswith("uploader_kit."):
            return
        inherited = {name for base in cls.__mro__[1:] for name in vars(base)}
        for name, member in vars(cls).items():
            if not name.startswith("test_") or name not in inherited:
                continue
            marks = getattr(member, "pytestmark", [])
            reasons = [m.kwargs.get("reason") for m in marks if m.name == "xfail"]
            if not any(reasons):
                raise TypeError(
                    f"{cls.__name__}.{name} replaces a check of the conformance kit; "
                    "mark it with pytest.mark.xfail(reason=...) or leave it as it is"
                )

    @classmethod
    def setup_class(cls) -> None:
        """Make the folder that the checks of this class share."""
        cls._folder = tempfile.TemporaryDirectory(prefix="uploader-", ignore_cleanup_errors=True)
        cls._loaded = cls._inspected = cls._registry = None

    @classmethod
    def teardown_class(cls) -> None:
        """Remove it."""
        cls._folder.cleanup()

    @classmethod
    def root(cls, name: str) -> Path:
        """Return a new folder, below one with spaces and letters beyond ASCII in its name."""
        folder = Path(cls._folder.name).resolve() / PLACE / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @classmethod
    def registry(cls) -> Registry:
        """Return the installed plugins."""
        if cls._registry is None:
            cls._registry = Registry()
        return cls._registry

    @classmethod
    def load(cls) -> Plugin:
        """Return the plugin, loaded as core does it."""
        if cls._loaded is None:
            cls._loaded = cls.registry().load(cls.plugin)
        return cls._loaded

    @classmethod
    def _inspection(cls) -> Inspection:
        if cls._inspected is None:
            claims = cls.registry().claims(cls.plugin)
            expect(claims, f"no installed distribution has the plugin id {cls.plugin!r}: install "
                   "yours (pip install -e .) and look at [project.entry-points]")  # fmt: skip
            cls._inspected = inspect(claims[0])
        if cls._inspected.error is not None:
            raise cls._inspected.error
        return cls._inspected

    # -- checks --------------------------------------------------------------------------------

    def test_entry_point_resolves(self) -> None:
        """One distribution claims the id, and its module can be imported."""
        claims = self.registry().claims(self.plugin)
        owners = " and ".join(sorted({claim.owner for claim in claims}))
        expect(len({c.distribution for c in claims}) < 2, f"{self.plugin} is claimed by {owners}")
        found = self._inspection()
        expect(found.api in SUPPORTED_API, f"uploader_api = {found.api} is not supported")
        expect(found.hooks, f"{claims[0].module} implements no hook: is @hookimpl missing?")

    def test_core_is_required_up_to_the_next_major(self) -> None:
        """The distribution asks for a range of uploader-core that ends at a major version."""
        import importlib_metadata
        from packaging.requirements import Requirement

        name = self.registry().claims(self.plugin)[0].distribution
        if name == "uploader-core":
            return
        needed = [Requirement(r) for r in importlib_metadata.requires(name) or ()]
        core = [r for r in needed if r.name == "uploader-core" and r.marker is None]
        expect(core, f"{name} does not depend on uploader-core")
        capped = [s for s in core[0].specifier if s.operator == "<" and s.version.count(".") == 0]
        expect(capped, f"{core[0]}: write a range up to the next major, uploader-core>=0.1,<1")

    def test_import_is_light(self) -> None:
        """The plugin module, its checks and its estimates import nothing heavy."""
        found = self._inspection()
        heavy = sorted({m.split(".")[0] for m in found.light} & self.heavy)
        expect(not heavy, f"{', '.join(heavy)} is imported with the plugin module, a check or an "
               "estimate: import it inside the function that `run` names")  # fmt: skip
        count = len(found.modules)
        expect(count <= self.modules_at_import, f"the plugin module brings in {count} modules, "
               f"more than {self.modules_at_import}: move imports into functions")  # fmt: skip

    def test_nothing_private_of_core_is_imported(self) -> None:
        """Of uploader-core, a plugin's sources import ``uploader_core.plugin`` and nothing else.

        A distribution that has commands imports ``uploader_core.api`` for them, as programs do.
        """
        claim = self.registry().claims(self.plugin)[0]
        if claim.distribution == "uploader-core":
            return
        package = importlib.util.find_spec(claim.module.split(".")[0])
        origin = None if package is None else package.origin
        expect(origin, f"the sources of {claim.module} were not found")
        path = Path(str(origin))
        files = sorted(path.parent.rglob("*.py")) if path.name == "__init__.py" else [path]
        public = {"plugin", *(("api",) if _has_commands(claim.distribution) else ())}
        private = [
            f"{file.name}:{line}: {name}"
            for file in files
            for line, name in _imports(ast.parse(file.read_text("utf-8")))
            if name.split(".")[0] == "uploader_core" and name.split(".")[1] not in public
        ]
        expect(not private, "these may change without notice: " + ", ".join(private))

    def test_specs_are_valid(self) -> None:
        """Core accepts every spec, and each says in one line what it is."""
        for spec in self.load().specs:
            one_line = "\n" not in spec.summary and len(spec.summary) <= 100
            expect(one_line, f"summary of {spec.name} must be one line of at most 100 characters")

    def test_advertised_names_match(self) -> None:
        """The entry-point groups name exactly what the specs offer."""
        offers: dict[str, set[str]] = {}
        for group, name in advertised(self.plugin, self.load().specs):
            offers.setdefault(group, set()).add(name)
        for group in (ARTIFACTS, SCHEMES, EXECUTORS, SOURCES, READERS, DOCUMENTS, MEASURES):
            offered = offers.get(group, set())
            said = set(self.registry().advertised(self.plugin, group))
            both = f"specs offer {sorted(offered)}, metadata says {sorted(said)}"
            expect(said == offered, f'[project.entry-points."{group}"]: {both}')

    def test_settings_have_help_and_survive_every_way_in(self) -> None:
        """Each setting reads the same from option, variable and file, and crosses to a worker."""
        from click import Context

        from uploader_core.cli.options import take_plugin_options
        from uploader_core.cli.run import plan as command

        arguments = ["SOURCE", "--plugins", self.plugin]
        if schemes := [s.scheme for s in self.load().of(UploadSpec)]:
            arguments += ["--to", f"{schemes[0]}:x"]
        for spec in self.load().of(ExecutorSpec)[:1]:
            arguments += ["--executor", spec.name]
        folder = self.root("settings")
        for cls, setting in self._settings():
            text, value = _sample(setting)
            flag = setting.option if setting.item is not bool else _flag(setting, value)
            given = [flag] if setting.item is bool else [flag, text]
            context: Context = command.make_context("plan", [*arguments, *given])
            shown = command.get_help(context)
            expect(setting.option in shown, f"--help does not show {setting.option}")
            options = take_plugin_options(dict(context.params))
            file = folder / "uploader.toml"
            file.write_text(f"[{self.plugin}]\n{setting.name} = {_toml(value)}\n", "utf-8")
            for way, config in (
                (setting.option, load(folder=self.root("empty"), environment={}, options=options)),
                (
                    setting.variable,
                    load(folder=self.root("empty"), environment={setting.variable: text}),
                ),
                (f"[{self.plugin}] {setting.name}", load(folder=folder, environment={})),
            ):
                read = config.settings(self.plugin, cls)
                got = getattr(read, setting.name)
                expect(got == value, f"{way} = {text} was read as {got!r}, not {value!r}")
                back: Any = from_json(self.plugin, cls, json.loads(json.dumps(to_json(read))))
                expect(back == read, f"{setting.name} = {got!r} does not survive JSON: {back!r}")

    # -- inside --------------------------------------------------------------------------------

    @classmethod
    def _specs(cls, *kinds: type[Any]) -> list[Any]:
        return [spec for spec in cls.load().specs if isinstance(spec, kinds)]

    @classmethod
    def _settings(cls) -> Iterator[tuple[type, Setting]]:
        classes: dict[type, None] = {
            s.settings: None for s in cls.load().specs if s.settings is not None
        }
        for settings in classes:
            for field in fields_of(cls.plugin, settings):
                yield settings, field


class StepConformance(PluginConformance):
    """What the checks of single steps share.

    Attributes:
        spec: Name of the spec; needed when the plugin has several of the kind.
        settings: Settings of the step by field name, as text or values.
    """

    spec: ClassVar[str] = ""
    settings: ClassVar[Mapping[str, object]] = {}
    spec_type: ClassVar[type[Spec]]

    @classmethod
    def the_spec(cls) -> Any:
        """Return the spec that this class is about."""
        found = [s for s in cls._specs(cls.spec_type) if cls.spec in ("", s.name)]
        names = ", ".join(s.name for s in found)
        what = cls.spec_type.__name__
        expect(found, f"{cls.plugin} has no {what} {cls.spec}".rstrip())
        expect(len(found) == 1, f"{cls.plugin} has several {what}s: set `spec` to one of {names}")
        return found[0]


def _has_commands(distribution: str) -> bool:
    """Return whether a distribution has commands, which are programs."""
    import importlib_metadata

    points = importlib_metadata.distribution(distribution).entry_points
    return any(point.group == COMMANDS for point in points)


def _imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield (line, dotted name) of every absolute import, also inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def _sample(setting: Setting) -> tuple[str, Any]:
    """Return a value that is not the default, as text and as the field's type."""
    if setting.choices is not None:
        default = setting.default if setting.many else (setting.default,)
        text = next((c for c in setting.choices if c not in default), setting.choices[0])
    elif setting.item is bool:
        text = "false" if setting.default else "true"
    elif isinstance(setting.item, type) and issubclass(setting.item, enum.Enum):
        text = str(next(m.value for m in setting.item if m is not setting.default))
    elif setting.item in (int, float):
        start = setting.default if isinstance(setting.default, (int, float)) else 1
        text = str(setting.item(start + 1))
    elif setting.item is Size:
        text = "3MB" if setting.default != Size("3MB") else "4MB"
    else:
        text = "some words" if setting.item is str else "some folder"
    return text, setting.parse(text, "sample")


def _flag(setting: Setting, value: object) -> str:
    off = setting.option.replace(f"--{setting.plugin}-", f"--no-{setting.plugin}-")
    return setting.option if value else off


def _toml(value: object) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(v) for v in value) + "]"
    if isinstance(value, enum.Enum):
        return _toml(value.value)
    if isinstance(value, (bool, int, float)):
        return json.dumps(value)
    return json.dumps(str(value))
