"""A shop on WhatsApp before a simulated Meta, and what people send there."""

import io
import struct
import zlib

from tests.sending.conftest import ANA, Shop, meta, shop

__all__ = ["ANA", "JPEG", "OGG", "PDF", "PNG", "Shop", "meta", "shop"]


def _png(side: int = 64) -> bytes:
    """A picture that a browser shows."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\x00" + b"".join(bytes((x * 4, y * 4, 120)) for x in range(side)) for y in range(side))
    out = io.BytesIO(b"\x89PNG\r\n\x1a\n")
    out.seek(0, io.SEEK_END)
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")):
        out.write(chunk(kind, data))
    return out.getvalue()


PNG = _png()
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + bytes(range(256)) * 20
OGG = b"OggS\x00\x02" + bytes(200)
PDF = b"%PDF-1.4\n" + b"1 0 obj\n" * 300
