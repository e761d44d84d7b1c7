"""The only place that names adapters: it fills each contract and hands out the running platform."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Any, Literal, cast
from uuid import UUID

from metachat.domain import assistant, knowledge
from metachat.domain.assistant import Answerer, Profile
from metachat.domain.assistant.model import ProviderUnknown
from metachat.domain.channels import Provider, Sender, health
from metachat.domain.channels.whatsapp import WhatsApp
from metachat.domain.conversations import arrivals
from metachat.domain.conversations.attachments import sweeping
from metachat.domain.conversations.deliveries import failing
from metachat.domain.conversations.together.arrivals import Reception
from metachat.domain.knowledge import Embedder
from metachat.domain.knowledge.embedding.bundled import BundledEmbedder
from metachat.foundation import key_records, simulated
from metachat.foundation.announcing import Announcer
from metachat.foundation.blobs import DiskBlobs
from metachat.foundation.db import Database, Plans
from metachat.foundation.ids import DocumentId, TenantId
from metachat.foundation.keyring import Keyring
from metachat.foundation.outbound import Outbound
from metachat.foundation.queue import Job
from metachat.foundation.rates import Rates
from metachat.foundation.realtime import Listener
from metachat.foundation.settings import Secret, Settings

# Child processes that read documents at the same time; each may take a core and some hundred MB.
_READERS = 1

_EVERYWHERE = ("0.0.0.0/0", "::/0")


@dataclass(frozen=True)
class Platform:
    """What a process of the platform works with."""

    settings: Settings
    database: Database
    announcer: Announcer
    listener: Listener
    blobs: DiskBlobs
    embedder: Embedder
    outbound: Outbound

    @cached_property
    def encryption_key(self) -> Keyring:
        """The keys that seal tenants' credentials in the database."""
        return Keyring.of(self.settings.encryption_key)

    @cached_property
    def pepper(self) -> Keyring:
        """The secrets that tokens and API keys are hashed under."""
        return Keyring.of(self.settings.api_key_pepper)

    @cached_property
    def rates(self) -> Rates:
        """The limits that the api processes share."""
        return Rates(self.database, _revealed(self.settings.session_secret))

    @property
    def providers(self) -> Mapping[str, Provider]:
        """Who delivers webhooks, by the kind of channel."""
        return PROVIDERS

    @cached_property
    def senders(self) -> Mapping[str, Sender]:
        """Who delivers for us, by the kind of channel."""
        sending = import_module("metachat.domain.channels.whatsapp.sending")
        known = () if self.settings.production else (simulated.detour(self.settings.data_dir),)
        return {"whatsapp": cast("Sender", sending.sender(self.settings.graph_url, *known))}

    @property
    def media(self) -> DiskBlobs:
        """Files of conversations, apart from those of knowledge: each is deleted by its own rules."""
        return DiskBlobs(self.settings.data_dir / "media")

    @property
    def media_cap(self) -> int:
        """The largest file of a conversation that the operator allows, in bytes."""
        return self.settings.media_limit * 1024 * 1024

    # What follows serves the worker; its modules are imported there only, since they cost memory.

    @cached_property
    def desk(self) -> Any:
        """What turns are answered with (assistant.turns.Desk)."""
        return import_module("metachat.domain.assistant.turns").Desk(
            database=self.database,
            search_of=self.search_of,
            profile_of=self.profile_of,
            answerer_of=self.answerer_of,
            fallback=self.answerers["extractive"],
            begun=self.courtesy.show,
            answering=self.office.foresee,
            ended=self.courtesy.end,
        )

    @cached_property
    def reception(self) -> Reception:
        """What takes in what providers delivered."""
        return Reception(self.database, self.providers, self._foresee)

    @cached_property
    def answerers(self) -> Mapping[str, Answerer]:
        """What answers for each provider that a tenant may choose."""
        models = import_module("metachat.domain.assistant.models")
        return cast("Mapping[str, Answerer]", models.answerers(self.embedder, self.outbound))

    @cached_property
    def models(self) -> Answerer:
        """The models that tenants chose, with their fallbacks and breakers."""
        return cast("Answerer", import_module("metachat.domain.assistant.models").Chain(self.answerers))

    @cached_property
    def workshop(self) -> Any:
        """What documents are indexed with (knowledge.indexing.Workshop)."""
        return import_module("metachat.domain.knowledge.indexing").Workshop(
            database=self.database,
            blobs=self.blobs,
            embedder=self.embedder,
            readers=asyncio.Semaphore(_READERS),
        )

    @cached_property
    def depot(self) -> Any:
        """What customers' files are fetched with (conversations.attachments.fetching.Depot)."""
        return import_module("metachat.domain.conversations.attachments.fetching").Depot(
            database=self.database,
            media=self.media,
            senders=self.senders,
            key=self.encryption_key,
            cap=self.media_cap,
        )

    @cached_property
    def office(self) -> Any:
        """What messages are delivered with (conversations.deliveries.office.Office)."""
        return import_module("metachat.domain.conversations.deliveries.office").Office(
            self.database,
            self.senders,
            self.encryption_key,
            self.read_of,
            self.settings.outcome_wait,
        )

    @cached_property
    def courtesy(self) -> Any:
        """What customers see while their answers are made (conversations.deliveries.courtesy.Courtesy)."""
        courtesy = import_module("metachat.domain.conversations.deliveries.courtesy")
        return courtesy.Courtesy(self.senders, self.encryption_key)

    def read_of(self, tenant: TenantId) -> Callable[[str], AsyncIterator[bytes]]:
        """What reads a tenant's files of conversations."""
        return self.media.for_tenant(tenant).read

    async def close(self) -> None:
        """Let go of what was opened at its first use."""
        if "rates" in self.__dict__:
            await self.rates.close()
        if "courtesy" in self.__dict__:
            await self.courtesy.close()
        for sender in cast("Mapping[str, Sender]", self.__dict__.get("senders", {})).values():
            await sender.close()

    def search_of(self, tenant: TenantId) -> assistant.Search:
        """The search in a tenant's documents."""
        return self.searches.of(tenant)

    def _foresee(self, tenant: TenantId, text: str) -> None:
        if (asked := assistant.foreseeable(text)) is not None:
            self.searches.foresee(tenant, *asked)

    @cached_property
    def searches(self) -> knowledge.Searches:
        """What searches for turns, together for those that search at the same time."""
        return knowledge.Searches(self.embedder, knowledge.Lookups(self.database))

    def profile_of(self, tenant: TenantId, settled: Mapping[str, Any] | None) -> Profile:
        """A tenant's assistant as it was found settled."""
        return assistant.unsealed(tenant, self.encryption_key, settled)

    def answerer_of(self, profile: Profile) -> Answerer:
        """The answerer for a tenant's choice of provider; raises ProviderUnknown."""
        if profile.provider not in self.answerers:
            raise ProviderUnknown(profile.provider)
        return self.answerers["extractive"] if profile.provider == "extractive" else self.models


