"""More places where keys are left: shells, deployments, logs, other languages, other encodings."""

import io
import json
import pickle
import zipfile
from random import Random
from urllib.parse import quote

from key_places import Place, notebook, plain, stream
from key_values import b64

Made = tuple[str, bytes]


def camel(key: str) -> str:
    first, *rest = key.lower().split("_")
    return first + "".join(word.capitalize() for word in rest)


def argparse_default(rng: Random, k: str, v: str) -> Made:
    return plain(
        "sft.py",
        f'parser.add_argument("--{k.lower()}", type=str, default="{v}", help="key of the '
        f'service")\n',
    )


def bang(rng: Random, k: str, v: str) -> Made:
    return "t.ipynb", notebook([f"!{k}={v} python train.py --epochs 1\n"], [stream("loss 1.2\n")])


def magic(rng: Random, k: str, v: str) -> Made:
    return "t.ipynb", notebook([f"%env {k} {v}\n", "!python train.py"], [])


def setdefault(rng: Random, k: str, v: str) -> Made:
    return plain("conf.py", f"os.environ.setdefault('{k}', '{v}')\n")


def dict_call(rng: Random, k: str, v: str) -> Made:
    return plain("conf.py", f'cfg = dict(lr=1e-4, {k.lower()}="{v}", seed=1)\n')


def fish(rng: Random, k: str, v: str) -> Made:
    return plain("env.fish", f"set -gx {k} {v}\n")


def csh(rng: Random, k: str, v: str) -> Made:
    return plain("env.csh", f"setenv {k} '{v}'\n")


def batch(rng: Random, k: str, v: str) -> Made:
    return plain("run.bat", f"@echo off\r\nset {k}={v}\r\npython train.py\r\n")


def ecs(rng: Random, k: str, v: str) -> Made:
    return plain(
        "task.json",
        json.dumps(
            {"environment": [{"name": "LANG", "value": "C"}, {"name": k, "value": v}]}, indent=2
        ),
    )


def xml(rng: Random, k: str, v: str) -> Made:
    return plain("app.config", f'<appSettings>\n  <add key="{k}" value="{v}" />\n</appSettings>\n')


def properties(rng: Random, k: str, v: str) -> Made:
    return plain("app.properties", f"log.level=info\n{k.lower().replace('_', '.')}={v}\n")


def tfvars(rng: Random, k: str, v: str) -> Made:
    return plain("terraform.tfvars", f'region = "eu"\n{k.lower()}   = "{v}"\n')


def compose(rng: Random, k: str, v: str) -> Made:
    return plain(
        "compose.yaml", f"services:\n  train:\n    environment:\n      - LANG=C\n      - {k}={v}\n"
    )


def workflow(rng: Random, k: str, v: str) -> Made:
    return plain("ci.yml", f"jobs:\n  a:\n    env:\n      {k}: {json.dumps(v)}\n    steps: []\n")


def slurm(rng: Random, k: str, v: str) -> Made:
    return plain(
        "job.sbatch",
        f"#!/bin/bash\n#SBATCH --gpus=1\n#SBATCH --export=ALL,{k}={v}\nsrun python sft.py\n",
    )


def systemd(rng: Random, k: str, v: str) -> Made:
    return plain("train.service", f'[Service]\nEnvironment="{k}={v}"\nExecStart=/usr/bin/train\n')


def option_log(rng: Random, k: str, v: str) -> Made:
    return plain(
        "slurm-1.out",
        f"+ python sft.py --lr 2e-4 --{k.lower().replace('_', '-')} {v} --bf16\nstep 1\n",
    )


def option_equals(rng: Random, k: str, v: str) -> Made:
    return plain("cmd.txt", f"accelerate launch sft.py --{k.lower()}={v} --report_to wandb\n")


def table(rng: Random, k: str, v: str) -> Made:
    return plain("README.md", f"| Variable | Value |\n| --- | --- |\n| `{k}` | `{v}` |\n")


def box(rng: Random, k: str, v: str) -> Made:
    return plain("rich.log", f"╭──────────╮\n│ {k} │ {v} │\n╰──────────╯\n")


def json_log(rng: Random, k: str, v: str) -> Made:
    return plain(
        "log.jsonl",
        json.dumps({"ts": 1.79e9, "level": "debug", "msg": f"environment {k}={v} HOME=/root"})
        + "\n",
    )


def namespace(rng: Random, k: str, v: str) -> Made:
    return plain("train.log", f"Namespace(lr=0.0002, {k.lower()}={v!r}, epochs=3)\n")


def flow(rng: Random, k: str, v: str) -> Made:
    return plain("x.yaml", f'env: {{LANG: C, {k}: "{v}"}}\n')


def folded(rng: Random, k: str, v: str) -> Made:
    return plain("x.yaml", f"{k}: >-\n  {v}\nepochs: 3\n")


def dataset(rng: Random, k: str, v: str) -> Made:
    row = {
        "messages": [
            {"role": "user", "content": f"My .env is:\n{k}={v}\nwhat is wrong?"},
            {"role": "assistant", "content": "Nothing."},
        ]
    }
    return plain("train.jsonl", json.dumps(row) + "\n")


def bom(rng: Random, k: str, v: str) -> Made:
    return "env.txt", b"\xef\xbb\xbf" + f"{k}={v}\r\n".encode()


