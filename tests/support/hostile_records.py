"""Hostile cards, and hostile records of a training."""

from __future__ import annotations

from collections.abc import Callable

from hostile_json import DEEP, MANY_DIGITS
from hostile_place import ALL, Damage, Hostile, Place, cases


def _card(head: str | Callable[[Place], str]) -> Damage:
    def damage(place: Place) -> None:
        text = head(place) if callable(head) else head
        words = "# A model\n\nWritten by a person, about what it is for.\n"
        (place.adapter / "README.md").write_text(f"---\n{text}\n---\n{words}")

    return damage


_BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "\n".join(
    f"{name}: &{name} [{','.join(['*' + before] * 9)}]"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)

CARDS: dict[str, Damage] = {
    "aliases that multiply": _card(_BOMB),
    "an alias of itself": _card("tags: &a [*a]"),
    "a tag that runs": _card(lambda p: f"tags: !!python/object/apply:builtins.exec [{p.code!r}]"),
    "a tag that makes": _card("tags: !!python/object:os.system {}"),
    "a tag that is a name": _card("tags: !!python/name:os.system"),
    "a tag of a stranger": _card("tags: !own [1]"),
    "nested 100,000 deep": _card(f"tags: {DEEP}"),
    "nested 100,000 deep by lines": _card("\n".join(" " * n + "a:" for n in range(1000))),
    "a key that is a list": _card("? [a, b]\n: c"),
    "a merge of itself": _card("a: &a\n  <<: *a"),
    "a number of 4,000 digits": _card(f"license: {MANY_DIGITS}"),
    "a number in base 60": _card("license: " + "9:" * 5000 + "9"),
    "a date that is none": _card("license: 9999-99-99"),
    "a licence that is a table": _card("license: {a: b}\ntags: 7\nlanguage: {x: y}"),
    "control characters": _card("license: \x00\x01"),
    "no end": lambda place: (place.adapter / "README.md").write_text("---\n" + "a: b\n" * 100_000),
    "script": _card(lambda p: "license: '<script>alert(1)</script>'\ntags: ['{{ 7*7 }}']"),
    "not UTF-8": lambda place: (place.adapter / "README.md").write_bytes(b"---\na: \xff\n---\n"),
}


def _state(content: str) -> Damage:
    return lambda place: (place.adapter / "trainer_state.json").write_text(content)


def _lineage(content: str) -> Damage:
    return lambda place: (place.adapter / "training_lineage.json").write_text(content)


RECORDS: dict[str, Damage] = {
    "trainer_state nested 100,000 deep": _state(DEEP),
    "trainer_state of a stranger": _state('{"log_history": {"a": 1}, "global_step": "x"}'),
    "trainer_state with numbers of 4,000 digits": _state(
        f'{{"log_history": [{{"loss": {MANY_DIGITS}, "step": 1}}], "global_step": {MANY_DIGITS}}}'
    ),
    "trainer_state with NaN": _state('{"log_history": [{"loss": NaN, "step": NaN}], "epoch": NaN}'),
    "trainer_state of a million steps": _state(
        '{"log_history": [' + ",".join(['{"loss":1,"step":1}'] * 1_000_000) + "]}"
    ),
    "a lineage nested 100,000 deep": _lineage(DEEP),
    "a lineage that is a list": _lineage("[1]"),
    "a lineage of a stranger": _lineage('{"method": {"a": [1]}, "base_model": 7, "datasets": 7}'),
    "a lineage with numbers of 4,000 digits": _lineage(f'{{"num_train_epochs": {MANY_DIGITS}}}'),
    "a lineage that is not UTF-8": lambda place: (
        place.adapter / "training_lineage.json"
    ).write_bytes(b'{"a": "\xff"}'),
}

HOSTILE_RECORDS: list[Hostile] = [
    *cases("card", CARDS, harmless=ALL),
    *cases("record", RECORDS, harmless=ALL),
]
