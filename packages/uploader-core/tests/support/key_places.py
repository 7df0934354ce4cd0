"""Where keys are left by who trains a model: each place gives a file's name and its bytes."""

import base64
import html
import json
import struct
import zlib
from collections.abc import Callable
from random import Random

from key_values import HEX, some

Place = Callable[[Random, str, str], tuple[str, bytes]]


def notebook(source: list[str], outputs: list[dict[str, object]]) -> bytes:
    cell = {
        "cell_type": "code",
        "execution_count": 3,
        "id": "5b1c7c4e",
        "metadata": {},
        "outputs": outputs,
        "source": source,
    }
    return json.dumps(
        {"cells": [cell], "metadata": {"kernelspec": {"name": "python3"}}, "nbformat": 4},
        indent=1,
    ).encode()


def stream(text: str) -> dict[str, object]:
    return {"name": "stdout", "output_type": "stream", "text": text.splitlines(keepends=True)}


def plain(name: str, text: str) -> tuple[str, bytes]:
    return name, text.encode()


def nb_env_output(rng: Random, key: str, value: str) -> tuple[str, bytes]:
    return "train.ipynb", notebook(
        [f"%env {key}"], [stream(f"env: {key}={value}\nStep 10 loss 1.31\n")]
    )


def nb_environ(rng: Random, key: str, value: str) -> tuple[str, bytes]:
    return "train.ipynb", notebook(
        ["import os\n", f'os.environ["{key}"] = "{value}"\n', "trainer.train()"], []
    )


def nb_html(rng: Random, key: str, value: str) -> tuple[str, bytes]:
    table = f"<tr><td>{key.lower()}</td><td>{html.escape(value)}</td></tr>"
    data = {"data": {"text/html": [f"<table>{table}</table>\n"]}, "output_type": "display_data"}
    return "eval.ipynb", notebook(["show(config)"], [data])


def yaml_block(rng: Random, key: str, value: str) -> tuple[str, bytes]:
    return "sky.yaml", (
        f"name: sft\nresources:\n  accelerators: A100:1\nsetup: |\n  set -e\n  export {key}="
        f"{value}\n"
        "  pip install trl\nrun: |\n  accelerate launch sft.py\n"
    ).encode()


def yaml_name_value(rng: Random, key: str, value: str) -> tuple[str, bytes]:
    return "job.yml", (
        "spec:\n  containers:\n  - image: trainer:3\n    env:\n"
        f"    - name: {key}\n      value: {json.dumps(value)}\n"
    ).encode()


def json_line(rng: Random, key: str, value: str) -> tuple[str, bytes]:
    return "run.json", json.dumps(
        {"cmd": "accelerate launch sft.py", "environment": {"LANG": "C", key: value}, "rank": 0},
        separators=(",", ":"),
    ).encode()


def json_in_json(rng: Random, key: str, value: str) -> tuple[str, bytes]:
    inner = json.dumps({"lr": 2e-4, key.lower(): value})
    return "trainer_state.json", json.dumps({"global_step": 60, "config": inner}, indent=2).encode()


def shell_double(rng: Random, key: str, value: str) -> tuple[str, bytes]:
    return "run.sh", f'#!/bin/bash\nexport {key}="{value}"\npython sft.py --epochs 3\n'.encode()


def shell_single(rng: Random, key: str, value: str) -> tuple[str, bytes]:
    return "run.sh", f"cd work && {key}='{value}' python sft.py --bf16 true\n".encode()


def ansi_log(rng: Random, key: str, value: str) -> tuple[str, bytes]:
    return "train.log", (
        f"\x1b[2m2026-03-02T10:11:12\x1b[0m \x1b[32mINFO\x1b[0m env "
        f"\x1b[1m{key}\x1b[0m\x1b[2m=\x1b[0m\x1b[33m{value}\x1b[0m\n"
    ).encode()


def readme_prose(rng: Random, key: str, value: str) -> tuple[str, bytes]:
    return "README.md", (
        f"# My model\n\nTo train it again, set `{key}` to\n`{value}` and start `run.sh`; it "
        f"takes an\n"
        "hour on one GPU.\n"
    ).encode()


def readme_continued(rng: Random, key: str, value: str) -> tuple[str, bytes]:
    return "README.md", (
        f"## Usage\n\n```bash\ndocker run --gpus all \\\n    -e {key}={value} \\\n    "
        f"trainer:3\n```\n"
    ).encode()


def toml(rng: Random, key: str, value: str) -> tuple[str, bytes]:
    return "config.toml", f'[env]\nLANG = "C"\n{key} = "{value}"\n\n[train]\nlr = 2e-4\n'.encode()


def ini(rng: Random, key: str, value: str) -> tuple[str, bytes]:
    return "settings.ini", f"[logging]\nlevel = info\n{key.lower()} = {value}\n".encode()


def csv_row(rng: Random, key: str, value: str) -> tuple[str, bytes]:
    return "runs.csv", f'run,name,value\n1,LANG,C\n1,{key},"{value}"\n'.encode()


def jinja_comment(rng: Random, key: str, value: str) -> tuple[str, bytes]:
    return "chat_template.jinja", (
        f"{{# made with {key}={value} #}}\n{{% for m in messages %}}{{{{ m.content }}}}{{% "
        f"endfor %}}\n"
    ).encode()


