"""More files of logins, and lines for one service."""

import base64
import json
from random import Random
from urllib.parse import quote

from key_places import notebook, plain, stream
from key_values import ALNUM, HEX, UPPER, WORD, a_uuid, b64, checked, jwt, password, pem, some


def more_files(rng: Random) -> list[tuple[str, str, bytes]]:
    p, h = password(rng), some(rng, HEX, 40)
    made = [
        (
            "git-credentials",
            plain(".git-credentials", f"https://me:{checked(rng, 'ghp_')}@github.com\n"),
        ),
        (
            "git-credentials hf",
            plain(
                ".git-credentials", f"https://user:hf_{some(rng, ALNUM[:52], 34)}@huggingface.co\n"
            ),
        ),
        ("hf token file", plain("token", "hf_" + some(rng, ALNUM[:52], 34))),
        (
            "hf stored tokens",
            plain("stored_tokens", f"[laptop]\nhf_token = hf_{some(rng, ALNUM[:52], 34)}\n"),
        ),
        ("netrc tabs", plain(".netrc", f"machine api.wandb.ai\n\tlogin user\n\tpassword {h}\n")),
        (
            "netrc made by code",
            plain(
                "n.py",
                f'open("/root/.netrc", "w").write("machine api.wandb.ai\\n  login user\\n  '
                f'password {h}\\n")\n',
            ),
        ),
        (
            "wandb output",
            (
                "w.ipynb",
                notebook(
                    ["wandb.login()"],
                    [
                        stream(
                            f"wandb: Paste an API key from your profile and hit enter: {h}\n"
                            f"wandb: Appending key for api.wandb.ai\n"
                        )
                    ],
                ),
            ),
        ),
        ("wandb_key var", plain("k.py", f"wandb_key = '{h}'\n!wandb login {{wandb_key}}\n")),
        (
            "kaggle python dict",
            plain("k.py", f"api_token = {{'username': 'me', 'key': '{some(rng, HEX, 32)}'}}\n"),
        ),
        (
            "kaggle env",
            plain("k.sh", f"export KAGGLE_USERNAME=me\nexport KAGGLE_KEY={some(rng, HEX, 32)}\n"),
        ),
        (
            "conda channel",
            plain(".condarc", f"channels:\n  - https://conda.anaconda.org/t/tk-{h}/me\n"),
        ),
        (
            "pip install url",
            (
                "p.ipynb",
                notebook(
                    [f"!pip install git+https://{checked(rng, 'ghp_')}@github.com/me/lib.git"], []
                ),
            ),
        ),
        (
            "pip install deploy",
            plain(
                "r.txt",
                f"git+https://gitlab+deploy-token-12:{some(rng, WORD, 20)}@gitlab.com/a/b.git\n",
            ),
        ),
        ("poetry", plain("poetry.toml", f'[http-basic.corp]\nusername = "me"\npassword = "{p}"\n')),
        ("uv index", plain("uv.env", f"UV_INDEX_CORP_PASSWORD={p}\n")),
        ("smtp", plain("mail.py", f'server.login("me@corp.net", "{p}")\n')),
        ("sshpass", plain("copy.sh", f"sshpass -p '{p}' scp model.gguf me@10.0.0.4:/srv\n")),
        ("mysql -p", plain("dump.sh", f"mysqldump -u root -p{p} runs > runs.sql\n")),
        ("pgpassword", plain("dump2.sh", f"PGPASSWORD={p} psql -h db.corp.net -U ml runs\n")),
        ("pgpass", plain(".pgpass", f"db.corp.net:5432:runs:ml:{p}\n")),
        (
            "mongo client",
            plain("db.py", f'MongoClient("mongodb://ml:{p}@10.2.3.4:27017/?authSource=admin")\n'),
        ),
        (
            "sqlalchemy",
            plain(
                "alembic.ini", f"sqlalchemy.url = postgresql+psycopg://ml:{p}@db.corp.net/runs\n"
            ),
        ),
        (
            "mlflow py",
            plain(
                "m.py",
                f'os.environ["MLFLOW_TRACKING_USERNAME"] = "me"\n'
                f'os.environ["MLFLOW_TRACKING_PASSWORD"] = "{p}"\n',
            ),
        ),
        (
            "jupyter url",
            plain("j.log", f"    http://127.0.0.1:8888/lab?token={some(rng, HEX, 48)}\n"),
        ),
        (
            "ngrok conf",
            plain(
                "ngrok.yml",
                f'version: "2"\nauthtoken: 2{some(rng, ALNUM, 26)}_{some(rng, ALNUM, 21)}\n',
            ),
        ),
        (
            "ngrok cli",
            (
                "g.ipynb",
                notebook(
                    [f"!ngrok config add-authtoken 2{some(rng, ALNUM, 26)}_{some(rng, ALNUM, 21)}"],
                    [],
                ),
            ),
        ),
        ("aws export", plain("a.sh", f"export AWS_ACCESS_KEY_ID=ASIA{some(rng, UPPER, 16)}\n")),
        (
            "aws boto3",
            plain(
                "b.py",
                f'boto3.client("s3", aws_access_key_id='
                f'"AKIA{some(rng, "ABCDEFGHIJKLMN234567", 16)}",\n    aws_secret_access_key='
                f'"{b64(rng.randbytes(30))}")\n',
            ),
        ),
        (
            "fsspec options",
            plain("f.py", f'fs = s3fs.S3FileSystem(key="x", secret="{b64(rng.randbytes(30))}")\n'),
        ),
        (
            "storage options",
            plain(
                "d.yaml",
                f"storage_options:\n  account_name: me\n  account_key: {b64(rng.randbytes(64))}\n",
            ),
        ),
        (
            "sagemaker hyperparameters",
            plain(
                "hp.json",
                json.dumps(
                    {"hyperparameters": json.dumps({"hf_token": "hf_" + some(rng, ALNUM[:52], 34)})}
                ),
            ),
        ),
        (
            "axolotl",
            plain(
                "axolotl.yml",
                f"base_model: x\nhub_model_id: me/x\nwandb_project: p\nwandb_api_key: {h}\n",
            ),
        ),
        (
            "llamafactory",
            plain(
                "lf.yaml",
                f"report_to: wandb\nexport_hub_model_id: a/b\nhf_hub_token: "
                f"hf_{some(rng, ALNUM[:52], 34)}\n",
            ),
        ),
        (
            "unsloth push",
            plain(
                "u.py",
                f'model.push_to_hub_merged("me/x", tokenizer, token = '
                f'"hf_{some(rng, ALNUM[:52], 34)}")\n',
            ),
        ),
        (
            "use_auth_token",
            plain(
                "v.py",
                f"AutoModel.from_pretrained('a/b', use_auth_token="
                f"'hf_{some(rng, ALNUM[:52], 34)}')\n",
            ),
        ),
        (
            "ec key one line env",
            plain(
                "e.env", 'SSH_KEY="' + pem(rng, "EC PRIVATE KEY", 121).replace("\n", "\\n") + '"\n'
            ),
        ),
        (
            "key in notebook",
            (
                "pk.ipynb",
                notebook(pem(rng, "OPENSSH PRIVATE KEY", 200, 70).splitlines(keepends=True), []),
            ),
        ),
        ("key crlf", ("k.pem", pem(rng, "RSA PRIVATE KEY", 1190).replace("\n", "\r\n").encode())),
        ("dsa key", plain("id_dsa", pem(rng, "DSA PRIVATE KEY", 400))),
        (
            "putty key",
            plain(
                "k.ppk",
                "PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\nPrivate-Lines: 1\n"
                + b64(rng.randbytes(36))
                + "\nPrivate-MAC: "
                + some(rng, HEX, 64)
                + "\n",
            ),
        ),
        (
            "key base64",
            plain(
                "k.yaml",
                "ssh_key: "
                + base64.b64encode(pem(rng, "OPENSSH PRIVATE KEY", 200, 70).encode()).decode()
                + "\n",
            ),
        ),
        (
            "gcp hmac",
            plain(
                "gs.ini",
                f"gs_access_key_id = GOOG1E{some(rng, UPPER, 55)}\ngs_secret_access_key = "
                f"{b64(rng.randbytes(30))}\n",
            ),
        ),
        (
            "gcp oauth file",
            plain(
                "adc.json",
                json.dumps(
                    {
                        "client_id": "1-a.apps.googleusercontent.com",
                        "client_secret": "d-" + some(rng, ALNUM, 22),
                        "refresh_token": "1//0" + some(rng, WORD, 90),
                        "type": "authorized_user",
                    }
                ),
            ),
        ),
        (
            "sas sig",
            plain(
                "s.py",
                f'url = "https://a.dfs.core.windows.net/x?sp=r&st=2026-01-01&sig='
                f'{quote(b64(rng.randbytes(32)), safe="")}&sv=2023-11-03"\n',
            ),
        ),
        (
            "azure ad",
            plain(
                "ad.json",
                json.dumps(
                    {
                        "clientId": a_uuid(rng),
                        "clientSecret": some(rng, ALNUM, 3) + "7Q~" + some(rng, WORD, 34),
                    }
                ),
            ),
        ),
        (
            "slack payload",
            plain(
                "sl.py",
                "requests.post('https://hooks.slack.com/services/T"
                + some(rng, UPPER, 8)
                + "/B"
                + some(rng, UPPER, 10)
                + "/"
                + some(rng, ALNUM, 24)
                + "')\n",
            ),
        ),
        (
            "teams webhook",
            plain(
                "te.py",
                f"hook = 'https://corp.webhook.office.com/webhookb2/"
                f"{a_uuid(rng)}@{a_uuid(rng)}/IncomingWebhook/{some(rng, HEX, 32)}/"
                f"{a_uuid(rng)}'\n",
            ),
        ),
        (
            "telegram py",
            plain(
                "tg.py",
                f"bot = Bot(token='{rng.randrange(10**9, 10**10)}:AA{some(rng, WORD, 33)}')\n",
            ),
        ),
        (
            "discord py",
            plain(
                "di.py",
                f"client.run('{b64(str(rng.randrange(10**17, 10**18)).encode())}"
                f".{some(rng, ALNUM, 6)}.{some(rng, WORD, 38)}')\n",
            ),
        ),
        (
            "openai client",
            plain(
                "o.py",
                f'client = OpenAI(base_url="http://gpu:8000/v1", api_key='
                f'"{some(rng, ALNUM, 36)}")\n',
            ),
        ),
        ("vllm api key", plain("vl.sh", f"vllm serve me/x --api-key {some(rng, HEX, 32)}\n")),
        (
            "tgi header",
            plain("tg.md", f"```\ncurl -H 'authorization: bearer {jwt(rng)}' host/generate\n```\n"),
        ),
        (
            "streamlit secrets",
            plain("secrets.toml", f'[passwords]\nme = "x"\n[connections.sql]\npassword = "{p}"\n'),
        ),
        ("gradio", plain("gr.py", f"demo.launch(auth=[('me', '{p}')])\n")),
        ("terraform", plain("m.tf", f'variable "db_password" {{\n  default = "{p}"\n}}\n')),
        ("ansible", plain("hosts.ini", f"[gpu]\n10.0.0.4 ansible_user=me ansible_password={p}\n")),
        ("wget", plain("wg.sh", f"wget --user=me --password='{p}' https://corp.net/m.tar\n")),
        ("helm", plain("values.yaml", f"postgresql:\n  auth:\n    postgresPassword: {p}\n")),
        ("cookie", plain("c.py", f'cookies = {{"session_token": "{jwt(rng)}"}}\n')),
    ]
    return [(name, file, content) for name, (file, content) in made]
