"""Which modules are quantised, and how: mlx-lm's rules, the architecture's, and the user's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from uploader_core.plugin import Json, UsageError
from uploader_mlx.architecture.described import Quantisable, Sanitised
from uploader_mlx.kinds import (
    SIXTEEN,
    Quantisation,
    default,
    overridden,
    plain,
    recipe,
)
from uploader_mlx.settings import QuantSettings, Settings

OPTION = "--mlx-overrides"


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """What is quantised.

    Attributes:
        modules: How, by path, in mlx-lm's order; none of a model in 16 bits.
        config: ``quantization`` of ``config.json``; None for 16 bits.
        kept: Modules that could be quantised and are not.
        odd: Modules whose columns are no whole groups, with their shapes.
    """

    modules: Mapping[str, Quantisation] = field(repr=False)
    config: Mapping[str, Json] | None = field(repr=False)
    kept: tuple[str, ...]
    odd: Mapping[str, tuple[int, ...]]


def select(model: Sanitised, kind: str, settings: Settings) -> Selection:
    """Choose modules.

    mlx-lm leaves those out whose columns are no whole groups, and says nothing; they are in
    ``odd`` here.

    Args:
        model: As mlx-lm has it.
        kind: ``16bit``, or how it is quantised.
        settings: The user's.

    Raises:
        UsageError: An override cannot be read or matches nothing, or a recipe does not fit.
    """
    if kind == SIXTEEN or not isinstance(settings, QuantSettings):
        return Selection(modules={}, config=None, kept=(), odd={})
    rules = _Rules(model, kind, settings)
    modules: dict[str, Quantisation] = {}
    config: dict[str, Json] = {**rules.default.config()}
    kept, odd = [], {}
    for module in model.quantisable:
        how, said = rules.of(module)
        if how is None:
            kept.append(module.path)
        elif not how.fits(module.shape[-1]):
            odd[module.path] = module.shape
        else:
            modules[module.path] = how
            if said is not None:
                config[module.path] = said
    rules.refuse_unused()
    return Selection(modules=modules, config=config, kept=tuple(kept), odd=odd)


class _Rules:
    """What applies to which module, in this order: the user's, the recipe's, the architecture's."""

    def __init__(self, model: Sanitised, kind: str, settings: QuantSettings) -> None:
        self._group = settings.group_size
        self.default = default(kind, self._group)
        paths = tuple(module.path for module in model.quantisable)
        self._overrides = []
        for text in settings.overrides:
            try:
                self._overrides.append((text, *overridden(text)))
            except ValueError as error:
                raise _wrong(text, str(error)) from error
        try:
            self._recipe = recipe(kind, self._group, model.layers, paths)
        except ValueError as error:
            raise UsageError(
                f"{kind} does not fit this model: {error}",
                owner="option --mlx-quants",
                next="--mlx-quants 4bit",
            ) from error
        self._used: set[str] = set()

    def of(self, module: Quantisable) -> tuple[Quantisation | None, dict[str, Json] | None]:
        """Return how a module is quantised, and what the configuration says of it by name."""
        for text, pattern, kind in self._overrides:
            if pattern.match(module.path):
                self._used.add(text)
                how = plain(kind, self._group)
                return how, None if how is None else how.config()
        if self._recipe is not None:
            how = self._recipe.of(module.path)
            return how, how.config()
        if isinstance(module.asked, Mapping):
            return Quantisation.of(module.asked), dict(module.asked)
        return (self.default if module.asked else None), None

    def refuse_unused(self) -> None:
        """Refuse an override that matched nothing."""
        for text, *_ in self._overrides:
            if text not in self._used:
                raise _wrong(text, "matches the beginning of no module that may be quantised")


def _wrong(text: str, why: str) -> UsageError:
    return UsageError(
        f"{OPTION} {text!r} {why}",
        owner=f"option {OPTION}",
        next="such as lm_head=8bit, .*down_proj=6bit or .*embed_tokens=16bit",
    )
