"""Hostile configurations, tokenizers, cards and records: JSON, YAML, TOML and protobuf."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hostile_place import ALL, Damage, Hostile, Place, cases, edit, nested, raw

Where = Callable[[Place], Path]
DEEP = nested(100_000)
MANY_DIGITS = "9" * 4000


def _adapter(place: Place) -> Path:
    return place.adapter / "adapter_config.json"


def _config(place: Place) -> Path:
    return place.base / "config.json"


def _generation(place: Place) -> Path:
    return place.base / "generation_config.json"


def _tokenizer(place: Place) -> Path:
    return place.adapter / "tokenizer.json"


def _tokenizer_config(place: Place) -> Path:
    return place.adapter / "tokenizer_config.json"


def _put(where: Where, **changes: Any) -> Damage:
    return lambda place: edit(where(place), **changes)


def _raw(where: Where, key: str, value: str) -> Damage:
    return lambda place: raw(where(place), key, value)


def _write(where: Where, content: str | bytes | Callable[[Place], str]) -> Damage:
    def damage(place: Place) -> None:
        text = content(place) if callable(content) else content
        where(place).write_bytes(text if isinstance(text, bytes) else text.encode())

    return damage


def _is_no_json(where: Where) -> dict[str, Damage]:
    """Return what any file of JSON can be."""
    return {
        "nested 100,000 deep": _write(where, DEEP),
        "objects nested 100,000 deep": _write(where, '{"a":' * 100_000 + "1" + "}" * 100_000),
        "a number of 5,000 digits alone": _write(where, "9" * 5000),
        "a list": _write(where, "[]"),
        "null": _write(where, "null"),
        "empty": _write(where, ""),
        "not UTF-8": _write(where, b'{"a": "\xff\xfe"}'),
        "UTF-16": _write(where, "{}".encode("utf-16")),
        "zero bytes": _write(where, bytes(4096)),
        "500 MB that take no room": lambda place: _grow(where(place), 500 << 20),
    }


def _grow(path: Path, size: int) -> None:
    with path.open("r+b" if path.is_file() else "wb") as file:
        file.truncate(size)


ADAPTER_CONFIGS: dict[str, Damage] = {
    **_is_no_json(_adapter),
    "a rank of 4,000 digits": _raw(_adapter, "r", MANY_DIGITS),
    "a rank of 2^62": _put(_adapter, r=1 << 62),
    "a rank of NaN": _raw(_adapter, "r", "NaN"),
    "an alpha of infinity": _raw(_adapter, "lora_alpha", "1e999"),
    "an alpha of 4,000 digits": _raw(_adapter, "lora_alpha", MANY_DIGITS),
    "a pattern that takes for ever": _put(
        _adapter, rank_pattern={"(a+)+$" * 3: 8, "(.*a){25}$": 8}, alpha_pattern={"(x+x+)+y": 8}
    ),
    "targets that take for ever": _put(_adapter, target_modules="(.*.*.*)*.*.*q_projX"),
    "100,000 targets": _put(_adapter, target_modules=[f"m{n}" for n in range(100_000)]),
    "targets that are numbers": _put(_adapter, target_modules=[1, {"a": 2}]),
    "layers of 2^62": _put(_adapter, layers_to_transform=[1 << 62]),
    "a base that is a list": _put(_adapter, base_model_name_or_path=["x"]),
    "a base that is a device": _put(_adapter, base_model_name_or_path="/dev/zero"),
    "a base with a zero byte": _put(_adapter, base_model_name_or_path="a\0b"),
    "a base of a megabyte": _put(_adapter, base_model_name_or_path="x/" * (1 << 19)),
    "a base that is an option": _put(_adapter, base_model_name_or_path="--upload-pack=touch x"),
    "a base that clears the screen": _put(_adapter, base_model_name_or_path="\x1b[2Jx\u202ey"),
    "a revision that leads outside": _put(
        _adapter, base_model_name_or_path="a/b", revision="../../../x"
    ),
    "a revision that is a table": _put(_adapter, revision={"a": 1}),
    "a library to be imported": _put(
        _adapter, auto_mapping={"base_model_class": "Evil", "parent_library": "antigravity.x"}
    ),
    "weights to be initialised from a file": _put(
        _adapter, init_lora_weights="../../outside/secret.txt"
    ),
    "types to be imported": _put(_adapter, task_type="os.system", peft_type="os.system"),
}


def _with_code(**changes: Any) -> Damage:
    """A configuration that names code beside it."""

    def damage(place: Place) -> None:
        for folder in (place.base, place.adapter):
            for module in ("modeling_own", "configuration_own", "tokenization_own", "__init__"):
                code = f"{place.code}\nclass Own: pass\n"
                (folder / f"{module}.py").write_text(code)
        edit(_config(place), **changes)

    return damage


_MAP = {
    "AutoConfig": "configuration_own.Own",
    "AutoModelForCausalLM": "modeling_own.Own",
    "AutoTokenizer": ["tokenization_own.Own", None],
}
CONFIGS: dict[str, Damage] = {
    **_is_no_json(_config),
    "code for a known type": _with_code(auto_map=_MAP),
    "code for an unknown type": _with_code(auto_map=_MAP, model_type="own", architectures=["Own"]),
    "code of another repository": _with_code(
        auto_map={"AutoModelForCausalLM": "me/other--modeling_own.Own"}, model_type="own"
    ),
    "code that leads outside": _with_code(
        auto_map={"AutoConfig": "../../../outside.Own"}, model_type="own"
    ),
    "a map of code that is a list": _with_code(auto_map=["modeling_own.Own"], model_type="own"),
    "code in a part": _with_code(text_config={"auto_map": _MAP, "model_type": "own"}),
    "code that it says is trusted": _with_code(
        auto_map=_MAP, trust_remote_code=True, model_type="own"
    ),
    "kernels of a stranger": _put(_config, _attn_implementation_internal="me/evil-kernel"),
    "attention of a stranger": _put(_config, _attn_implementation="me/evil-kernel"),
    "attention of a stranger, by its new name": _put(_config, attn_implementation="me/evil-kernel"),
    "experts of a stranger": _put(_config, _experts_implementation_internal="me/evil-kernel"),
    "a quantiser of a stranger": _put(
        _config, quantization_config={"quant_method": "own", "modules_to_import": "os"}
    ),
    "pipelines of a stranger": _with_code(
        custom_pipelines={"own": {"impl": "modeling_own.Own", "pt": ["AutoModel"]}}
    ),
    "a type that is a module": _put(_config, model_type="../../os", architectures=["os.system"]),
    "a type that is a number": _put(_config, model_type=7),
    "architectures that are a table": _put(_config, architectures={"a": 1}),
    "architectures of private names": _put(_config, architectures=["__import__", "__class__"]),
    "10^15 layers": _put(_config, num_hidden_layers=10**15),
    "10^9 layers": _put(_config, num_hidden_layers=10**9),
    "layers of 4,000 digits": _raw(_config, "num_hidden_layers", MANY_DIGITS),
    "layers of NaN": _raw(_config, "num_hidden_layers", "NaN"),
    "layers below zero": _put(_config, num_hidden_layers=-1),
    "a vocabulary of 2^60": _put(_config, vocab_size=1 << 60),
    "a hidden size that is a text": _put(_config, hidden_size="256; import os"),
    "a hidden size of 10^12": _put(_config, hidden_size=10**12),
    "heads of zero": _put(_config, num_attention_heads=0),
    "a dtype to be imported": _put(_config, torch_dtype="os.system", dtype="os.system"),
    "an activation to be evaluated": _put(_config, hidden_act="__import__('os')"),
    "labels of a million": _put(_config, id2label={str(n): "x" for n in range(1_000_000)}),
    "a rope without end": _put(_config, rope_scaling={"rope_type": "linear", "factor": 10**400}),
    "a rope of a stranger": _put(_config, rope_scaling={"rope_type": "os.system", "factor": []}),
}

GENERATION: dict[str, Damage] = {
    **_is_no_json(_generation),
    "a custom loop": _put(_generation, custom_generate="me/evil", trust_remote_code=True),
    "a compiler": _put(_generation, compile_config={"backend": "os.system"}, cache_config=[1]),
    "tokens of 4,000 digits": _raw(_generation, "eos_token_id", MANY_DIGITS),
    "tokens that are a table": _put(_generation, eos_token_id={"a": 1}, bos_token_id=[[[]]]),
    "a million end tokens": _put(_generation, eos_token_id=[*range(1_000_000)]),
    "a watermark to be imported": _put(_generation, watermarking_config={"class": "os.system"}),
}


def is_sentencepiece(content: bytes) -> Damage:
    """A model of SentencePiece in place of the tokenizer."""

    def damage(place: Place) -> None:
        _tokenizer(place).unlink()
        (place.adapter / "tokenizer.model").write_bytes(content)
        edit(_tokenizer_config(place), tokenizer_class="LlamaTokenizer")

    return damage


def _piece(length: bytes, content: bytes = b"") -> bytes:
    return b"\x0a" + length + content


TOKENIZERS: dict[str, Damage] = {
    **{
        what: damage
        for what, damage in _is_no_json(_tokenizer).items()
        if what not in ("a number of 5,000 digits alone",)
    },
    "settings nested 100,000 deep": _write(_tokenizer_config, DEEP),
    "settings that are a list": _write(_tokenizer_config, "[]"),
    "a class of a stranger": lambda place: (
        (place.adapter / "tokenization_own.py").write_text(place.code),
        edit(
            _tokenizer_config(place),
            auto_map={"AutoTokenizer": ["tokenization_own.Own", None]},
            tokenizer_class="Own",
        ),
    ),
    "a class to be imported": _put(_tokenizer_config, tokenizer_class="os.system"),
    "a class that is a number": _put(_tokenizer_config, tokenizer_class=7),
    "added tokens that are a list": _put(_tokenizer_config, added_tokens_decoder=[1, 2]),
    "an added token of 2^62": _put(
        _tokenizer_config, added_tokens_decoder={str(1 << 62): {"content": "x"}}
    ),
    "tokens that are numbers": _put(_tokenizer_config, bos_token=7, eos_token=[1]),
    "a table of merges of a stranger": lambda place: edit(
        _tokenizer(place), model={"type": "Own", "vocab": [1], "merges": {"a": 1}}
    ),
    "a model that is a list": lambda place: edit(_tokenizer(place), model=[1]),
    "a vocabulary of lists": lambda place: edit(
        _tokenizer(place), model={"type": "Unigram", "vocab": [[["a"], 0.0]]}
    ),
    "a vocabulary of texts": lambda place: edit(
        _tokenizer(place), model={"type": "BPE", "vocab": {"a": "b"}, "merges": []}
    ),
    "merges that are numbers": lambda place: edit(
        _tokenizer(place), model={"type": "BPE", "vocab": {"a": 0}, "merges": [[1, 2]]}
    ),
    "added tokens that are numbers": lambda place: edit(_tokenizer(place), added_tokens=[1]),
    "a normaliser that is a list": lambda place: edit(_tokenizer(place), normalizer=[[]]),
    "added tokens with numbers that are none": _put(
        _tokenizer_config, added_tokens_decoder={"x": {"content": "y"}}
    ),
    "a vocabulary with numbers beyond it": lambda place: edit(
        _tokenizer(place), model={"type": "BPE", "vocab": {"a": 1 << 40}, "merges": []}
    ),
    "an expression that takes for ever": lambda place: edit(
        _tokenizer(place),
        pre_tokenizer={
            "type": "Split",
            "pattern": {"Regex": "(a+)+$|" * 50 + "(.*a){25}"},
            "behavior": "Isolated",
            "invert": False,
        },
    ),
    "a protobuf with a piece beyond it": is_sentencepiece(_piece(b"\xff\xff\xff\xff\x0f")),
    "a protobuf with a number that never ends": is_sentencepiece(b"\x0a" + b"\xff" * 4096),
    "a protobuf of groups": is_sentencepiece(b"\x0b" * 100_000),
    "a protobuf of a field that is none": is_sentencepiece(b"\x07\x00"),
    "a protobuf of a million empty pieces": is_sentencepiece(_piece(b"\x00") * 1_000_000),
    "a protobuf that is a pickle": is_sentencepiece(b"\x80\x04\x95" + bytes(64)),
    "a protobuf that is empty": is_sentencepiece(b""),
}


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


def _settings(content: str | Callable[[Place], str]) -> Damage:
    def damage(place: Place) -> list[object]:
        path = place.root / "uploader.toml"
        path.write_text(content(place) if callable(content) else content)
        return place.run("--config", path)

    return damage


def _runs(content: str) -> Damage:
    def damage(place: Place) -> list[object]:
        place.output.mkdir()
        path = place.output / "RUNS.toml"
        path.write_text(content)
        return ["batch", path, "--yes"]

    return damage


def _plugin(source: Callable[[Place], str]) -> Damage:
    def damage(place: Place) -> list[object]:
        path = place.root / "own.py"
        path.write_text(source(place))
        return place.run("--plugin-file", path)

    return damage


TOML: dict[str, Damage] = {
    "uploader.toml nested 100,000 deep": _settings(f"a = {DEEP}"),
    "uploader.toml with tables nested 10,000 deep": _settings("[" + ".".join("a" * 10_000) + "]"),
    "uploader.toml that is none": _settings("]["),
    "uploader.toml with numbers of 4,000 digits": _settings(
        f"[merged]\nshard-size = {MANY_DIGITS}"
    ),
    "uploader.toml with tables that are numbers": _settings("merged = 7\nplugins = [1]\ntargets=1"),
    "uploader.toml that names code": _settings(
        lambda place: f"[plugins]\nindex = ['file://{place.outside}']\nallow = [[['x']]]\n"
    ),
    "RUNS.toml nested 100,000 deep": _runs(f"a = {DEEP}"),
    "RUNS.toml that is none": _runs("]["),
    "RUNS.toml with runs that are numbers": _runs("run = 7"),
    "RUNS.toml with runs of a stranger": _runs("[[run]]\nsource = 7\noutput = ['../../x']"),
    "RUNS.toml with an output outside": _runs("[[run]]\nsource = '/dev/zero'\nname = '../../x'"),
    "a plugin of one file that raises": _plugin(lambda place: "raise SystemExit(0)"),
    "a plugin of one file that is none": _plugin(lambda place: "\0\0\0"),
    "a plugin of one file that recurses": _plugin(lambda place: "def f(): f()\nf()"),
}


def _manifest(content: str | bytes | Callable[[Place], str], *more: str) -> Damage:
    """A release of a stranger, to be verified."""

    def damage(place: Place) -> list[object]:
        folder = place.root / "theirs"
        folder.mkdir()
        (folder / "README.md").write_text("x")
        text = content(place) if callable(content) else content
        (folder / "upload_manifest.json").write_bytes(
            text if isinstance(text, bytes) else text.encode()
        )
        return ["verify", folder, *more]

    return damage


def _files(*files: Any, **more: Any) -> str:
    return json.dumps({"schema": "uploader.manifest/1", "files": [*files], **more})


def _named(path: Any, **more: Any) -> str:
    entry = {"path": path, "size": 1, "sha256": "0" * 64, "role": "config", **more}
    return _files(entry)


MANIFESTS: dict[str, Damage] = {
    "nested 100,000 deep": _manifest(DEEP),
    "a list": _manifest("[]"),
    "not UTF-8": _manifest(b"\xff\xfe\xfd"),
    "a schema of a stranger": _manifest('{"schema": {"a": 1}, "files": []}'),
    "a name that leads outside": _manifest(_named("../outside/secret.txt")),
    "an absolute name": _manifest(_named("/etc/passwd")),
    "a name of a device": _manifest(_named("/dev/zero")),
    "a name with a zero byte": _manifest(_named("a\0b")),
    "a name that is a list": _manifest(_named(["x"])),
    "a name of Windows": _manifest(_named("C:\\Windows\\x")),
    "a name of a megabyte": _manifest(_named("x" * (1 << 20))),
    "a size of 4,000 digits": _manifest(
        lambda place: _named("README.md").replace('"size": 1', f'"size": {MANY_DIGITS}')
    ),
    "a size below zero": _manifest(_named("README.md", size=-1)),
    "a digest that is none": _manifest(_named("README.md", sha256="../../x")),
    "patterns that take for ever": _manifest(
        _files(loads=["*a" * 40 + "b", "[" * 1000, "?" * 10_000], kept=["README.md"])
    ),
    "patterns that are numbers": _manifest(_files(loads=[1, {"a": 1}])),
    "a file twice": _manifest(_files(*[json.loads(_named("README.md"))["files"][0]] * 2)),
    "files that are a number": _manifest('{"schema": "uploader.manifest/1", "files": 7}'),
    "500 MB that take no room": lambda place: [
        *(_manifest("{}")(place) or ()),
        *filter(None, [_grow(place.root / "theirs" / "upload_manifest.json", 500 << 20)]),
    ],
}

_UNREAD_KEYS = {
    "targets that take for ever", "100,000 targets", "targets that are numbers",
    "layers of 2^62", "a library to be imported",
}  # fmt: skip
"""Of adapters; what was stored counts, and what these say only concerned the training."""
_NOT_RUN = {
    "code of another repository": "has code of its own, in",
    "pipelines of a stranger": "config.json says custom_pipelines",
    "a type that is a module": "not proved that the release loads",
    "architectures of private names": "names no class|not proved|which transformers",
}
_TOML_HARMLESS = {"uploader.toml with tables nested 10,000 deep"}

TEXTS: list[Hostile] = [
    *cases("adapter_config", ADAPTER_CONFIGS, harmless=_UNREAD_KEYS),
    *cases("config", CONFIGS, harmless=_NOT_RUN, told=_NOT_RUN),
    *cases(
        "generation_config",
        GENERATION,
        harmless={
            "a custom loop",
            "a compiler",
            "tokens of 4,000 digits",
            "tokens that are a table",
            "a watermark to be imported",
        },
        told={"a custom loop": "generation_config.json says trust_remote_code, custom_generate"},
    ),
    *cases(
        "tokenizer",
        TOKENIZERS,
        harmless={
            what
            for what in TOKENIZERS
            if what.startswith(
                (
                    "a protobuf",
                    "a class to",
                    "a class that",
                    "a vocabulary with",
                    "an expression",
                    "added tokens that are a list",
                    "an added token",
                    "tokens that",
                )
            )
        },
    ),
    *cases("card", CARDS, harmless=ALL),
    *cases("record", RECORDS, harmless=ALL),
    *cases("toml", TOML, harmless=_TOML_HARMLESS),
    *cases("manifest", MANIFESTS, harmless={"patterns that take for ever"}),
]
