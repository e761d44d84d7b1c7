"""`metachat api`: one api process."""

from typing import Annotated

import typer

from metachat.foundation import settings
from metachat.web import serve


def api(
    fd: Annotated[int | None, typer.Option(help="A listening socket to take over.", hidden=True)] = None,
) -> None:
    """Run one api process until SIGTERM; `metachat up` runs several on one socket."""
    loaded = settings.load(process="api")
    serve.run(loaded, fd, loaded.host, loaded.port)
