"""`metachat worker`: one worker process."""

from metachat.foundation import settings
from metachat.worker import main


def worker() -> None:
    """Run one worker until SIGTERM; any number of them share the work."""
    main(settings.load(process="worker"))
