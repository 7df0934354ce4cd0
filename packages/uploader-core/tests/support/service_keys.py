"""Keys of the services that people who fine-tune use: how each looks, and its variable."""

import json
import string

from key_values import (
    ALNUM,
    BASE32,
    HEX,
    LOWER,
    UPPER,
    WORD,
    Kind,
    a_uuid,
    b64,
    b64url,
    checked,
    jwt,
    parts_of,
    password,
    run_of,
    some,
)

KINDS: tuple[Kind, ...] = (
    Kind("hf user", "HF_TOKEN", run_of(string.ascii_letters, 34, "hf_")),
    Kind("hf user 2", "HUGGING_FACE_HUB_TOKEN", run_of(string.ascii_letters, 34, "hf_")),
    Kind("hf org", "HF_ORG_TOKEN", run_of(string.ascii_letters, 34, "api_org_")),
    Kind("hf oauth", "HF_OAUTH_TOKEN", lambda rng: "hf_oauth_" + jwt(rng, "huggingface")),
    Kind("github classic", "GITHUB_TOKEN", lambda rng: checked(rng, "ghp_")),
    Kind("github oauth", "GH_TOKEN", lambda rng: checked(rng, "gho_")),
    Kind("github action", "GH_TOKEN", lambda rng: checked(rng, "ghs_")),
    Kind("github fine", "GITHUB_PAT", parts_of("github_pat_11", (UPPER, 20), "_", (ALNUM, 59))),
    Kind("gitlab", "GITLAB_TOKEN", run_of(WORD, 20, "glpat-")),
    Kind(
        "gitlab routable",
        "GITLAB_TOKEN",
        parts_of("glpat-", (WORD, 27), ".01.", (LOWER, 9)),
    ),
    Kind("gitlab deploy", "CI_DEPLOY_TOKEN", run_of(WORD, 20, "gldt-")),
    Kind(
        "openai project", "OPENAI_API_KEY", parts_of("sk-proj-", (WORD, 74), "T3BlbkFJ", (WORD, 74))
    ),
    Kind("openai legacy", "OPENAI_API_KEY", parts_of("sk-", (ALNUM, 20), "T3BlbkFJ", (ALNUM, 20))),
    Kind(
        "openai service",
        "OPENAI_API_KEY",
        parts_of("sk-svcacct-", (WORD, 74), "T3BlbkFJ", (WORD, 74)),
    ),
    Kind("anthropic", "ANTHROPIC_API_KEY", run_of(WORD, 93, "sk-ant-api03-", "AA")),
    Kind("cohere", "CO_API_KEY", run_of(ALNUM, 40), bare=True),
    Kind("mistral", "MISTRAL_API_KEY", run_of(ALNUM, 32), bare=True),
    Kind("together", "TOGETHER_API_KEY", run_of(HEX, 64), bare=True),
    Kind("together v1", "TOGETHER_API_KEY", run_of(WORD, 43, "tgp_v1_")),
    Kind("replicate", "REPLICATE_API_TOKEN", run_of(ALNUM, 37, "r8_")),
    Kind("groq", "GROQ_API_KEY", run_of(ALNUM, 52, "gsk_")),
    Kind("wandb", "WANDB_API_KEY", run_of(HEX, 40), bare=True),
    Kind("wandb v1", "WANDB_API_KEY", parts_of("wandb_v1_", (ALNUM, 22), "_", (ALNUM, 54))),
    Kind("comet", "COMET_API_KEY", run_of(ALNUM, 25), bare=True),
    Kind(
        "neptune",
        "NEPTUNE_API_TOKEN",
        lambda rng: b64(
            json.dumps(
                {
                    "api_address": "https://app.neptune.ai",
                    "api_url": "https://app.neptune.ai",
                    "api_key": a_uuid(rng),
                },
                separators=(",", ":"),
            ).encode()
        ),
    ),
    Kind("clearml", "CLEARML_API_SECRET_KEY", run_of(ALNUM, 50), bare=True),
    Kind("mlflow", "MLFLOW_TRACKING_PASSWORD", password, bare=True),
    Kind("aws id", "AWS_ACCESS_KEY_ID", run_of(BASE32, 16, "AKIA")),
    Kind("aws secret", "AWS_SECRET_ACCESS_KEY", lambda rng: b64(rng.randbytes(30)), bare=True),
    Kind(
        "aws session",
        "AWS_SESSION_TOKEN",
        lambda rng: "IQoJb3JpZ2luX2Vj" + b64(rng.randbytes(270)),
        bare=True,
    ),
    Kind("google api", "GOOGLE_API_KEY", run_of(WORD, 35, "AIza")),
    Kind("google oauth", "GOOGLE_OAUTH_ACCESS_TOKEN", run_of(WORD, 180, "ya29.a0A")),
    Kind("google client", "GOOGLE_CLIENT_SECRET", run_of(WORD, 28, "GOCSPX-")),
    Kind("azure openai", "AZURE_OPENAI_API_KEY", run_of(HEX, 32), bare=True),
    Kind(
        "azure openai new",
        "AZURE_OPENAI_API_KEY",
        parts_of((ALNUM, 52), "JQQJ99BAACYeBjFXJ3w3AAABACOG", (ALNUM, 4)),
        bare=True,
    ),
    Kind("azure client", "AZURE_CLIENT_SECRET", parts_of((ALNUM, 3), "8Q~", (ALNUM + "_~.-", 34))),
    Kind(
        "azure storage",
        "AZURE_STORAGE_CONNECTION_STRING",
        lambda rng: (
            f"DefaultEndpointsProtocol=https;AccountName={some(rng, LOWER, 12)};AccountKey="
            f"{some(rng, ALNUM + '+/', 76)}+ASt{some(rng, ALNUM, 6)}==;"
            "EndpointSuffix=core.windows.net"
        ),
    ),
    Kind(
        "azure sas",
        "AZURE_STORAGE_SAS_URL",
        lambda rng: (
            f"https://{some(rng, LOWER, 10)}.blob.core.windows.net/models?sv=2024-11-04&ss="
            f"b&srt=sco"
            "&sp=rwdlac&se=2027-01-01T00:00:00Z&spr=https&sig="
            + b64(rng.randbytes(32)).replace("+", "%2B").replace("/", "%2F").replace("=", "%3D")
        ),
    ),
    Kind(
        "slack bot",
        "SLACK_BOT_TOKEN",
        parts_of("xoxb-", (string.digits, 12), "-", (string.digits, 13), "-", (ALNUM, 24)),
    ),
    Kind(
        "slack app",
        "SLACK_APP_TOKEN",
        parts_of("xapp-1-A", (UPPER, 10), "-", (string.digits, 13), "-", (HEX, 64)),
    ),
    Kind(
        "slack hook",
        "SLACK_WEBHOOK_URL",
        parts_of(
            "https://hooks.slack.com/services/T", (UPPER, 10), "/B", (UPPER, 10), "/", (ALNUM, 24)
        ),
    ),
    Kind(
        "discord bot",
        "DISCORD_TOKEN",
        lambda rng: (
            b64url(str(rng.randrange(10**17, 10**18)).encode())
            + "."
            + some(rng, WORD, 6)
            + "."
            + some(rng, WORD, 38)
        ),
    ),
    Kind(
        "discord hook",
        "DISCORD_WEBHOOK_URL",
        parts_of("https://discord.com/api/webhooks/1", (string.digits, 18), "/", (WORD, 68)),
    ),
    Kind("telegram", "TELEGRAM_BOT_TOKEN", parts_of("7", (string.digits, 9), ":AA", (WORD, 33))),
    Kind("stripe", "STRIPE_SECRET_KEY", run_of(ALNUM, 99, "sk_live_51")),
    Kind("stripe restricted", "STRIPE_API_KEY", run_of(ALNUM, 99, "rk_live_51")),
    Kind("npm", "NPM_TOKEN", lambda rng: checked(rng, "npm_")),
    Kind(
        "pypi",
        "TWINE_PASSWORD",
        lambda rng: "pypi-AgEIcHlwaS5vcmc" + b64url(rng.randbytes(125)),
    ),
    Kind("runpod", "RUNPOD_API_KEY", parts_of("rpa_", (UPPER, 40), (LOWER, 6))),
    Kind("vast", "VAST_API_KEY", run_of(HEX, 64), bare=True),
    Kind("lambda", "LAMBDA_API_KEY", parts_of("secret_trainer_", (HEX, 32), ".", (ALNUM, 32))),
    Kind("modal secret", "MODAL_TOKEN_SECRET", run_of(ALNUM, 22, "as-"), bare=True),
    Kind("lightning", "LIGHTNING_API_KEY", a_uuid, bare=True),
    Kind("databricks", "DATABRICKS_TOKEN", run_of(HEX, 32, "dapi")),
    Kind("openrouter", "OPENROUTER_API_KEY", run_of(HEX, 64, "sk-or-v1-")),
    Kind("deepseek", "DEEPSEEK_API_KEY", run_of(HEX, 32, "sk-")),
    Kind("xai", "XAI_API_KEY", run_of(ALNUM, 80, "xai-")),
    Kind("perplexity", "PERPLEXITY_API_KEY", run_of(ALNUM, 48, "pplx-")),
    Kind("fireworks", "FIREWORKS_API_KEY", run_of(ALNUM, 24, "fw_")),
    Kind("nvidia", "NVIDIA_API_KEY", run_of(WORD, 64, "nvapi-")),
    Kind("cerebras", "CEREBRAS_API_KEY", run_of(LOWER, 48, "csk-")),
    Kind("langsmith", "LANGSMITH_API_KEY", parts_of("lsv2_pt_", (HEX, 32), "_", (HEX, 10))),
    Kind("langfuse", "LANGFUSE_SECRET_KEY", lambda rng: "sk-lf-" + a_uuid(rng)),
    Kind("pinecone", "PINECONE_API_KEY", parts_of("pcsk_", (ALNUM, 6), "_", (ALNUM, 63))),
    Kind("tavily", "TAVILY_API_KEY", run_of(ALNUM, 32, "tvly-dev-")),
    Kind("kaggle new", "KAGGLE_API_TOKEN", run_of(HEX, 32, "KGAT_")),
    Kind("dagshub", "DAGSHUB_USER_TOKEN", run_of(HEX, 40), bare=True),
    Kind("sendgrid", "SENDGRID_API_KEY", parts_of("SG.", (WORD, 22), ".", (WORD, 43))),
    Kind("digitalocean", "DIGITALOCEAN_TOKEN", run_of(HEX, 64, "dop_v1_")),
    Kind("vault", "VAULT_TOKEN", run_of(WORD, 90, "hvs.")),
    Kind("age", "SOPS_AGE_KEY", run_of("QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L", 58, "AGE-SECRET-KEY-1")),
    Kind("jwt", "API_JWT", jwt),
    Kind(
        "postgres",
        "DATABASE_URL",
        lambda rng: f"postgresql://trainer:{password(rng)}@db.{some(rng, LOWER, 6)}.net:5432/runs",
    ),
    Kind(
        "mongo",
        "MONGODB_URI",
        lambda rng: (
            f"mongodb+srv://ml:"
            f"{some(rng, ALNUM, 16)}@cluster0.{some(rng, LOWER, 5)}.mongodb.net/data"
        ),
    ),
    Kind(
        "redis",
        "REDIS_URL",
        lambda rng: f"redis://:{some(rng, ALNUM, 20)}@cache.{some(rng, LOWER, 5)}.io:6379/0",
    ),
)
