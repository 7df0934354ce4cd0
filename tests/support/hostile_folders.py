"""Hostile folders: links, pipes, pickles, archives, code, templates, and adapters of MLX."""

from __future__ import annotations

import io
import os
import pickle
import socket
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hostile_place import ALL, Damage, Hostile, Place, cases, edit


class _Runs:
    """What runs code when it is unpickled."""

    def __init__(self, code: str) -> None:
        self._code = code

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return exec, (self._code,)


def payload(place: Place) -> bytes:
    """Return a pickle that makes the canary."""
    return pickle.dumps(_Runs(place.code))


def archived(place: Place) -> bytes:
    """Return what ``torch.save`` writes, with a payload in it."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        file.writestr("archive/data.pkl", payload(place))
        file.writestr("archive/version", "3\n")
        file.writestr("../../../outside/x", "slip")
    return stream.getvalue()


def _beside(name: str, content: Callable[[Place], bytes]) -> Damage:
    """Something in the adapter's folder."""

    def damage(place: Place) -> None:
        path = place.adapter / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content(place))

    return damage


def _instead(name: str, content: Callable[[Place], bytes], *, base: bool = False) -> Damage:
    """Something in place of the weights."""

    def damage(place: Place) -> None:
        weights = place.base / "model.safetensors" if base else place.weights
        weights.unlink()
        (weights.parent / name).write_bytes(content(place))

    return damage


def _tar(place: Place) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as file:
        info = tarfile.TarInfo("../../outside/secret.txt")
        info.size = 4
        file.addfile(info, io.BytesIO(b"slip"))
        link = tarfile.TarInfo("x")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        file.addfile(link)
    return stream.getvalue()


def _code(place: Place) -> bytes:
    return place.code.encode()


PICKLES: dict[str, Damage] = {
    "adapter_model.bin alone": _instead("adapter_model.bin", payload),
    "adapter_model.bin of torch alone": _instead("adapter_model.bin", archived),
    "adapter_model.pt alone": _instead("adapter_model.pt", archived),
    "pytorch_model.bin of the base": _instead("pytorch_model.bin", archived, base=True),
    "consolidated.00.pth of the base": _instead("consolidated.00.pth", archived, base=True),
    "a pickle called safetensors": _instead("adapter_model.safetensors", payload),
    "a pth beside it": _beside("x.pth", lambda place: b"import os; " + _code(place)),
    "an archive called safetensors": _instead("adapter_model.safetensors", archived),
}
BESIDE: dict[str, Damage] = {
    "adapter_model.bin": _beside("adapter_model.bin", payload),
    "training_args.bin": _beside("training_args.bin", archived),
    "optimizer.pt": _beside("optimizer.pt", archived),
    "rng_state.pth": _beside("rng_state.pth", payload),
    "data.pkl": _beside("data.pkl", payload),
    "a zip with ../ names": _beside("model.zip", archived),
    "a tar with ../ names": _beside("model.tar.gz", _tar),
    "conftest.py": _beside("conftest.py", _code),
    "sitecustomize.py": _beside("sitecustomize.py", _code),
    "usercustomize.py": _beside("usercustomize.py", _code),
    "torch.py": _beside("torch.py", _code),
    "uploader_core.py": _beside("uploader_core.py", _code),
    "__init__.py": _beside("__init__.py", _code),
    "a git hook": _beside(".git/hooks/post-checkout", _code),
    "a Makefile": _beside("Makefile", lambda place: b"all:\n\ttouch " + os.fsencode(place.canary)),
    "handler.py": _beside("handler.py", _code),
}
"""Nothing of it is read, and nothing of it is in the release."""


def _link(name: str, target: Callable[[Place], object], *, base: bool = False) -> Damage:
    def damage(place: Place) -> None:
        path = (place.base if base else place.adapter) / name
        path.unlink(missing_ok=True)
        path.symlink_to(str(target(place)))

    return damage


def _node(name: str, make: Callable[[Path], object]) -> Damage:
    def damage(place: Place) -> None:
        path = place.adapter / name
        path.unlink(missing_ok=True)
        make(path)

    return damage


