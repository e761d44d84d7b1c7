"""The validated settings of a process."""

from dataclasses import dataclass
from pathlib import Path

from metachat.foundation.settings.secret import Secret

# Of the standard library's logging, which not everybody who reads settings needs.
_DEBUG, _INFO = 10, 20


@dataclass(frozen=True, slots=True)
class Settings:
    """The validated settings; a secret that the process doesn't read is None."""

    data_dir: Path
    host: str
    port: int
    public_url: str
    database_url: Secret | None
    worker_database_url: Secret | None
    owner_database_url: Secret | None
    session_secret: Secret | None
    api_key_pepper: Secret | None
    encryption_key: Secret | None
    cli_token: Secret | None
    metrics_token: Secret | None
    secrets_store: str
    redis_url: Secret | None
    rabbitmq_url: Secret | None
    cors_origins: tuple[str, ...]
    smtp_host: str
    smtp_port: int
    smtp_user: str
    smtp_password: Secret
    smtp_from: str
    smtp_tls: str
    workers: int
    turns_in_flight: int
    database_pool: int
    upload_limit: int
    media_limit: int
    embedder: str
    embedder_url: str
    embedder_model: str
    embedder_dimension: int
    embedder_key: Secret
    allowed_networks: tuple[str, ...]
    graph_url: str
    outcome_wait: int
    rate_per_address: int
    rate_per_tenant: int
    rate_per_key: int
    backup_target: str
    backup_access_key: Secret
    backup_secret_key: Secret
    backup_recipients: str
    backup_keep: str
    backup_hours: int
    drill_days: int
    metrics_port: int
    log_format: str
    debug: bool
    production: bool

    @property
    def address(self) -> str:
        """The address under which browsers reach the platform, without a slash at the end."""
        return self.public_url or f"http://{self.host}:{self.port}"

    @property
    def log_level(self) -> int:
        """From which level on log lines are written."""
        return _DEBUG if self.debug else _INFO
