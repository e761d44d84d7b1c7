"""Every setting, declared once; validation, `.env.example` and all pages about settings come from here."""

from metachat.foundation.settings import production
from metachat.foundation.settings.declaration import Declared, Process
from metachat.foundation.settings.parsing import (
    BACKUP_KEEP,
    BACKUP_TARGET,
    FLAG,
    HOST,
    KEY,
    KEYRING,
    MAILBOX,
    NETWORKS,
    ORIGINS,
    PATH,
    POSTGRES,
    RABBITMQ,
    REDIS,
    SECRET_TEXT,
    SECRETS_STORE,
    TEXT,
    WEB_ADDRESS,
    number,
    one_of,
)

_SERVING: tuple[Process, ...] = ("api", "worker")
_DATABASE = "your-password@localhost:5432/metachat"

DECLARED: dict[str, Declared] = {
    "data_dir": Declared(
        "The folder with everything that must survive.", PATH, "/var/lib/metachat",
        otherwise="`var` in a checkout, else `~/.local/share/metachat`"),
    "host": Declared(
        "The address the platform listens on.", HOST, "127.0.0.1", default="127.0.0.1"),
    "port": Declared("The port the platform listens on.", number(1, 65535), "8080", default="8080"),
    "public_url": Declared(
        "The address under which browsers reach the platform.", WEB_ADDRESS, "https://chat.example.com",
        otherwise="the address it listens on", read_by=_SERVING, needed_in_production_by=("up", "api"),
        refused=(production.https,)),
    "database_url": Declared(
        "Postgres for the api processes (role metachat_app).", POSTGRES,
        f"postgresql://metachat_app:{_DATABASE}", secret=True, read_by=("api",), needed_by=("api",),
        refused=(production.postgres_password,)),
    "worker_database_url": Declared(
        "Postgres for the worker (role metachat_worker).", POSTGRES,
        f"postgresql://metachat_worker:{_DATABASE}", secret=True, read_by=("worker",), needed_by=("worker",),
        refused=(production.postgres_password,)),
    "owner_database_url": Declared(
        "Postgres for migrations (role metachat_owner).", POSTGRES,
        f"postgresql://metachat_owner:{_DATABASE}", secret=True, read_by=("migrate",), needed_by=("migrate",),
        refused=(production.postgres_password,)),
    "session_secret": Declared(
        "Signs visitors' tokens.", KEYRING, "your-session-secret-of-at-least-32-bytes", secret=True,
        read_by=("api",), needed_by=("api",), refused=(production.strong_keys,)),
    "api_key_pepper": Declared(
        "Hashes API keys and session tokens.", KEYRING, "your-api-key-pepper-of-at-least-32-bytes",
        secret=True, read_by=("api",), needed_by=("api",), refused=(production.strong_keys,)),
    "encryption_key": Declared(
        "Seals channel and model credentials in the database.", KEYRING,
        "your-encryption-key-of-at-least-32-bytes", secret=True, read_by=_SERVING, needed_by=_SERVING,
        refused=(production.strong_keys,)),
    "cli_token": Declared(
        "Lets this machine's command line act for any tenant.", KEY,
        "your-command-line-token-of-at-least-32-bytes", secret=True, read_by=("api",),
        refused=(production.strong_key,)),
    "metrics_token": Declared(
        "Lets whoever sends it as a bearer token read the metrics through the proxy of a site.", KEY,
        "your-metrics-token-of-at-least-32-bytes", otherwise="nobody may", secret=True, read_by=("api",),
        refused=(production.strong_key,)),
    "secrets_store": Declared(
        "Where the secrets are kept, for `metachat secrets` and `metachat up`.", SECRETS_STORE,
        "age:/etc/metachat/secrets.age", otherwise="`secrets.env` in the data folder",
        refused=(production.kept_apart,)),
    "redis_url": Declared(
        "Redis or Valkey server; checked and reached, nothing uses it yet.", REDIS,
        "redis://:your-password@localhost:6379/0", secret=True, read_by=_SERVING,
        refused=(production.redis_password,)),
    "rabbitmq_url": Declared(
        "RabbitMQ broker; checked and reached, nothing uses it yet.", RABBITMQ,
        "amqp://metachat:your-password@localhost:5672/", secret=True, read_by=_SERVING,
        refused=(production.rabbitmq_password,)),
    "cors_origins": Declared(
        "Web origins whose pages may call the REST API from a browser.", ORIGINS, "https://shop.example.com",
        default="", otherwise="none but its own", read_by=("api",), refused=(production.named_origins,)),
    "smtp_host": Declared(
        "Server that takes outgoing e-mail; checked and reached, nothing uses it yet.", HOST,
        "smtp.example.com", otherwise="no e-mail", read_by=_SERVING),
    "smtp_port": Declared(
        "Port of the e-mail server.", number(1, 65535), "587", default="587", read_by=_SERVING),
    "smtp_user": Declared("Account at the e-mail server.", TEXT, "metachat", default="", read_by=_SERVING),
    "smtp_password": Declared(
        "Password of that account.", SECRET_TEXT, "your-smtp-password", default="", secret=True,
        read_by=_SERVING, refused=(production.real_secret,)),
    "smtp_from": Declared(
        "Sender of our e-mail.", MAILBOX, "Chat <chat@example.com>",
        otherwise="no-reply at the public address", read_by=_SERVING),
    "smtp_tls": Declared(
        "How the connection to the e-mail server is encrypted.", one_of("starttls", "implicit", "none"),
        "starttls", default="starttls", read_by=_SERVING),
    "workers": Declared(
        "Number of api processes; 0 means one per core, at least two.", number(0, 64), "0", default="0",
        unit="processes", read_by=("up",)),
    "turns_in_flight": Declared(
        "Answers that one worker makes at the same time.", number(1, 2000), "200", default="200",
        unit="turns", read_by=("worker",)),
    "database_pool": Declared(
        "Connections to Postgres that each process keeps at most.", number(2, 100), "4", default="4",
        unit="connections", read_by=_SERVING),
    "upload_limit": Declared(
        "The largest file that knowledge accepts.", number(1, 1024), "50", default="50", unit="MiB",
        read_by=_SERVING),
    "media_limit": Declared(
        "The largest file that a conversation accepts; each kind of file has its channel's limit as well.",
        number(1, 100), "25", default="100", unit="MiB", read_by=_SERVING),
    "embedder": Declared(
        "Which embedding model turns text into vectors.", one_of("bundled", "openai", "ollama"), "bundled",
        default="bundled", read_by=_SERVING),
    "embedder_url": Declared(
        "Address of the embedding endpoint, when it is not bundled.", WEB_ADDRESS, "http://localhost:11434",
        read_by=_SERVING),
    "embedder_model": Declared(
        "Name of the embedding model, when it is not bundled.", TEXT, "nomic-embed-text", default="",
        read_by=_SERVING),
    "embedder_dimension": Declared(
        "Length of its vectors, when it is not bundled.", number(1, 4000), "1024", default="1024",
        unit="numbers", read_by=_SERVING),
    "embedder_key": Declared(
        "Key of the embedding endpoint, when it wants one.", SECRET_TEXT, "your-embedder-key", default="",
        secret=True, read_by=_SERVING, refused=(production.real_secret,)),
    "allowed_networks": Declared(
        "Private networks that tenants' addresses may lie in, for a model on this machine, say.", NETWORKS,
        "127.0.0.0/8", default="", otherwise="none", read_by=_SERVING, refused=(production.some_networks,)),
    "graph_url": Declared(
        "Address of Meta's Graph API, through which WhatsApp messages are sent.", WEB_ADDRESS,
        "https://graph.facebook.com", default="https://graph.facebook.com", read_by=_SERVING,
        refused=(production.https_or_loopback,)),
    "outcome_wait": Declared(
        "How long a provider has to tell what became of a message whose sending broke off, before the message"
        " is sent again.", number(1, 600), "10", default="10", unit="seconds", read_by=("worker",)),
    "rate_per_address": Declared(
        "How often one address may ask, in the long run; six seconds' worth at once. 0 means no limit.",
        number(0, 100_000), "50", default="50", unit="requests a second", read_by=("api",)),
    "rate_per_tenant": Declared(
        "How often all of one tenant may ask together, signed in or by API key; ten seconds' worth at once."
        " 0 means no limit.",
        number(0, 100_000), "100", default="100", unit="requests a second", read_by=("api",)),
    "rate_per_key": Declared(
        "How often one API key may ask; ten seconds' worth at once. 0 means no limit.", number(0, 100_000),
        "20", default="20", unit="requests a second", read_by=("api",)),
    "metrics_port": Declared(
        "Port on this machine where a worker shows its metrics; 0 means nowhere. Each worker needs its own.",
        number(0, 65535), "8201", default="0", read_by=("worker",)),
    "backup_target": Declared(
        "Where backups go: a folder on another disk, or a bucket of any S3-compatible store.", BACKUP_TARGET,
        "s3:your-bucket/metachat?endpoint=https://s3.example.com&region=eu-central-1", default="",
        otherwise="no backups", read_by=("up",)),
    "backup_access_key": Declared(
        "Name of the key that the store of backups asks for.", SECRET_TEXT, "your-backup-access-key",
        default="", secret=True, read_by=("up",), refused=(production.real_secret,)),
    "backup_secret_key": Declared(
        "The key itself.", SECRET_TEXT, "your-backup-secret-key", default="", secret=True, read_by=("up",),
        refused=(production.real_secret,)),
    "backup_recipients": Declared(
        "Public age keys that open the backups besides this machine's own: the recovery key in the safe.",
        TEXT, "age1your-recovery-key", default="", otherwise="this machine only", read_by=("up",)),
    "backup_keep": Declared(
        "How many backups are kept for good: one of each day, week and month.", BACKUP_KEEP,
        "7 daily 4 weekly 12 monthly", default="7 daily 4 weekly 12 monthly", read_by=("up",)),
    "backup_hours": Declared(
        "Time from one full backup to the next.", number(1, 168), "24", default="24", unit="hours",
        read_by=("up",)),
    "drill_days": Declared(
        "Time from one restore drill to the next; 0 means never.", number(0, 366), "7", default="7",
        unit="days", read_by=("up",)),
    "log_format": Declared("Form of the log lines.", one_of("json", "text"), "json", default="json"),
    "debug": Declared(
        "Log every detail.", FLAG, "false", default="false", refused=(production.switched_off,)),
    "production": Declared(
        "Refuse whatever is only good for development.", FLAG, "true", default="false"),
}  # fmt: skip

# Names with our prefix that are no settings of the platform: what documents call the variables of programs
# that use its API, and how long its long tests repeat.
OTHER_NAMES = ("METACHAT_URL", "METACHAT_KEY", "METACHAT_SOAK")