@asynccontextmanager
async def open_platform(
    settings: Settings, process: Literal["api", "worker"], *, embedder: Embedder | None = None
) -> AsyncIterator[Platform]:
    """Connect everything a process needs, and let go of it at the end.

    Raises DatabaseAway, KeyringMismatch.
    """
    dsn = _revealed(settings.database_url if process == "api" else settings.worker_database_url).decode()
    announcer, listener = Announcer(dsn), Listener(dsn)
    # A worker's statements run for every message, and look rows up by their keys.
    plans: Plans = "auto" if process == "api" else "once"
    database = await Database.open(dsn, size=settings.database_pool, announcer=announcer, plans=plans)
    announcer.start()
    listener.start()
    platform: Platform | None = None
    holding: key_records.Holding | None = None
    try:
        holding = await key_records.hold(database, process, key_records.rings_of(settings))
        platform = Platform(
            settings=settings,
            database=database,
            announcer=announcer,
            listener=listener,
            blobs=DiskBlobs(settings.data_dir / "blobs"),
            embedder=embedder or open_embedder(settings),
            outbound=Outbound(allowed_networks=settings.allowed_networks),
        )
        yield platform
    finally:
        if platform is not None:
            await platform.close()
        if holding is not None:
            await holding.close()
        await listener.close()
        await announcer.close()
        await database.close()