def _listen(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # the name of a socket is short
    try:
        with socket.socket(socket.AF_UNIX) as end:
            end.bind(path.name)
    finally:
        os.chdir(here)


_ZERO, _OUT = (lambda place: "/dev/zero"), (lambda place: place.outside)
LINKS: dict[str, Damage] = {
    "a card is /dev/zero": _link("README.md", _ZERO),
    "a card is a pipe": _node("README.md", os.mkfifo),
    "weights are /dev/zero": _link("adapter_model.safetensors", _ZERO),
    "weights are a file outside": _link("adapter_model.safetensors", _OUT),
    "weights are themselves": _link("adapter_model.safetensors", lambda p: p.weights),
    "weights lead nowhere": _link("adapter_model.safetensors", lambda p: "nowhere"),
    "weights are a pipe": _node("adapter_model.safetensors", os.mkfifo),
    "weights are a socket": _node("adapter_model.safetensors", _listen),
    "weights are a folder": _node("adapter_model.safetensors", os.mkdir),
    "weights are another process": _link("adapter_model.safetensors", lambda p: "/proc/self/mem"),
    "a configuration is /dev/zero": _link("adapter_config.json", _ZERO),
    "a configuration is a pipe": _node("adapter_config.json", os.mkfifo),
    "a configuration is a file outside": _link("adapter_config.json", _OUT),
    "the base's configuration is /dev/zero": _link("config.json", _ZERO, base=True),
    "the base's weights are /dev/zero": _link("model.safetensors", _ZERO, base=True),
    "the base's weights are a file outside": _link("model.safetensors", _OUT, base=True),
    "a tokenizer is a file outside": _link("tokenizer.json", _OUT),
    "a tokenizer's settings are a file outside": _link("tokenizer_config.json", _OUT),
}
IGNORED_LINKS: dict[str, Damage] = {
    "a card of the base is /dev/zero": _link("README.md", _ZERO, base=True),
    "a card of the base is a file outside": _link("README.md", _OUT, base=True),
    "a template is /dev/zero": _link("chat_template.jinja", _ZERO),
    "a template is a pipe": _node("chat_template.jinja", os.mkfifo),
    "a tokenizer is /dev/zero": _link("tokenizer.json", _ZERO),
    "a tokenizer is a pipe": _node("tokenizer.json", os.mkfifo),
    "a log is /dev/zero": _link("trainer_state.json", _ZERO),
    "a log is a pipe": _node("trainer_state.json", os.mkfifo),
    "a lineage is a pipe": _node("training_lineage.json", os.mkfifo),
    "a folder is a circle": _link("additional_chat_templates", lambda p: p.adapter),
    "a folder is the root": _link("checkpoint-7", lambda p: "/"),
    "a licence leads nowhere": _link("LICENSE", lambda p: "nowhere"),
}
OUTSIDE: dict[str, Damage] = {
    "a card is a file outside": _link("README.md", _OUT),
    "a licence is a file outside": _link("LICENSE", _OUT),
    "a template is a file outside": _link("chat_template.jinja", _OUT),
    "a licence of the base is a file outside": _link("LICENSE", _OUT, base=True),
    "a list of tokens is a file outside": _link("merges.txt", _OUT),
    "a template in a folder outside": _link(
        "additional_chat_templates", lambda p: (p.outside.rename(p.outside.with_suffix(".jinja")),
        p.outside.parent)[1]
    ),
}  # fmt: skip
"""Files that a release takes over; whether it is made or not, it has nothing of what is outside."""


def _mlx(**config: Any) -> Damage:
    def damage(place: Place) -> None:
        place.weights.rename(place.adapter / "adapters.safetensors")
        told = {"fine_tune_type": "lora", "model": "../../base", "num_layers": 2,
                "lora_parameters": {"rank": 8, "scale": 1.5, "dropout": 0.0}}  # fmt: skip
        (place.adapter / "adapter_config.json").write_text("{}")
        edit(place.adapter / "adapter_config.json", **{**told, **config})

    return damage


MLX: dict[str, Damage] = {
    "a rank of 2^62": _mlx(lora_parameters={"rank": 1 << 62, "scale": 1.0}),
    "a rank that is a text": _mlx(lora_parameters={"rank": "8; import os", "scale": 1.0}),
    "parameters that are a list": _mlx(lora_parameters=[1, 2]),
    "a scale of 4,000 digits": _mlx(lora_parameters={"rank": 8, "scale": int("9" * 4000)}),
    "keys that are numbers": _mlx(lora_parameters={"rank": 8, "scale": 1.0, "keys": [1, {}]}),
    "layers of 10^12": _mlx(num_layers=10**12),
    "a model that is a table": _mlx(model={"a": 1}),
    "a model that leads outside": _mlx(model="../../../../../../etc"),
    "a method of a stranger": _mlx(fine_tune_type="os.system"),
    "a method that is a list": _mlx(fine_tune_type=["lora"]),
}


NOBODY = "~no-one-here/x"
_FINE = ("plan", "run/final_model")
_SAID: dict[str, tuple[object, ...]] = {
    "a source": ("plan", NOBODY),
    "a base": (*_FINE, "--base", NOBODY),
    "an adapter": (*_FINE, "--adapter", f"{NOBODY}=0.5"),
    "an output": (*_FINE, "--output", NOBODY),
    "a destination": (*_FINE, "--to", f"dir:{NOBODY}"),
    "a setting": (*_FINE, "--plugins", "gguf", "--gguf-imatrix", NOBODY),
    "a text": (*_FINE, "--plugins", "gguf", "--gguf-calibration", NOBODY),
    "a release": ("verify", NOBODY),
    "a folder to look at": ("doctor", "--output", NOBODY),
}


def _say(arguments: tuple[object, ...]) -> Damage:
    return lambda place: [*arguments]


FOLDERS: list[Hostile] = [
    *cases("pickle", PICKLES),
    *cases("beside", BESIDE, harmless=ALL),
    *cases("link", LINKS),
    *cases("ignored link", IGNORED_LINKS, harmless=ALL),
    *cases("link outside", OUTSIDE),
    *cases("mlx", MLX),
    *cases(
        "home of nobody",
        {what: _say(arguments) for what, arguments in _SAID.items()},
        told=dict.fromkeys(_SAID, "nobody on this machine has a home"),
    ),
]
