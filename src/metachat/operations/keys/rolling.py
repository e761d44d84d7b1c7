"""Processes started anew one after the other, until each of them is as it should be."""

import asyncio
import time
from collections.abc import Callable, Sequence

from metachat.operations.keys.installation import Installation
from metachat.operations.keys.model import Holder, ProcessesBehind
from metachat.operations.keys.store import Ledger

LOOKS_EVERY = 0.25

# A process that was asked to make way drains for 20 s at most, and another one needs some seconds to start.
_ASKED_AGAIN = 60.0

Behind = Callable[[Holder], bool]


async def roll(there: Installation, ledger: Ledger, is_behind: Behind) -> None:
    """Wait until no process is behind; raises ProcessesBehind.

    Those that the installation can restart are started anew, one after the other; of the others it is told.
    """
    deadline, told = time.monotonic() + there.patience, False
    while behind := [one for one in await ledger.holders() if is_behind(one)]:
        if time.monotonic() > deadline:
            raise ProcessesBehind("\n".join(map(str, behind)))
        seen = await ledger.holders()
        asked = there.restart(behind)
        if asked is not None:
            # Until it is replaced, the others stay.
            await _replaced(ledger, asked, is_behind, _count(seen, asked.role, is_behind))
        elif not told:
            told = True
            there.say("Start these anew, one after the other, with the secrets as they are in the store now:")
            for one in behind:
                there.say(f"  {one}")
        await asyncio.sleep(LOOKS_EVERY)


async def _replaced(ledger: Ledger, asked: Holder, is_behind: Behind, before: int) -> None:
    """Wait until a process is gone, and one more of its kind is there and not behind than before."""
    deadline = time.monotonic() + _ASKED_AGAIN
    while time.monotonic() < deadline:
        seen = await ledger.holders()
        gone = all((one.host, one.pid) != (asked.host, asked.pid) for one in seen)
        if gone and _count(seen, asked.role, is_behind) > before:
            return
        await asyncio.sleep(LOOKS_EVERY)


def _count(seen: Sequence[Holder], role: str, is_behind: Behind) -> int:
    return sum(one.role == role and not is_behind(one) for one in seen)
