"""A connection to Postgres as we use it: its settings, and how our values travel."""

import contextlib
import struct
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import asyncpg
import msgspec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Plans = Literal["auto", "once"]
_PLANS: Mapping[Plans, Mapping[str, str]] = {
    "auto": {},
    # Planned before there are statistics, kept after: what a small table suggests must not stay.
    "once": {"plan_cache_mode": "force_generic_plan", "enable_seqscan": "off"},
}


async def connect(dsn: str, plans: Plans) -> asyncpg.Connection:
    """Connect; raises what asyncpg raises."""
    connection = await asyncpg.connect(
        dsn, timeout=10, command_timeout=60, statement_cache_size=400,
        # Plans stay cached; one application name tells our sessions apart in pg_stat_activity.
        server_settings={"application_name": "metachat", "jit": "off", **_PLANS[plans]},
    )  # fmt: skip
    try:
        await _prepare_connection(connection)
    except BaseException:
        connection.terminate()
        raise
    return connection


async def _prepare_connection(connection: asyncpg.Connection) -> None:
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", format="binary", encoder=_encode_jsonb, decoder=_decode_jsonb
    )
    with contextlib.suppress(ValueError):  # before the first migration there is no such type
        await connection.set_type_codec(
            "halfvec", schema="public", format="binary", encoder=_encode_halfvec, decoder=_decode_halfvec
        )


def _encode_jsonb(value: Any) -> bytes:
    return b"\x01" + msgspec.json.encode(value)


def _decode_jsonb(data: bytes) -> Any:
    return msgspec.json.decode(data[1:])


def halfvec(vector: "Sequence[float] | NDArray[np.float32]") -> bytes:
    """Give a vector in pgvector's wire form, as an element of an array: there a sequence would nest."""
    # Dimension, an unused word, then half-precision floats, all big-endian.
    head = struct.pack(">HH", len(vector), 0)
    if (packed := getattr(vector, "astype", None)) is not None:  # an array of numpy packs itself much faster
        return head + bytes(packed(">f2").tobytes())
    return head + struct.pack(f">{len(vector)}e", *vector)


def _encode_halfvec(value: Sequence[float] | bytes) -> bytes:
    return value if isinstance(value, bytes) else halfvec(value)


def _decode_halfvec(data: bytes) -> list[float]:
    (dimension, _) = struct.unpack_from(">HH", data)
    return list(struct.unpack_from(f">{dimension}e", data, 4))
