"""age identities in files: the private halves that open the file of secrets and the escrow bundle."""

from pathlib import Path

from metachat.foundation.settings import Secret
from metachat.operations import age
from metachat.operations.secrets import files
from metachat.operations.secrets.contract import StoreForbidden, UnfitValue


def load(path: Path) -> Secret:
    """Read an identity file as age writes it (comments, then the key); raises StoreForbidden."""
    text = files.read_private(path, "an age identity")
    keys = [line.strip() for line in text.splitlines() if line.strip().startswith("AGE-SECRET-KEY-")]
    if len(keys) != 1:
        raise StoreForbidden(
            f"{path} holds no age identity, or several.", "Name the file that age-keygen wrote."
        )
    try:
        age.public(Secret(keys[0]))
    except age.NotOpened as error:
        raise StoreForbidden(f"{path} holds no valid age identity.", "Restore it from its copy.") from error
    return Secret(keys[0])


def make(path: Path) -> str:
    """Make an identity in a new file of mode 600, and return its public key; raises StoreForbidden."""
    identity = age.new_identity()
    public = age.public(identity)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    files.write_new(path, f"# public key: {public}\n{identity.reveal()}\n".encode())
    return public


def public(text: str) -> str:
    """Return a public key as it is written when it is one; raises UnfitValue."""
    found = age.recipient(text)
    if found is None:
        raise UnfitValue(
            "That is no public age key.",
            "It begins with age1; `metachat secrets recipients list` shows ours.",
        )
    return found