def big_endian(rng: Random, k: str, v: str) -> Made:
    return "env.txt", b"\xfe\xff" + f"lang: C\n{k}: {v}\n".encode("utf-16-be")


def no_bom(rng: Random, k: str, v: str) -> Made:
    return "out.txt", f"training started\r\n{k}={v}\r\nfinished\r\n".encode("utf-16-le")


def latin(rng: Random, k: str, v: str) -> Made:
    return "notiz.txt", f"Schlüssel für den Dienst:\n{k} = {v}\n".encode("latin-1")


def arguments_bin(rng: Random, k: str, v: str) -> Made:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:  # as torch.save writes it: not compressed
        file.writestr(
            "training_args/data.pkl", pickle.dumps({"lr": 2e-4, k.lower(): v}, protocol=2)
        )
    return "training_args.bin", data.getvalue()


def kube_yaml(rng: Random, k: str, v: str) -> Made:
    return plain("secret.yaml", f"kind: Secret\ndata:\n  {k}: {b64(v.encode())}\n")


def env_base64(rng: Random, k: str, v: str) -> Made:
    return plain("ci.yaml", f"variables:\n  DOTENV_B64: {b64(f'export {k}={v}'.encode())}\n")


def encoded(rng: Random, k: str, v: str) -> Made:
    return plain("access.log", f'"POST /run?env={quote(k)}%3D{quote(v, safe="")}&n=1" 200\n')


def widget(rng: Random, k: str, v: str) -> Made:
    return plain(
        "w.ipynb",
        json.dumps(
            {
                "metadata": {
                    "widgets": {
                        "state": {
                            "1a": {
                                "model_name": "PasswordModel",
                                "state": {"description": k, "placeholder": "", "value": v},
                            }
                        }
                    }
                }
            },
            indent=1,
        ),
    )


def trace(rng: Random, k: str, v: str) -> Made:
    return "t.ipynb", notebook(
        ["train()"],
        [
            {
                "output_type": "error",
                "ename": "E",
                "evalue": "",
                "traceback": [
                    f"\x1b[0;32m<ipython-input-3>\x1b[0m in \x1b[0;36m<module>\x1b[0;"
                    f"34m()\x1b[0m\n\x1b[0;32m----> 1\x1b[0;31m "
                    f'\x1b[0mlogin\x1b[0m\x1b[0;34m(\x1b[0m\x1b[0m{k.lower()}\x1b[0m\x1b[0;34m=\x1b[0m\x1b[0;34m"{v}"\x1b[0m\x1b[0;34m)\x1b[0m'
                ],
            }
        ],
    )


def r_lang(rng: Random, k: str, v: str) -> Made:
    return plain("run.R", f'Sys.setenv({k} = "{v}")\n')


def go_lang(rng: Random, k: str, v: str) -> Made:
    return plain("main.go", f'os.Setenv("{k}", "{v}")\n')


def js(rng: Random, k: str, v: str) -> Made:
    return plain("app.js", f"const {camel(k)} = '{v}';\nprocess.env.LANG = 'C';\n")


def camel_json(rng: Random, k: str, v: str) -> Made:
    return plain("settings.json", json.dumps({"theme": "dark", camel(k): v}, indent=4))


def x_header(rng: Random, k: str, v: str) -> Made:
    return plain("call.py", f'r = httpx.get(url, headers={{"X-API-Key": "{v}"}})\n')


def token_header(rng: Random, k: str, v: str) -> Made:
    return plain("call.sh", f"curl -s -H 'Authorization: Token {v}' https://api.corp.net/v1\n")


def httpie(rng: Random, k: str, v: str) -> Made:
    return plain("README.md", f'    http GET api.corp.net/v1 Authorization:"Bearer {v}"\n')


def said(rng: Random, k: str, v: str) -> Made:
    return plain("NOTES.md", f"For the demo the {k} is {v} (ask before you use it).\n")


def continued(rng: Random, k: str, v: str) -> Made:
    return plain("run.sh", f"env LANG=C \\\n  {k}=\\\n{v} \\\n  python sft.py\n")


def toml_inline(rng: Random, k: str, v: str) -> Made:
    return plain("fly.toml", f"env = {{ LANG = 'C', {k} = '{v}' }}\n")


def html_comment(rng: Random, k: str, v: str) -> Made:
    return plain("card.md", f"<!-- {k}: {v} -->\n# Model\n")


MORE_PLACES: tuple[Place, ...] = (
    argparse_default,
    bang,
    magic,
    setdefault,
    dict_call,
    fish,
    csh,
    batch,
    ecs,
    xml,
    properties,
    tfvars,
    compose,
    workflow,
    slurm,
    systemd,
    option_log,
    option_equals,
    table,
    box,
    json_log,
    namespace,
    flow,
    folded,
    dataset,
    bom,
    big_endian,
    no_bom,
    latin,
    arguments_bin,
    kube_yaml,
    env_base64,
    encoded,
    widget,
    trace,
    r_lang,
    go_lang,
    js,
    camel_json,
    x_header,
    token_header,
    httpie,
    said,
    continued,
    toml_inline,
    html_comment,
)
MORE_HEADERS = {x_header, token_header, httpie}
