"""Keys of more services, and of the same ones under other names."""

import json

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

DIGITS = "0123456789"
SYMBOLS = "abcdefghijklmnopqrstuvwxyz0123456789!@#%^&*(-_=+)"

MORE: tuple[Kind, ...] = (
    Kind("hf write", "HF_WRITE_TOKEN", run_of(ALNUM[:52], 34, "hf_")),
    Kind("hf hub", "HUGGINGFACEHUB_API_TOKEN", run_of(ALNUM[:52], 34, "hf_")),
    Kind("hf wrapper", "HUGGINGFACE_TOKEN", run_of(ALNUM[:52], 34, "hf_")),
    Kind("github user", "GH_USER_TOKEN", lambda rng: checked(rng, "ghu_")),
    Kind("github refresh", "GH_REFRESH_TOKEN", lambda rng: checked(rng, "ghr_")),
    Kind("github fine", "GH_PAT", parts_of("github_pat_11", (UPPER, 20), "_", (ALNUM, 59))),
    Kind("gitlab runner", "RUNNER_TOKEN", run_of(WORD, 20, "glrt-")),
    Kind("bitbucket", "BITBUCKET_APP_PASSWORD", run_of(ALNUM, 32, "ATBB")),
    Kind(
        "azure devops",
        "AZURE_DEVOPS_PAT",
        run_of("abcdefghijklmnopqrstuvwxyz234567", 52),
        bare=True,
    ),
    Kind("docker", "DOCKERHUB_TOKEN", run_of(WORD, 27, "dckr_pat_")),
    Kind("artifactory", "ARTIFACTORY_API_KEY", run_of(ALNUM, 69, "AKCp8")),
    Kind(
        "openai admin",
        "OPENAI_ADMIN_KEY",
        parts_of("sk-admin-", (WORD, 58), "T3BlbkFJ", (WORD, 58)),
    ),
    Kind("openai project", "OPENAI_KEY", parts_of("sk-proj-", (WORD, 74), "T3BlbkFJ", (WORD, 74))),
    Kind("anthropic admin", "ANTHROPIC_ADMIN_KEY", run_of(WORD, 93, "sk-ant-admin01-", "AA")),
    Kind("anthropic oauth", "CLAUDE_CODE_OAUTH_TOKEN", run_of(WORD, 93, "sk-ant-oat01-", "AA")),
    Kind("gemini new", "GEMINI_API_KEY", run_of(WORD, 50, "AQ.Ab8")),
    Kind("gemini", "GEMINI_API_KEY", run_of(WORD, 35, "AIza")),
    Kind("voyage", "VOYAGE_API_KEY", run_of(WORD, 43, "pa-")),
    Kind("jina", "JINA_API_KEY", parts_of("jina_", (HEX, 32), (ALNUM, 28))),
    Kind("elevenlabs", "ELEVENLABS_API_KEY", run_of(HEX, 48, "sk_")),
    Kind("deepgram", "DEEPGRAM_API_KEY", run_of(HEX, 40), bare=True),
    Kind("assemblyai", "ASSEMBLYAI_API_KEY", run_of(HEX, 32), bare=True),
    Kind("sambanova", "SAMBANOVA_API_KEY", a_uuid, bare=True),
    Kind("baseten", "BASETEN_API_KEY", parts_of((ALNUM, 8), ".", (ALNUM, 32)), bare=True),
    Kind("nebius", "NEBIUS_API_KEY", jwt),
    Kind("scaleway", "SCW_SECRET_KEY", a_uuid, bare=True),
    Kind("hetzner", "HCLOUD_TOKEN", run_of(ALNUM, 64), bare=True),
    Kind("cloudflare", "CLOUDFLARE_API_TOKEN", run_of(WORD, 40), bare=True),
    Kind("r2 secret", "R2_SECRET_ACCESS_KEY", run_of(HEX, 64), bare=True),
    Kind("backblaze", "B2_APPLICATION_KEY", parts_of("K005", (ALNUM, 27)), bare=True),
    Kind("minio", "MINIO_SECRET_KEY", run_of(ALNUM, 40), bare=True),
    Kind("label studio", "LABEL_STUDIO_API_KEY", run_of(HEX, 40), bare=True),
    Kind("roboflow", "ROBOFLOW_API_KEY", run_of(ALNUM, 20), bare=True),
    Kind("swanlab", "SWANLAB_API_KEY", run_of(ALNUM, 21), bare=True),
    Kind("modelscope", "MODELSCOPE_API_TOKEN", lambda rng: "ms-" + a_uuid(rng), bare=True),
    Kind("dashscope", "DASHSCOPE_API_KEY", run_of(HEX, 32, "sk-")),
    Kind("zhipu", "ZHIPUAI_API_KEY", parts_of((HEX, 32), ".", (ALNUM, 16)), bare=True),
    Kind("moonshot", "MOONSHOT_API_KEY", run_of(ALNUM, 48, "sk-")),
    Kind("siliconflow", "SILICONFLOW_API_KEY", run_of("abcdefghijklmnopqrstuvwxyz", 48, "sk-")),
    Kind("baidu", "QIANFAN_TOKEN", parts_of("bce-v3/ALTAK-", (ALNUM, 21), "/", (HEX, 40))),
    Kind("volcengine", "ARK_API_KEY", a_uuid, bare=True),
    Kind("qdrant", "QDRANT_API_KEY", lambda rng: jwt(rng, "qdrant")),
    Kind("supabase", "SUPABASE_SERVICE_ROLE_KEY", lambda rng: jwt(rng, "supabase")),
    Kind("snowflake", "SNOWFLAKE_PASSWORD", password, bare=True),
    Kind("mysql password", "MYSQL_ROOT_PASSWORD", password, bare=True),
    Kind("django", "SECRET_KEY", run_of(SYMBOLS, 50), bare=True),
    Kind("flask", "FLASK_SECRET_KEY", run_of(HEX, 64), bare=True),
    Kind(
        "fernet",
        "AIRFLOW__CORE__FERNET_KEY",
        lambda rng: b64url(rng.randbytes(32)) + "=",
        bare=True,
    ),
    Kind("terraform", "TF_TOKEN", parts_of((ALNUM, 14), ".atlasv1.", (ALNUM, 67))),
    Kind("doppler", "DOPPLER_TOKEN", run_of(ALNUM, 43, "dp.st.prd.")),
    Kind("prefect", "PREFECT_API_KEY", run_of(ALNUM, 36, "pnu_")),
    Kind(
        "sentry",
        "SENTRY_AUTH_TOKEN",
        lambda rng: (
            "sntrys_"
            + b64(json.dumps({"iat": 1.79e9, "url": "https://sentry.io", "org": "me"}).encode())
            + "_"
            + some(rng, ALNUM, 43)
        ),
    ),
    Kind("twilio", "TWILIO_AUTH_TOKEN", run_of(HEX, 32), bare=True),
    Kind("mailgun", "MAILGUN_API_KEY", run_of(HEX, 32, "key-"), bare=True),
    Kind("ngrok", "NGROK_AUTHTOKEN", parts_of("2", (ALNUM, 26), "_", (ALNUM, 21)), bare=True),
    Kind("tailscale", "TS_AUTHKEY", parts_of("tskey-auth-", (ALNUM, 17), "-", (ALNUM, 32))),
    Kind("wandb local", "WANDB_API_KEY", run_of(HEX, 40, "local-"), bare=True),
    Kind("wandb", "WANDB_API_KEY", run_of(HEX, 40), bare=True),
    Kind("trackio", "TRACKIO_WRITE_TOKEN", run_of(WORD, 43), bare=True),
    Kind("kaggle", "KAGGLE_KEY", run_of(HEX, 32), bare=True),
    Kind("lambda", "LAMBDA_CLOUD_API_KEY", parts_of("secret_box_", (HEX, 32), ".", (ALNUM, 32))),
    Kind("runpod old", "RUNPOD_API_KEY", run_of(UPPER, 40), bare=True),
    Kind("databricks", "DATABRICKS_TOKEN", parts_of("dapi", (HEX, 32), "-2")),
    Kind("aws temporary id", "AWS_ACCESS_KEY_ID", run_of(BASE32, 16, "ASIA")),
    Kind("aws secret", "AWS_SECRET_ACCESS_KEY", lambda rng: b64(rng.randbytes(30)), bare=True),
    Kind(
        "bedrock",
        "AWS_BEARER_TOKEN_BEDROCK",
        lambda rng: (
            "ABSK"
            + b64(
                f"BedrockAPIKey-{some(rng, LOWER, 4)}-at-{some(rng, DIGITS, 12)}:".encode()
                + rng.randbytes(32)
            )
        ),
    ),
    Kind(
        "service bus",
        "AZURE_SERVICEBUS_CONNECTION_STRING",
        lambda rng: (
            "Endpoint=sb://runs.servicebus.windows.net/;SharedAccessKeyName=Root;SharedAccessKey="
            + b64(rng.randbytes(32))
        ),
    ),
    Kind(
        "mysql url", "DB_URL", lambda rng: f"mysql+pymysql://root:{password(rng)}@10.0.3.7:3306/ml"
    ),
    Kind(
        "amqp",
        "CELERY_BROKER_URL",
        lambda rng: f"amqp://worker:{some(rng, ALNUM, 18)}@mq.{some(rng, LOWER, 5)}.net:5672//",
    ),
    Kind(
        "proxy", "HTTPS_PROXY", lambda rng: f"http://me.surname:{password(rng)}@proxy.corp.net:3128"
    ),
    Kind(
        "neon",
        "NEON_DATABASE_URL",
        lambda rng: f"postgres://me:npg_{some(rng, ALNUM, 12)}@ep-x.aws.neon.tech/db",
    ),
    Kind("influx", "INFLUX_TOKEN", lambda rng: b64(rng.randbytes(64)), bare=True),
    Kind("grafana", "GRAFANA_TOKEN", parts_of("glsa_", (ALNUM, 32), "_", (HEX, 8))),
)
