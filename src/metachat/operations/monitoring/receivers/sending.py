"""A message to a receiver, tried again where that may help."""

import time
from collections.abc import Callable
from dataclasses import replace

from metachat.operations.monitoring.receivers.contract import Answer, Message, Receiver

TRIES = 3
# More than that is better spent on the next receiver; whoever calls comes again.
LONGEST_PAUSE = 10.0


def deliver(receiver: Receiver, message: Message, rest: Callable[[float], None] = time.sleep) -> Answer:
    """Send, up to three times; tells the last answer, and how often it was tried."""
    answer = receiver.send(message)
    tries = 1
    while not answer.delivered and answer.retry_after is not None and tries < TRIES:
        if answer.retry_after > LONGEST_PAUSE:
            break
        rest(answer.retry_after * tries)
        answer = receiver.send(message)
        tries += 1
    return answer if tries == 1 else replace(answer, said=f"{answer.said} (after {tries} tries)")
