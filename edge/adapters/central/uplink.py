"""Everything on the kiosk's side of the wire, put together: open it, use its parts, close it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from edge.adapters.central.ages import CacheAges
from edge.adapters.central.clock import Clock
from edge.adapters.central.commands import Commands, Obey, not_ready
from edge.adapters.central.feeds import Feed
from edge.adapters.central.forgetting import Forgetting
from edge.adapters.central.link import Link
from edge.adapters.central.members import CachedMembers
from edge.adapters.central.pairing import Identity, keep_secrets, load_identity
from edge.adapters.central.pins import CentralPins
from edge.adapters.central.renewal import Renewal
from edge.adapters.central.reporter import About, Reporter, Voice
from edge.adapters.central.sender import RECEIPT_TIMEOUT_S, Sender
from edge.adapters.central.snapshot import gallery_feed, standing_feed
from edge.adapters.central.tls import chosen_files, open_context
from edge.adapters.storage.cache import Cache, FeedName
from edge.adapters.storage.exclusive import held_alone
from edge.adapters.storage.keyfile import RowSealer
from edge.adapters.storage.outbox import Outbox
from edge.decide.standing import StandingConfig
from edge.enact.drop_order import RecordsConfig
from wire.environment import Environment
from wire.fleet import Presence
from wire.ids import BootId
from wire.tls import TlsFiles
from wire.transport.mqtt import Endpoint
from wire.transport.supervision import Supervisor

OUTBOX_FILE = "outbox.sqlite3"
CACHE_FILE = "cache.sqlite3"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class UplinkConfig:
    """What this side of a kiosk is told. `broker` and `tls` replace the address and files of pairing."""

    software: str
    recipe_digest: str
    pack_digest: str | None = None
    standing: StandingConfig = field(default_factory=StandingConfig)
    broker: tuple[str | None, int | None] | None = None
    tls: TlsFiles | None = None
    server_name: str | None = None
    receipt_timeout_s: float = RECEIPT_TIMEOUT_S
    records: RecordsConfig = field(default_factory=RecordsConfig)
    dimensions: int | None = None


@dataclass(frozen=True, slots=True)
class UplinkParts:
    """What a kiosk is built on before anything is said: `members`, `pins`, `outbox` fulfil ports."""

    identity: Identity
    about: About
    folder: Path
    config: UplinkConfig
    environment: Environment
    clock: Clock
    outbox: Outbox
    cache: Cache
    link: Link
    members: CachedMembers
    pins: CentralPins
    ages: CacheAges
    supervisor: Supervisor
    """Keeps the tasks of this kiosk going, and knows which of them fail."""

    @property
    def central_seen(self) -> bool:
        """Whether central was heard lately; one unanswered question is silence until it is heard again."""
        return self.link.central_answers


@dataclass(frozen=True, slots=True)
class Uplink(UplinkParts):
    """The parts while they run; a connection is kept up as well as it can be."""

    reporter: Reporter
    commands: Commands
    feeds: Mapping[FeedName, Feed]


@contextlib.asynccontextmanager
async def prepare_uplink(
    folder: Path, config: UplinkConfig, environment: Environment | None = None
) -> AsyncIterator[UplinkParts]:
    """A paired kiosk's side of the wire, its files open; nothing is sent or heard before `serve_uplink`.

    Raises `StoreError` when the kiosk is not paired, a key file is open to others, or a database is damaged.
    """
    environment = environment or Environment()
    draw = environment.random_bytes
    identity = load_identity(folder, draw)
    sealer = RowSealer(identity.device_key, draw)
    with contextlib.ExitStack() as files:
        files.enter_context(held_alone(folder))
        # In threads: making a database waits for the disk, and one process may open many kiosks.
        cache = await asyncio.to_thread(Cache, folder / CACHE_FILE, sealer)
        files.callback(cache.close)
        outbox = await asyncio.to_thread(
            Outbox,
            folder / OUTBOX_FILE,
            identity.kiosk,
            signer=identity.signer,
            sealer=sealer,
            random_bytes=draw,
            max_bytes=config.records.max_mb * 1_000_000,
            is_gone=cache.is_gone,
        )
        files.callback(outbox.close)
        clock = Clock(environment.utc_ms, environment.monotonic_ms, environment.ntp, cache)
        host, port = config.broker or (None, None)
        tls = chosen_files(folder, config.tls, config.server_name)
        endpoint = Endpoint(
            host or identity.broker_host,
            port or identity.broker_port,
            f"stile-kiosk-{identity.site}-{identity.kiosk}",
            None if tls is None else lambda: open_context(tls, environment.utc_ms()),
            None if tls is None else tls.server_name,
        )
        link = Link(identity, endpoint, clock, environment.dice, draw)
        supervisor = Supervisor()
        members = CachedMembers(
            identity,
            cache,
            link=link,
            clock=clock,
            config=config.standing,
            recipe_digest=config.recipe_digest,
            keep_secrets=lambda secrets: keep_secrets(folder, secrets, draw),
            supervisor=supervisor,
            dimensions=config.dimensions,
        )
        yield UplinkParts(
            identity=identity,
            about=About(
                identity.kiosk,
                BootId(draw(16).hex()),
                config.software,
                config.pack_digest,
                config.recipe_digest,
            ),
            folder=folder,
            config=config,
            environment=environment,
            clock=clock,
            outbox=outbox,
            cache=cache,
            link=link,
            members=members,
            pins=CentralPins(identity, link, cache, clock.uptime_ms, draw),
            ages=CacheAges(cache, clock, config.standing),
            supervisor=supervisor,
        )


@contextlib.asynccontextmanager
async def serve_uplink(
    parts: UplinkParts,
    voice: Voice | None = None,
    obey: Obey = not_ready,
    metrics: Callable[[], Mapping[str, float]] = dict,
) -> AsyncIterator[Uplink]:
    """Speak, listen and send while the context lasts; `obey` gets each command that is to be obeyed."""
    identity, cache, link, clock, dice = (
        parts.identity,
        parts.cache,
        parts.link,
        parts.clock,
        parts.environment.dice,
    )
    sender = Sender(link, parts.outbox, parts.config.receipt_timeout_s)
    feeds = {
        FeedName.STANDING: Feed(standing_feed(identity.purpose), cache, link, clock, dice),
        FeedName.GALLERY: Feed(gallery_feed(identity.gallery), cache, link, clock, dice),
    }
    forgetting = Forgetting(cache, parts.outbox)
    keeper = parts.supervisor
    commands = Commands(link, clock, obey)
    reporter = Reporter(
        parts.about,
        link,
        clock=clock,
        cache=cache,
        outbox=parts.outbox,
        sender=sender,
        ages=parts.ages,
        dice=dice,
        voice=voice or Voice(),
        feeds=feeds,
        orders=commands.answers,
        failing=keeper.failing,
        metrics=metrics,
    )
    held = {each.name: getattr(parts, each.name) for each in fields(parts)}
    uplink = Uplink(**held, reporter=reporter, commands=commands, feeds=feeds)
    connection = asyncio.create_task(
        keeper.keep("link", lambda: link.run(lambda: reporter.state(Presence.LOST))), name="link"
    )
    running = [
        asyncio.create_task(keeper.keep(name, run), name=name)
        for name, run in (
            ("sender", sender.run),
            ("forgetting", forgetting.run),
            ("reporter", reporter.run),
            ("renewal", Renewal(parts.folder, link, clock).run),
            *((f"{name.value}_feed", feed.run) for name, feed in feeds.items()),
        )
    ]
    try:
        yield uplink
    finally:
        for task in running:
            task.cancel()
        try:
            await link.close(reporter.state(Presence.DISCONNECTED))
        finally:
            connection.cancel()
            await asyncio.gather(connection, *running, return_exceptions=True)


@contextlib.asynccontextmanager
async def open_uplink(
    folder: Path,
    config: UplinkConfig,
    *,
    voice: Voice | None = None,
    obey: Obey = not_ready,
    environment: Environment | None = None,
) -> AsyncIterator[Uplink]:
    """Run a paired kiosk's side of the wire while the context lasts; it opens without broker and central.

    Raises as `prepare_uplink`.
    """
    async with (
        prepare_uplink(folder, config, environment) as parts,
        serve_uplink(parts, voice, obey) as uplink,
    ):
        yield uplink
