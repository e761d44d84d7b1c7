"""What is on a server and should not be, or is not as it should be, and no other step takes back."""

from pyinfra.operations import server

from metachat.operations.drift.model import Finding
from metachat.operations.provisioning.names import UNDO


def take_back(findings: list[Finding]) -> None:
    """Take back each difference by its own commands; differences with the same commands share a step."""
    seen: set[tuple[str, ...]] = set()
    for finding in findings:
        commands = tuple(finding.undo)
        if commands and commands not in seen:
            seen.add(commands)
            server.shell(name=f"{UNDO}{finding.what} {finding.where}", commands=list(commands))