def open_embedder(settings: Settings) -> Embedder:
    """Choose the embedding model; the bundled one is loaded at its first use only."""
    if settings.embedder == "bundled":
        return BundledEmbedder()
    http = import_module("metachat.domain.knowledge.embedding.http")
    endpoint = http.Endpoint(
        protocol=settings.embedder, url=settings.embedder_url, model=settings.embedder_model,
        dimension=settings.embedder_dimension, key=settings.embedder_key.reveal() or None,
    )  # fmt: skip
    # The operator chose this address, not a tenant: it may well be on this machine or in its network.
    return cast(Embedder, http.HttpEmbedder(endpoint, Outbound(allowed_networks=_EVERYWHERE)))


async def _turn(job: Job, platform: Platform) -> None:
    turns = import_module("metachat.domain.assistant.turns")
    await turns.take_turn(job, platform.desk)


async def _turn_laid_aside(job: Job, platform: Platform) -> None:
    turns = import_module("metachat.domain.assistant.turns")
    await turns.leave_to_people(job, platform.desk)


async def _index(job: Job, platform: Platform) -> None:
    indexing = import_module("metachat.domain.knowledge.indexing")
    document = DocumentId(UUID(job.payload["document"]))
    await indexing.index(platform.workshop, _tenant_of(job), document)


async def _forget(job: Job, platform: Platform) -> None:
    indexing = import_module("metachat.domain.knowledge.indexing")
    await indexing.forget(platform.workshop, _tenant_of(job), job.payload["sha256"])


async def _inbox(job: Job, platform: Platform) -> None:
    await platform.reception.take_in(job)


async def _tidy_inbox(job: Job, platform: Platform) -> None:
    await arrivals.forget_old(job, platform.database)


async def _channel_health(job: Job, platform: Platform) -> None:
    await health.follow(job, platform.database)


async def _deliver(job: Job, platform: Platform) -> None:
    actions = import_module("metachat.domain.conversations.deliveries.actions")
    await actions.deliver(job, platform.office)


async def _lost_deliveries(job: Job, platform: Platform) -> None:
    await failing.fail_lost(job, platform.database)


async def _late(job: Job, platform: Platform) -> None:
    await arrivals.try_again(job, platform.database)


async def _media(job: Job, platform: Platform) -> None:
    fetching = import_module("metachat.domain.conversations.attachments.fetching")
    await fetching.fetch(job, platform.depot)


async def _sweep_media(job: Job, platform: Platform) -> None:
    await sweeping.sweep(job, platform.database, platform.media)


async def begin(platform: Platform) -> None:
    """What a worker sees to at its start: the work that comes again and again."""
    await arrivals.tidy_daily(platform.database)
    await failing.look_often(platform.database)
    await sweeping.sweep_daily(platform.database)
    await health.follow_minutely(platform.database)


PROVIDERS: Mapping[str, Provider] = {"whatsapp": WhatsApp()}

HANDLERS: Mapping[str, Callable[[Job, Platform], Awaitable[None]]] = {
    "turn": _turn,
    "turn-laid-aside": _turn_laid_aside,
    "index": _index,
    "forget": _forget,
    "inbox": _inbox,
    "tidy-inbox": _tidy_inbox,
    "deliver": _deliver,
    "lost-deliveries": _lost_deliveries,
    "late": _late,
    "media": _media,
    "sweep-media": _sweep_media,
    "channel-health": _channel_health,
}


def _tenant_of(job: Job) -> TenantId:
    return cast("TenantId", job.tenant)


def _revealed(secret: Secret | None) -> bytes:
    assert secret is not None, "settings are loaded for the process that uses them"
    return secret.reveal().encode()
