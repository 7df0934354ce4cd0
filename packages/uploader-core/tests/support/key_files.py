"""Files that hold nothing but logins, and lines that are written for one service."""

import json
import textwrap
from random import Random

from key_places import notebook, plain, stream
from key_values import (
    ALNUM,
    BASE32,
    HEX,
    LOWER,
    UPPER,
    WORD,
    a_uuid,
    b64,
    checked,
    jwt,
    password,
    pem,
    some,
)


def files(rng: Random) -> list[tuple[str, str, bytes]]:
    """Secrets that come in a file form of their own."""
    w, p = some(rng, HEX, 40), password(rng)
    gh = checked(rng, "ghp_")
    gcp = {
        "type": "service_account",
        "project_id": "sft-runs",
        "private_key_id": some(rng, HEX, 40),
        "private_key": pem(rng, "PRIVATE KEY", 1216),
        "client_email": "trainer@sft-runs.iam.gserviceaccount.com",
        "token_uri": "https://oauth2.googleapis.com/token",
    }
    made = [
        ("netrc wandb", plain(".netrc", f"machine api.wandb.ai\n  login user\n  password {w}\n")),
        ("netrc one line", plain("_netrc", f"machine gitlab.com login me password {p}\n")),
        (
            "netrc in notebook",
            (
                "a.ipynb",
                notebook(
                    ["!cat ~/.netrc"],
                    [stream(f"machine api.wandb.ai\n  login user\n  password {w}\n")],
                ),
            ),
        ),
        ("wandb login", ("b.ipynb", notebook([f"!wandb login {some(rng, HEX, 40)}"], []))),
        (
            "wandb login key",
            plain("c.py", f'import wandb\nwandb.login(key="{some(rng, HEX, 40)}")\n'),
        ),
        (
            "wandb login relogin",
            plain("d.sh", f"pip install wandb\nwandb login --relogin '{some(rng, HEX, 40)}'\n"),
        ),
        (
            "hf cli login",
            plain(
                "e.md",
                "```\nhf auth login --token hf_"
                + some(rng, ALNUM[:52], 34)
                + " --add-to-git-credential\n```\n",
            ),
        ),
        ("gcp file", plain("gcp.json", json.dumps(gcp, indent=2))),
        ("gcp one line", plain("gcp1.json", json.dumps({"credentials": json.dumps(gcp)}))),
        ("gcp base64", plain("gcp.env", "GCP_SA=" + b64(json.dumps(gcp).encode()) + "\n")),
        (
            "kaggle",
            plain("kaggle.json", json.dumps({"username": "trainer", "key": some(rng, HEX, 32)})),
        ),
        (
            "kaggle in notebook",
            (
                "k.ipynb",
                notebook(
                    [
                        '!echo \'{"username":"me","key":"'
                        + some(rng, HEX, 32)
                        + "\"}' > ~/.kaggle/kaggle.json"
                    ],
                    [],
                ),
            ),
        ),
        (
            "docker auth",
            plain(
                "docker.json",
                json.dumps({"auths": {"ghcr.io": {"auth": b64(f"me:{gh}".encode())}}}, indent=2),
            ),
        ),
        (
            "docker auth hub",
            plain(
                "docker2.json",
                json.dumps(
                    {
                        "auths": {
                            "https://index.docker.io/v1/": {"auth": b64(f"trainer:{p}".encode())}
                        }
                    }
                ),
            ),
        ),
        ("rsa", plain("id_rsa", pem(rng, "RSA PRIVATE KEY", 1190))),
        ("openssh", plain("id_ed25519", pem(rng, "OPENSSH PRIVATE KEY", 200, 70))),
        (
            "ec in yaml",
            plain(
                "tls.yaml",
                "tls:\n  key: |\n    " + pem(rng, "EC PRIVATE KEY", 121).replace("\n", "\n    "),
            ),
        ),
        ("pgp", plain("me.asc", pem(rng, "PGP PRIVATE KEY BLOCK", 900))),
        ("encrypted pem", plain("k.pem", pem(rng, "ENCRYPTED PRIVATE KEY", 1300))),
        ("pem in py", plain("jwt.py", 'KEY = """' + pem(rng, "PRIVATE KEY", 1216) + '"""\n')),
        (
            "pip.conf",
            plain("pip.conf", f"[global]\nextra-index-url = https://ci:{p}@pypi.corp.net/simple\n"),
        ),
        (
            "requirements",
            plain(
                "requirements.txt",
                f"trl\n--extra-index-url https://__token__:{some(rng, HEX, 40)}@pkg.corp.net/s/\n",
            ),
        ),
        (
            "git remote",
            plain("config", f'[remote "origin"]\n\turl = https://me:{gh}@github.com/me/sft.git\n'),
        ),
        (
            "git remote oauth2",
            plain(
                "clone.log",
                f"Cloning https://oauth2:{some(rng, HEX, 20)}@gitlab.corp.net/a/b.git\n",
            ),
        ),
        (
            "git hf remote",
            plain(
                "push.log",
                "git remote set-url origin https://me:hf_"
                + some(rng, ALNUM[:52], 34)
                + "@huggingface.co/me/m\n",
            ),
        ),
        (
            "wandb-metadata remote",
            plain(
                "wandb-metadata.json",
                json.dumps(
                    {"git": {"remote": f"https://x-access-token:{gh}@github.com/me/sft.git"}},
                    indent=2,
                ),
            ),
        ),
        (
            "mlflow url",
            plain("mlflow.sh", f"export MLFLOW_TRACKING_URI=https://me:{p}@mlflow.corp.net\n"),
        ),
        (
            "aws file",
            plain(
                "credentials",
                f"[default]\naws_access_key_id = AKIA{some(rng, BASE32, 16)}\n"
                f"aws_secret_access_key = {b64(rng.randbytes(30))}\n",
            ),
        ),
        (
            "clearml.conf",
            plain(
                "clearml.conf",
                'api {\n  credentials {\n    "access_key" = "'
                + some(rng, UPPER, 20)
                + '"\n    "secret_key" = "'
                + some(rng, ALNUM, 50)
                + '"\n  }\n}\n',
            ),
        ),
        (
            "modal.toml",
            plain(
                "modal.toml",
                f'[me]\ntoken_id = "ak-{some(rng, ALNUM, 22)}"\n'
                f'token_secret = "as-{some(rng, ALNUM, 22)}"\n',
            ),
        ),
        ("comet config", plain("comet.config", f"[comet]\napi_key={some(rng, ALNUM, 25)}\n")),
        (
            "comet experiment",
            plain(
                "comet.py", f'exp = Experiment(api_key="{some(rng, ALNUM, 25)}", workspace="me")\n'
            ),
        ),
        ("cohere client", plain("co.py", f"co = cohere.Client('{some(rng, ALNUM, 40)}')\n")),
        (
            "curl user",
            plain("curl.sh", f"curl -u me:{p} https://nexus.corp.net/repository/m.gguf -O\n"),
        ),
        (
            "curl x-api-key",
            plain(
                "curl2.md",
                f"```\ncurl -H 'x-api-key: {some(rng, HEX, 32)}' https://api.corp.net\n```\n",
            ),
        ),
        (
            "basic header",
            plain(
                "h.json",
                json.dumps({"headers": {"Authorization": "Basic " + b64(f"me:{p}".encode())}}),
            ),
        ),
        ("npmrc", plain(".npmrc", f"//npm.pkg.github.com/:_authToken={checked(rng, 'npm_')}\n")),
        ("pypirc", plain(".pypirc", f"[pypi]\nusername = __token__\npassword = {p}\n")),
        (
            "jwt wrapped",
            plain("NOTES.md", "The token was\n" + "\n".join(textwrap.wrap(jwt(rng), 60)) + "\n"),
        ),
        (
            "hf wrapped in terminal",
            plain(
                "w.log",
                "huggingface_hub login with token hf_"
                + some(rng, ALNUM[:52], 12)
                + "\n"
                + some(rng, ALNUM[:52], 22)
                + "\n",
            ),
        ),
        (
            "getpass default",
            plain("g.py", f'token = os.getenv("HF_TOKEN", "hf_{some(rng, ALNUM[:52], 34)}")\n'),
        ),
        (
            "getenv default bare",
            plain("g2.py", f'key = os.environ.get("WANDB_API_KEY", "{some(rng, HEX, 40)}")\n'),
        ),
        ("colon in tuple", plain("gradio.py", f'demo.launch(auth=("admin", "{p}"), share=True)\n')),
        (
            "password yaml",
            plain("db.yaml", f"database:\n  host: db.corp.net\n  user: ml\n  password: {p}\n"),
        ),
        (
            "lightning",
            plain(
                "l.json",
                json.dumps({"LIGHTNING_USER_ID": a_uuid(rng), "LIGHTNING_API_KEY": a_uuid(rng)}),
            ),
        ),
        ("powershell setx", plain("s.ps1", f"setx WANDB_API_KEY {some(rng, HEX, 40)}\r\n")),
        (
            "env -e flag",
            plain("v.md", f"    docker run -e WANDB_API_KEY={some(rng, HEX, 40)} img\n"),
        ),
        ("vast cli", plain("v.sh", f"vastai set api-key {some(rng, HEX, 64)}\n")),
        (
            "runpod cli",
            plain(
                "rp.sh",
                "runpodctl config --apiKey rpa_"
                + some(rng, UPPER, 40)
                + some(rng, LOWER, 6)
                + "\n",
            ),
        ),
        (
            "telegram url",
            plain(
                "t.log",
                f"GET https://api.telegram.org/bot{rng.randrange(10**9, 10**10)}:AA"
                + some(rng, WORD, 33)
                + "/sendMessage\n",
            ),
        ),
    ]
    return [(name, file, content) for name, (file, content) in made]
