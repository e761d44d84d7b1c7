"""Files that Meta holds for a while: uploads, their ids, and addresses that end after five minutes."""

import hashlib
import hmac
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from urllib.parse import urlencode

from metachat.simulate.errors import GraphError
from metachat.simulate.model import now

URL_SECONDS = 300
# All files together; the oldest are forgotten first.
BYTES_LIMIT = 512 * 1024 * 1024

_MEGA = 1024 * 1024
_SIZES: dict[str, tuple[int, tuple[str, ...]]] = {
    "audio": (16 * _MEGA, ("audio/aac", "audio/mp4", "audio/mpeg", "audio/amr", "audio/ogg", "audio/opus")),
    "image": (5 * _MEGA, ("image/jpeg", "image/png")),
    "video": (16 * _MEGA, ("video/mp4", "video/3gpp")),
    "sticker": (500 * 1024, ("image/webp",)),
    "document": (100 * _MEGA, ()),
}
_DOCUMENTS = (
    "text/plain", "application/pdf", "application/vnd.ms-powerpoint", "application/msword",
    "application/vnd.ms-excel",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class File:
    """Bytes under an id, for one account."""

    id: str
    media_type: str
    content: bytes
    sha256: bytes
    owner: str
    name: str = ""


class Files:
    """All files, within a bound."""

    def __init__(self) -> None:
        self._files: OrderedDict[str, File] = OrderedDict()
        self._bytes = 0
        self._key = secrets.token_bytes(16)

    def add(self, content: bytes, media_type: str, owner: str, name: str = "") -> File:
        """Keep a file."""
        id = str(secrets.randbelow(9 * 10**14) + 10**14)
        file = File(id, media_type, content, hashlib.sha256(content).digest(), owner, name[:240])
        self._files[id] = file
        self._bytes += len(content)
        while self._bytes > BYTES_LIMIT and len(self._files) > 1:
            self._bytes -= len(self._files.popitem(last=False)[1].content)
        return file

    def find(self, id: str) -> File | None:
        """The file with this id."""
        return self._files.get(id)

    def remove(self, id: str) -> None:
        """Forget a file."""
        file = self._files.pop(id, None)
        if file is not None:
            self._bytes -= len(file.content)

    def address(self, base: str, file: File) -> str:
        """Where its bytes are for the next five minutes."""
        ends = int(now()) + URL_SECONDS
        query = urlencode({"mid": file.id, "ext": str(ends), "hash": self._seal(file.id, ends)})
        return f"{base}/whatsapp_business/attachments/?{query}"

    def opened(self, query: dict[str, str]) -> File | None:
        """The file that such an address means; None when it is wrong or its time is over."""
        ends = query.get("ext", "")
        if not ends.isdigit() or len(ends) > 12 or int(ends) < now():
            return None
        if not hmac.compare_digest(self._seal(query.get("mid", ""), int(ends)), query.get("hash", "")):
            return None
        return self.find(query.get("mid", ""))

    def _seal(self, id: str, ends: int) -> str:
        return hmac.new(self._key, f"{id}:{ends}".encode(), hashlib.sha256).hexdigest()[:32]


def check(content: bytes, media_type: str) -> None:
    """Refuse what WhatsApp does not take; raises GraphError."""
    plain = media_type.partition(";")[0].strip().lower()
    known = [media for _, kinds in _SIZES.values() for media in kinds] + list(_DOCUMENTS)
    if plain not in known:
        raise GraphError(
            100, message=f"Param file must be a file with one of the following types: {', '.join(known)}."
            f" Received file of type '{plain[:60] or 'application/octet-stream'}'.",
        )  # fmt: skip
    limit = next((size for size, kinds in _SIZES.values() if plain in kinds), _SIZES["document"][0])
    if not content or len(content) > limit:
        raise GraphError(131053, f"File size {len(content)} is over the limit of {limit} bytes, or empty.")


def fits(file: File, kind: str) -> bool:
    """Whether a file can be sent as an image, audio, video, sticker or document."""
    plain = file.media_type.partition(";")[0].strip().lower()
    _, kinds = _SIZES[kind]
    return not kinds or plain in kinds