def f_string(rng: Random, key: str, value: str) -> tuple[str, bytes]:
    return "eval.py", (
        f'import os\n\nos.environ["{key}"] = f"{value}"\nrun = f"{{name}}-{{seed}}"\n'
    ).encode()


def keyword(rng: Random, key: str, value: str) -> tuple[str, bytes]:
    return "train.py", f"client = Client(timeout=30, {key.lower()}='{value}')\n".encode()


def arguments_dump(rng: Random, key: str, value: str) -> tuple[str, bytes]:
    return "training_args.txt", (
        f"TrainingArguments(\nhub_strategy=every_save,\n{key.lower()}={value},\nlearning_rate=2e-4,\n)\n"
    ).encode()


def wandb_args(rng: Random, key: str, value: str) -> tuple[str, bytes]:
    option = "--" + key.lower()
    return "wandb-metadata.json", json.dumps(
        {
            "os": "Linux-6.8",
            "python": "CPython 3.11.9",
            "args": ["--epochs", "3", option, value],
            "git": {"remote": "https://github.com/me/sft", "commit": some(rng, HEX, 40)},
        },
        indent=2,
    ).encode()


def tensorboard(rng: Random, key: str, value: str) -> tuple[str, bytes]:
    """An events file with one text summary in TFRecord's framing."""
    text = f"{key.lower()}: {value}".encode()

    def field(number: int, data: bytes) -> bytes:
        size, head = len(data), bytearray([number << 3 | 2])
        while size > 127:
            head.append(size & 127 | 128)
            size >>= 7
        return bytes(head) + bytes([size]) + data

    tensor = b"\x08\x07\x12\x02\x12\x00" + field(8, text)
    event = (
        b"\x09"
        + struct.pack("<d", 1.79e9)
        + field(5, field(1, field(1, b"args") + field(8, tensor)))
    )
    size = struct.pack("<Q", len(event))
    crc = struct.pack("<I", zlib.crc32(size)), struct.pack("<I", zlib.crc32(event))
    return "runs/events.out.tfevents.1790000000.box.1.0", size + crc[0] + event + crc[1]


def base64_env(rng: Random, key: str, value: str) -> tuple[str, bytes]:
    env = base64.b64encode(f"LANG=C\n{key}={value}\n".encode()).decode()
    return "job.json", json.dumps({"image": "trainer:3", "env_file": env}).encode()


def kubernetes(rng: Random, key: str, value: str) -> tuple[str, bytes]:
    data = {key: base64.b64encode(value.encode()).decode()}
    return "secret.json", json.dumps({"kind": "Secret", "apiVersion": "v1", "data": data}).encode()


def utf16(rng: Random, key: str, value: str) -> tuple[str, bytes]:
    return "env.txt", f'LANG=C\r\n$env:{key} = "{value}"\r\n'.encode("utf-16")


def utf16_json(rng: Random, key: str, value: str) -> tuple[str, bytes]:
    return "config.json", json.dumps({"epochs": 3, key.lower(): value}, indent=2).encode("utf-16")


def crlf(rng: Random, key: str, value: str) -> tuple[str, bytes]:
    return ".env", f"# env\r\n{key}={value}\r\nEPOCHS=3\r\n".encode()


def dockerfile(rng: Random, key: str, value: str) -> tuple[str, bytes]:
    return "Dockerfile", f"FROM python:3.11\nENV {key} {value}\nRUN pip install trl\n".encode()


def traceback(rng: Random, key: str, value: str) -> tuple[str, bytes]:
    return "error.log", (
        "Traceback (most recent call last):\n"
        f"KeyError: 'lr' in {{'epochs': 3, '{key.lower()}': '{value}', 'seed': 1}}\n"
    ).encode()


def query(rng: Random, key: str, value: str) -> tuple[str, bytes]:
    return "http.log", (
        f"DEBUG GET https://api.example.net/v1/runs?limit=10&{key.lower()}={value}&page=2 200\n"
    ).encode()


def bearer(rng: Random, key: str, value: str) -> tuple[str, bytes]:
    return "README.md", (
        "```bash\ncurl https://api.example.net/v1/models \\\n"
        f'  -H "Authorization: Bearer {value}" \\\n  -H "Content-Type: application/json"\n```\n'
    ).encode()


def bearer_python(rng: Random, key: str, value: str) -> tuple[str, bytes]:
    return "query.ipynb", notebook(
        [
            f"headers = {{'Authorization': 'Bearer {value}'}}\n",
            "requests.get(url, headers=headers)",
        ],
        [],
    )


def printed(rng: Random, key: str, value: str) -> tuple[str, bytes]:
    """The value alone, printed by a cell."""
    return "check.ipynb", notebook(["token"], [stream(f"{value}\n")])


PLACES: tuple[Place, ...] = (
    nb_env_output,
    nb_environ,
    nb_html,
    yaml_block,
    yaml_name_value,
    json_line,
    json_in_json,
    shell_double,
    shell_single,
    ansi_log,
    readme_prose,
    readme_continued,
    toml,
    ini,
    csv_row,
    jinja_comment,
    f_string,
    keyword,
    arguments_dump,
    wandb_args,
    tensorboard,
    base64_env,
    kubernetes,
    utf16,
    utf16_json,
    crlf,
    dockerfile,
    traceback,
    query,
    bearer,
    bearer_python,
    printed,
)
NEEDS_MARK = {printed}
"""Nothing but the key: 40 hex digits alone are a commit."""
HEADERS = {query, bearer, bearer_python}
"""Take a key, and no address."""
