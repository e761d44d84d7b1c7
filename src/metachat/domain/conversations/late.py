"""What came before that to which it belongs: it is tried again, for a bounded time."""

from datetime import timedelta


class Later(Exception):
    """An update that may have an effect once something else has come; patience is how long to try."""

    def __init__(self, reason: str, patience: timedelta) -> None:
        self.patience = patience
        super().__init__(reason)
