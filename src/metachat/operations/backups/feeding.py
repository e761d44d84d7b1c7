"""The archived log, handed to a Postgres that recovers: fetched ahead, a few segments at a time.

Postgres calls a small script for each segment it wants. The script asks by a file and waits for ours; when
we are gone it ends Postgres's recovery rather than let it take what it has for everything.
"""

import contextlib
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

from metachat.foundation.errors import Refusal
from metachat.foundation.settings import Secret
from metachat.operations.backups import archiving
from metachat.operations.backups.archiving import Archived
from metachat.operations.backups.contract import ObjectMissing, Target
from metachat.operations.backups.native import give
from metachat.operations.local.folder import write

_AHEAD = 4
_TICK = 0.02

# Postgres takes a code above 128 as a reason to give up, and any other as the end of the log.
_SCRIPT = """\
#!/bin/sh
# Called by Postgres while it recovers: feed.sh NAME PATH FOLDER PROCESS
name=$1 to=$2 feed=$3 process=$4
: > "$feed/$name.want" || exit 255
while [ -d "/proc/$process" ]; do
  [ -e "$feed/$name.stop" ] && exit 255
  if [ -e "$feed/$name.none" ]; then rm -f "$feed/$name.none"; exit 1; fi
  if [ -e "$feed/$name" ]; then mv "$feed/$name" "$to" || exit 255; exit 0; fi
  sleep 0.02
done
exit 255
"""


class Feed:
    """Answers one recovery; `failure` says why it was ended."""

    def __init__(self, home: Path, target: Target, cluster: str, identity: Secret) -> None:
        self._folder = home / "feed"
        self._script = home / "feed.sh"
        self._target, self._identity = target, identity
        self._log = archiving.everything(target, cluster)
        self._names = {one.name: place for place, one in enumerate(self._log)}
        self._ends = threading.Event()
        self.failure: Refusal | None = None
        self.fed = 0

    @property
    def command(self) -> str:
        """The setting `restore_command`, quoted as postgresql.conf wants it."""
        return f'\'/bin/sh "{self._script}" "%f" "%p" "{self._folder}" {os.getpid()}\''

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """Answer while inside."""
        write(self._script, _SCRIPT, 0o644)
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(mode=0o700)
        give(self._folder)
        thread = threading.Thread(target=self._answer, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._ends.set()
            thread.join(120)
            shutil.rmtree(self._folder, ignore_errors=True)
            self._script.unlink(missing_ok=True)

    def _answer(self) -> None:
        while not self._ends.wait(_TICK):
            for want in sorted(self._folder.glob("*.want")):
                want.unlink(missing_ok=True)
                try:
                    self._feed(want.name.removesuffix(".want"))
                except Refusal as refusal:
                    self.failure = refusal
                    self._put(want.name.removesuffix(".want") + ".stop", b"")

    def _feed(self, name: str) -> None:
        place = self._names.get(name)
        if place is None:
            self._refuse_gap(name)
            self._put(f"{name}.none", b"")
            return
        self._ensure(self._log[place])
        self.fed += 1
        if name.endswith(".history"):
            return
        # While Postgres reads this one. What it does not want goes with the folder.
        for one in self._log[place + 1 : place + 1 + _AHEAD]:
            if len(one.name) == len(name):
                self._ensure(one)

    def _ensure(self, one: Archived) -> None:
        if not (self._folder / one.name).exists():
            self._put(one.name, archiving.fetch(one, self._target, self._identity))

    def _refuse_gap(self, name: str) -> None:
        """The end of the log is where nothing follows: a hole in the middle must not pass for it."""
        if len(name) != 24 or any(one.name[8:] == name[8:] for one in self._log):
            return
        later = [one.name for one in self._log if len(one.name) == 24 and one.name[8:] > name[8:]]
        if later:
            raise ObjectMissing(
                f"The archived log lacks {name}, and goes on with {later[0]}.",
                "Restore to a time before the hole with --at, or from a backup after it.",
            )

    def _put(self, name: str, content: bytes) -> None:
        half = self._folder / f".{name}"
        half.write_bytes(content)
        half.chmod(0o600)
        give(half)
        half.replace(self._folder / name)
