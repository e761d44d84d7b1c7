"""The table of broken configurations: each an accepted one with a change or two."""

from dataclasses import dataclass

# Half of a key, to make whole ones that are wrong in another way.
LONG = "f3a9c1d7e2b84065"


@dataclass(frozen=True)
class Wrong:
    """A broken configuration: what is changed, whom it must name, and a word of what is said of it.

    A setting is changed to None for left out, and to the name of another for that one's value.
    """

    story: str
    said: str
    changes: dict[str, str | None]
    names: set[str]


def wrong(story: str, said: str, *, names: set[str] | None = None, **changes: str | None) -> Wrong:
    """A broken configuration that names what is changed, unless told otherwise."""
    return Wrong(story, said, changes, names or set(changes))


# fmt: off
BROKEN = [
    wrong("no database", "missing", DATABASE_URL=None),
    wrong("no session secret", "missing", SESSION_SECRET=None),
    wrong("no pepper", "missing", API_KEY_PEPPER=None),
    wrong("no encryption key", "missing", ENCRYPTION_KEY=None),
    wrong("no public address", "missing", PUBLIC_URL=None),
    wrong("empty database", "empty", DATABASE_URL=""),
    wrong("empty session secret", "empty", SESSION_SECRET=""),
    wrong("empty pepper in quotes", "empty", API_KEY_PEPPER='""'),
    wrong("empty public address", "empty", PUBLIC_URL=""),
    wrong("change-me", "placeholder", SESSION_SECRET="change-me"),
    wrong("changeme in capitals", "placeholder", API_KEY_PEPPER="CHANGEME"),
    wrong("long change-me", "placeholder", ENCRYPTION_KEY=f"change-me-{LONG}{LONG}"),
    wrong("change_me", "placeholder", ENCRYPTION_KEY=f"Change_Me_{LONG}{LONG}"),
    wrong("your-", "placeholder", SESSION_SECRET=f"your-session-secret-{LONG}"),
    wrong("Your_", "placeholder", SESSION_SECRET=f"Your_{LONG}{LONG}"),
    wrong("xxx", "placeholder", ENCRYPTION_KEY="xxx"),
    wrong("many x", "placeholder", ENCRYPTION_KEY="XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX"),
    wrong("example", "placeholder", API_KEY_PEPPER="example"),
    wrong("long example", "placeholder", API_KEY_PEPPER=f"Example-{LONG}{LONG}"),
    wrong("angle brackets", "placeholder", SESSION_SECRET=f"<{LONG}{LONG}>"),
    wrong("nothing filled in", "placeholder", SESSION_SECRET=f"'${{SESSION_SECRET:-{LONG}{LONG}}}'"),
    wrong("the example's key", "placeholder", SESSION_SECRET="your-session-secret-of-at-least-32-bytes"),
    wrong("short key", "shorter than 32 bytes", SESSION_SECRET="f3a9c1d7e2b8406"),
    wrong("31 bytes", "shorter than 32 bytes", ENCRYPTION_KEY=f"{LONG}0c5d8e1f7a2b493"),
    wrong("one letter", "entropy", API_KEY_PEPPER="kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"),
    wrong("a repeated piece", "entropy", API_KEY_PEPPER=f"{LONG}{LONG}"),
    wrong("the alphabet", "entropy", SESSION_SECRET="abcdefghijklmnopqrstuvwxyz0123456789"),
    wrong("few letters", "entropy", SESSION_SECRET="abcabdabeabfacbaccbadcabdcabecafbace"),
    wrong("words", "entropy", ENCRYPTION_KEY="this-is-my-very-secret-encryption-key-2024"),
    wrong("weak command line token", "entropy", CLI_TOKEN="tttttttttttttttttttttttttttttttt"),
    wrong("weak token of the metrics", "entropy", METRICS_TOKEN="tttttttttttttttttttttttttttttttt"),
    wrong("one key for two", "same value",
          API_KEY_PEPPER="SESSION_SECRET", names={"API_KEY_PEPPER", "SESSION_SECRET"}),
    wrong("one key for three", "same value",
          API_KEY_PEPPER="SESSION_SECRET", ENCRYPTION_KEY="SESSION_SECRET",
          names={"API_KEY_PEPPER", "ENCRYPTION_KEY", "SESSION_SECRET"}),
    wrong("one role for two", "same value",
          WORKER_DATABASE_URL="DATABASE_URL", names={"DATABASE_URL", "WORKER_DATABASE_URL"}),
    wrong("a key as password", "same value",
          SESSION_SECRET=f"{LONG}-0c5d8e1f7a2b4936", REDIS_URL=f"redis://:{LONG}-0c5d8e1f7a2b4936@localhost"),
    wrong("plain http", "not HTTPS", PUBLIC_URL="http://chat.example.com"),
    wrong("plain http here", "not HTTPS", PUBLIC_URL="http://localhost:8080"),
    wrong("no scheme", "not HTTPS", PUBLIC_URL="chat.example.com"),
    wrong("no host", "not valid", PUBLIC_URL="https://"),
    wrong("port out of range", "not valid", PUBLIC_URL="https://chat.example.com:99999"),
    wrong("password in the address", "password", PUBLIC_URL=f"https://ana:{LONG}@chat.example.com"),
    wrong("query in the address", "'?'", PUBLIC_URL="https://chat.example.com/?a=b"),
    wrong("another database", "begin", DATABASE_URL=f"mysql://chat:{LONG}@localhost/metachat"),
    wrong("a driver's scheme", "begin", DATABASE_URL=f"postgresql+asyncpg://chat:{LONG}@localhost/metachat"),
    wrong("no name of a database", "names no database", DATABASE_URL=f"postgresql://chat:{LONG}@localhost"),
    wrong("port in words", "port", DATABASE_URL=f"postgresql://chat:{LONG}@localhost:five/metachat"),
    wrong("port 0", "port", DATABASE_URL=f"postgresql://chat:{LONG}@localhost:0/metachat"),
    wrong("slash in a password", "special", DATABASE_URL=f"postgresql://chat:12/{LONG}@localhost/metachat"),
    wrong("hash in a password", "special", DATABASE_URL=f"postgresql://chat:a#{LONG}@localhost/metachat"),
    wrong("at in a password", "special", DATABASE_URL=f"postgresql://chat:a@{LONG}@localhost/metachat"),
    wrong("lone percent", "special", DATABASE_URL=f"postgresql://chat:a%{LONG[3:]}z%@localhost/metachat"),
    wrong("no host name", "host", DATABASE_URL=f"postgresql://chat:{LONG}@-/metachat"),
    wrong("unknown sslmode", "sslmode",
          DATABASE_URL=f"postgresql://chat:{LONG}@localhost/metachat?sslmode=on"),
    wrong("worker's database malformed", "begin", WORKER_DATABASE_URL="db.internal:5432"),
    wrong("no password of Postgres", "no password", DATABASE_URL="postgresql://chat@localhost/metachat"),
    wrong("empty password of Postgres", "no password", DATABASE_URL="postgresql://chat:@127.0.0.1/metachat"),
    wrong("postgres:postgres", "default", DATABASE_URL="postgresql://postgres:postgres@localhost/metachat"),
    wrong("password", "default", DATABASE_URL="postgresql://chat:Password@db.internal/metachat"),
    wrong("the role as password", "default",
          DATABASE_URL="postgresql://metachat_app:metachat_app@localhost/metachat"),
    wrong("metachat", "default", OWNER_DATABASE_URL="postgresql://owner:metachat@localhost/metachat"),
    wrong("a default in the query", "default",
          DATABASE_URL="postgresql://chat@localhost/metachat?password=postgres"),
    wrong("the example's password", "placeholder",
          DATABASE_URL="postgresql://metachat_app:your-password@localhost:5432/metachat"),
    wrong("changeme in a URL", "placeholder",
          DATABASE_URL="postgresql://chat:ChangeMe123@localhost/metachat"),
    wrong("a default with a year", "default", DATABASE_URL="postgresql://chat:Postgres2024!@localhost/metachat"),
    wrong("no password of Redis", "no password", REDIS_URL="redis://localhost:6379/0"),
    wrong("default password of Redis", "default", REDIS_URL="redis://:redis@127.0.0.1:6379/0"),
    wrong("foobared", "default", REDIS_URL="redis://default:foobared@localhost"),
    wrong("another scheme for Redis", "begin", REDIS_URL=f"http://:{LONG}@localhost:6379"),
    wrong("Redis database in words", "no number", REDIS_URL=f"redis://:{LONG}@localhost:6379/main"),
    wrong("no host of Redis", "no host", REDIS_URL=f"redis://:{LONG}@"),
    wrong("guest:guest", "default", RABBITMQ_URL="amqp://guest:guest@localhost:5672/"),
    wrong("no password of RabbitMQ", "no password", RABBITMQ_URL="amqp://localhost"),
    wrong("admin of RabbitMQ", "default", RABBITMQ_URL="amqps://chat:admin@mq.internal"),
    wrong("another scheme for RabbitMQ", "begin", RABBITMQ_URL=f"rabbitmq://chat:{LONG}@localhost"),
    wrong("two virtual hosts", "virtual host", RABBITMQ_URL=f"amqp://chat:{LONG}@localhost/a/b"),
    wrong("brackets left open", "IPv6", RABBITMQ_URL=f"amqp://chat:{LONG}@[::1/chat"),
    wrong("every origin", "*", CORS_ORIGINS="*"),
    wrong("every origin among others", "*", CORS_ORIGINS="https://shop.example.com, *"),
    wrong("origin with a path", "more than", CORS_ORIGINS="https://shop.example.com/"),
    wrong("origin without scheme", "not valid", CORS_ORIGINS="shop.example.com"),
    wrong("origin with a star", "not valid", CORS_ORIGINS="https://*.example.com"),
    wrong("mail server with scheme", "not valid", SMTP_HOST="smtp://smtp.example.com:587"),
    wrong("mail server with port", "not valid", SMTP_HOST="smtp.example.com:587"),
    wrong("mail port in words", "not valid", SMTP_PORT="smtp"),
    wrong("mail port too high", "not valid", SMTP_PORT="65536"),
    wrong("mail account without password", "missing beside", SMTP_USER="chat", names={"SMTP_PASSWORD"}),
    wrong("mail password without account", "missing beside", SMTP_PASSWORD=f"{LONG}", names={"SMTP_USER"}),
    wrong("mail placeholder", "placeholder",
          SMTP_USER="chat", SMTP_PASSWORD="your-smtp-password", names={"SMTP_PASSWORD"}),
    wrong("mail password in the clear", "clear",
          SMTP_USER="chat", SMTP_PASSWORD=f"{LONG}", SMTP_TLS="none", names={"SMTP_TLS"}),
    wrong("unknown encryption of mail", "not valid", SMTP_TLS="ssl"),
    wrong("no sender's address", "not valid", SMTP_FROM="Chat"),
    wrong("debug", "production", DEBUG="true"),
    wrong("debug as 1", "production", DEBUG="1"),
    wrong("debug in other words", "not valid", DEBUG="enabled"),
    wrong("production in other words", "not valid", PRODUCTION="ture"),
    wrong("port in words of our own", "not valid", PORT="http"),
    wrong("negative number", "not valid", WORKERS="-1"),
    wrong("unknown format", "not valid", LOG_FORMAT="xml"),
    wrong("address with a space", "not valid", HOST="127.0.0.1 ,::1"),
    wrong("half an address", "not valid", HOST="127.0.0"),
    wrong("every network", "every address", ALLOWED_NETWORKS="10.0.0.0/8, 0.0.0.0/0"),
    wrong("no network", "not valid", ALLOWED_NETWORKS="10.0.0.0/33"),
    wrong("tokens in the clear", "without TLS", GRAPH_URL="http://graph.example.com"),
    wrong("embedder without address", "missing",
          EMBEDDER="ollama", EMBEDDER_MODEL="m", names={"EMBEDDER_URL"}),
    wrong("embedder's placeholder", "placeholder", EMBEDDER_KEY="your-embedder-key"),
    wrong("a misspelt name", "no setting", DATABSE_URL="postgresql://a:b@c/d"),
    wrong("an old name", "no setting", JWT_SECRET=f"{LONG}{LONG}"),
    wrong("small letters", "no setting", port="8080"),
    wrong("quotes within quotes", "quotes", SESSION_SECRET=f'\'"{LONG}-0c5d8e1f7a2b4936"\''),
    wrong("a space at the end", "space", SESSION_SECRET=f"'{LONG}-0c5d8e1f7a2b4936 '"),
    wrong("a tab in a key", "control", SESSION_SECRET=f'"{LONG}\\t-0c5d8e1f7a2b4936"'),
]
# fmt: on
