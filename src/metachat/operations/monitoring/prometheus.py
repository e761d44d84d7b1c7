"""What Debian's Prometheus reads: whom it asks, how often, and where its alerts go."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from metachat.operations.monitoring.rules import Pace


def render(
    targets: Mapping[str, Sequence[str]], rules: Path, pace: Pace = Pace(),  # noqa: B008  (frozen)
    alertmanager: str = "127.0.0.1:9093", site: str = "metachat",
) -> str:  # fmt: skip
    """Prometheus's configuration; targets are host:port by the name of their job. JSON is YAML."""
    told: dict[str, Any] = {
        "global": {
            "scrape_interval": f"{pace.scrape}s",
            "scrape_timeout": f"{min(pace.scrape, 8)}s",
            "evaluation_interval": f"{pace.evaluate}s",
            "external_labels": {"site": site},
        },
        "rule_files": [str(rules)],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]},
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": list(hosts)}]} for job, hosts in targets.items()
        ],
    }
    return json.dumps(told, indent=2) + "\n"
