"""`metachat demo-seed`: fill the demo shop; `metachat up` runs it."""

import asyncio
import json

from metachat import demo
from metachat.foundation import log, settings
from metachat.wiring import open_platform


def seed() -> None:
    """Fill the demo shop; prints {"email", "password", "documents"} as one line of JSON.

    "password" is null unless this run made the owner; "documents" counts those added now.
    """
    loaded = settings.load(process="api")
    log.configure("demo-seed", loaded.log_format)
    seeded = asyncio.run(_seed(loaded))
    print(json.dumps({"email": seeded.email, "password": seeded.password, "documents": seeded.documents}))


async def _seed(loaded: settings.Settings) -> demo.Seeded:
    async with open_platform(loaded, "api") as platform:
        return await demo.seed(platform)
