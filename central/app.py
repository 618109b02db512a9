"""Central's composition root: from a configuration to a running service."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from argon2 import PasswordHasher

from central.adapters.broker.access import BrokerAccess
from central.adapters.broker.certificates import BrokerAuthority
from central.adapters.broker.embedded import EmbeddedBroker
from central.adapters.broker.files import Listener, write_broker
from central.adapters.db.store import Store
from central.adapters.http.api import make_api
from central.adapters.http.server import HttpServer
from central.adapters.keyfiles import (
    ReviewerKey,
    create_keys,
    create_reviewer,
    load_identity,
    load_password,
    load_reviewer,
    load_token,
)
from central.adapters.mqtt.announcer import Telling
from central.adapters.mqtt.home_assistant import HomeAssistant
from central.adapters.mqtt.link import MqttLink
from central.adapters.mqtt.router import LISTENS_TO, Desk, Outgoing, Switchboard
from central.adapters.payments import PROVIDERS
from central.config import LoadedConfig, days_in, load_config
from central.errors import SecretsError
from central.rules.fares import Tariff
from central.rules.posting import Rules
from central.rules.restriction import Terms, issue
from central.rules.review import Case, Matter, Outcome, rule
from central.service.commands import Commands
from central.service.context import Context
from central.service.enrolling import Enrolling
from central.service.feeds import Feeds
from central.service.gallery_keys import GalleryKeys
from central.service.kiosks import BrokerAddress, Kiosks
from central.service.ledger import Ledger
from central.service.members import Members
from central.service.records import Records
from central.service.reenrolments import ReEnrolments
from central.service.retention import Retention
from central.service.reviews import Reviews
from central.service.shadows import Shadows
from central.service.standings import Standings
from central.service.visits import Visits
from central.service.withdrawals import Withdrawals
from wire import topics
from wire.errors import TlsFileError
from wire.ids import OperatorId, Purpose, ReviewerId, parse_operator_id, parse_purpose, parse_site_id
from wire.signing import Signer
from wire.tls import TlsFiles
from wire.topics import Address
from wire.transport.tls import look_at_files, open_context
from wire.values import Restriction

log = logging.getLogger(__name__)

TICK_S = 1.0
"""How soon a change by another program, such as the command line, reaches the heads."""
PENDING_MAX = 2000
"""Messages being answered; further ones are dropped, and kiosks ask again."""
CONNECT_S = 10.0
"""How long start-up waits for the embedded broker, which is up already."""
EXTERNAL_BROKER_WAIT_S = 2.0
"""How long start-up waits for a broker that is not ours before serving without it."""
TLS_REMEDY = "`stile central broker-config` makes it"
_CONFIG_FILE = "central.toml"
_EXAMPLE_SCORECARD = Path(__file__).parent / "scorecard.example.toml"

_CONFIG = """\
operator = "{operator}"
site = "{site}"
gallery = "members"
database = "central.db"
keys = "keys"
head_every_s = 60

[purposes]
{purpose} = "{purpose}.scorecard.toml"

[mqtt]
embedded = true
host = "127.0.0.1"
port = {mqtt_port}

[http]
host = "127.0.0.1"
port = {http_port}
"""


def utc_ms() -> int:
    """The wall clock, in UTC milliseconds."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class Dice:
    """Where central's time and randomness come from; tests give their own."""

    now_ms: Callable[[], int] = utc_ms
    draw: Callable[[int], bytes] = os.urandom
    hasher: PasswordHasher | None = None


def init_central(
    folder: Path,
    operator: str,
    site: str,
    purpose: str,
    *,
    mqtt_port: int = 0,
    http_port: int = 0,
    dice: Dice | None = None,
) -> Path:
    """Write a configuration, a scorecard to start from, and fresh keys; the configuration's path.

    Raises MalformedIdError for a bad id, ConflictError when the folder holds keys already.
    """
    dice = dice or Dice()
    names: Mapping[str, object] = {
        "operator": parse_operator_id(operator),
        "site": parse_site_id(site),
        "purpose": parse_purpose(purpose),
        "mqtt_port": mqtt_port,
        "http_port": http_port,
    }
    folder.mkdir(parents=True, exist_ok=True)
    create_keys(folder / "keys", OperatorId(operator), dice.now_ms(), dice.draw)
    config = folder / _CONFIG_FILE
    config.write_text(_CONFIG.format(**names), encoding="utf-8")
    card = _EXAMPLE_SCORECARD.read_text(encoding="utf-8")
    card = card.replace('operator = "operator"', f'operator = "{operator}"')
    card = card.replace('purpose = "purpose"', f'purpose = "{purpose}"')
    (folder / f"{purpose}.scorecard.toml").write_text(card, encoding="utf-8")
    load_config(config)
    return config


@contextlib.contextmanager
def open_desk(config: LoadedConfig, dice: Dice | None = None) -> Iterator[Desk]:
    """Central's use cases over its database, without network: what the command line and tests work with.

    Raises SecretsError when a key file is missing, open to others, or malformed.
    """
    dice = dice or Dice()
    settings = config.settings
    identity = load_identity(config.keys_path)
    secret = config.database_password_path
    store = Store(config.database, None if secret is None else load_password(secret))
    try:
        keys = GalleryKeys(
            settings.operator, settings.site, identity.key_encryption_key, dice.draw, store, store
        )
        keys.current()  # what cannot be opened is said now, not in the middle of a request
        context = Context(
            settings.operator, settings.site, settings.gallery, identity, keys, dice.now_ms, dice.draw
        )
        members = Members(context, store, store, store, dice.hasher)
        standings = Standings(context, config.scorecards, store, store, store, store, store)
        feeds = Feeds(context, store, standings, store, store)
        kiosks = Kiosks(context, store, store, store)
        records = Records(context, store, store, store)
        reviews = Reviews(context, standings, store, store, store, store)
        retention = Retention(context, settings.retention, config.scorecards.values(), store, store)
        ledger = _open_ledger(config, context, members, store)
        reenrolments = ReEnrolments(context, store, store, members, kiosks)
        yield Desk(
            context,
            members,
            standings,
            feeds,
            kiosks,
            records,
            reviews,
            retention,
            reenrolments,
            Commands(context, kiosks, store, store),
            Shadows(context, kiosks, store),
            Visits(context, members, standings, store),
            ledger,
            Enrolling(context, members, store),
            Withdrawals(context, feeds, kiosks, store, store),
        )
    finally:
        store.close()


def _open_ledger(config: LoadedConfig, context: Context, members: Members, store: Store) -> Ledger:
    payments, provider = config.settings.payments, PROVIDERS[config.settings.payments.provider]()
    fares = config.settings.fares.items()
    tariffs = {Purpose(name): Tariff(fare, days_in(fare.timezone)) for name, fare in fares}
    rules = Rules(payments.charge_max_minor, provider.collects, tariffs)
    return Ledger(context, rules, days_in(payments.timezone), provider, members, store, store, store)


@dataclass(slots=True)
class Central:
    """A running central. `desk` holds the use cases; everything it changes reaches kiosks within a second."""

    desk: Desk
    switchboard: Switchboard
    broker: BrokerAddress
    http_url: str
    api_token: str = field(repr=False)
    link: MqttLink
    embedded: EmbeddedBroker | None
    telling: Telling
    admission: BrokerAccess | None = None
    _pending: set[asyncio.Task[None]] = field(default_factory=set)

    def _send(self, outgoing: list[Outgoing]) -> None:
        for address, payload in outgoing:
            self.link.publish(address, payload)

    def publish_heads(self) -> None:
        """Take up changes, and tell them and every head, now."""
        self.desk.withdrawals.refresh()
        self._send([*self.switchboard.deltas(), *self.switchboard.heads()])

    def on_connect(self) -> None:
        """Call the roll, so that each kiosk says how it is, and tell every head."""
        self._send([self.switchboard.roll_call(), *self.switchboard.heads()])
        self.telling.connected()

    def on_message(self, address: Address, payload: bytes) -> None:
        """Answer a message in a task of its own; they start in the order in which messages came."""
        if len(self._pending) >= PENDING_MAX:
            self.switchboard.ignored["too_many"] += 1
            return
        task = asyncio.create_task(self._answer(address, payload))
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

    async def _answer(self, address: Address, payload: bytes) -> None:
        try:
            self._send(await self.switchboard.answer(address, payload))
        except Exception:  # one message must not end the service; nothing was acknowledged
            log.exception("a message on %s could not be answered", address.topic)
            self.switchboard.ignored["failed"] += 1

    async def keep_telling(self) -> None:
        """Send orders, and tell wishes and Home Assistant what is new, each tick. For ever."""
        while True:
            await asyncio.sleep(TICK_S)
            try:
                await self.telling.look()
            except Exception:  # what was not told is told at the next tick, orders only while they are good
                log.exception("orders and wishes could not be told")

    async def keep_heads(self, every_s: float) -> None:
        """Sign every head again each `every_s`, and at once when something changed. For ever."""
        signed_s = time.monotonic()
        while True:
            await asyncio.sleep(TICK_S)
            try:
                if self.embedded is not None and await asyncio.to_thread(self.embedded.revive):
                    log.warning("the embedded broker had died; it is back on port %d", self.broker.port)
                await asyncio.to_thread(self.desk.kiosks.look_again)
                await asyncio.to_thread(self.desk.context.keys.refresh)
                if self.admission is not None:
                    await asyncio.to_thread(self.admission.keep, self.desk.kiosks.all())
                changed = await asyncio.to_thread(self.desk.withdrawals.refresh)
            except Exception:  # a full disk passes; kiosks see their heads age meanwhile
                log.exception("the feeds could not be kept")
                continue
            self._send(self.switchboard.deltas())
            if changed or time.monotonic() - signed_s >= every_s:
                self._send(self.switchboard.heads())
                signed_s = time.monotonic()

    async def keep_collecting(self) -> None:
        """Take up what the payment provider says, and ask again for what it has not answered. For ever."""
        while True:
            await asyncio.sleep(TICK_S)
            try:
                await asyncio.to_thread(self.desk.ledger.collect)
            except Exception:  # asked again at the next tick, under the same keys
                log.exception("the payment provider could not be asked")

    async def settle(self) -> None:
        """Wait for the answers under way."""
        if self._pending:
            await asyncio.wait(self._pending)


def tls_files(config: LoadedConfig) -> TlsFiles | None:
    """The files with which central speaks TLS to the broker; None when it does not."""
    mqtt, folder = config.settings.mqtt, config.folder
    if mqtt.ca_file is None or mqtt.certificate_file is None or mqtt.key_file is None:
        return None
    return TlsFiles(
        folder / mqtt.ca_file, folder / mqtt.certificate_file, folder / mqtt.key_file, mqtt.server_name
    )


def _check(files: TlsFiles) -> None:
    """Raise SecretsError for a file that cannot be used, naming it and what to do."""
    try:
        look_at_files(files, utc_ms(), TLS_REMEDY)
    except TlsFileError as error:
        raise SecretsError(str(error.path), error.why) from None


def _open_admission(config: LoadedConfig) -> BrokerAccess | None:
    """What lets kiosks in at a broker with TLS; None when another CA than central's own does."""
    if tls_files(config) is None or not BrokerAuthority.exists(config.keys_path):
        return None
    access = config.settings.mqtt.access_dir
    folder = None if access is None else config.folder / access
    prefix = config.settings.home_assistant.discovery_prefix
    return BrokerAccess(BrokerAuthority.load(config.keys_path), config.settings.site, folder, prefix)


@contextlib.asynccontextmanager
async def open_central(config: LoadedConfig, dice: Dice | None = None) -> AsyncIterator[Central]:
    """Run central while the context lasts: broker (if embedded), MQTT, HTTP.

    It is connected once entered, unless the broker is elsewhere and does not answer: then it goes on trying.
    Raises SecretsError, StorageError, OSError when a port is taken.
    """
    settings = config.settings
    async with contextlib.AsyncExitStack() as stack:
        # In threads: other sites of this process are to be served meanwhile.
        opening = open_desk(config, dice)
        desk = await asyncio.to_thread(opening.__enter__)
        stack.push(opening.__exit__)
        await asyncio.to_thread(desk.context.keys.reseal)  # a change of the key may have been cut short
        await asyncio.to_thread(desk.withdrawals.refresh)
        embedded: EmbeddedBroker | None = None
        broker = BrokerAddress(settings.mqtt.host, settings.mqtt.port)
        if settings.mqtt.embedded:
            embedded = EmbeddedBroker(settings.mqtt.port)
            stack.push_async_callback(asyncio.to_thread, embedded.stop)
            broker = await asyncio.to_thread(embedded.start)
        admission = _open_admission(config)
        if admission is not None:
            admission.keep(desk.kiosks.all())
            broker = replace(broker, admission=admission)
        switchboard = Switchboard(desk, admission)
        token = load_token(config.keys_path)
        api = make_api(desk, switchboard, token, broker, settings.http)
        http = HttpServer(api, settings.http.host, settings.http.port)
        stack.push_async_callback(http.close)
        filters = [topics.every(kind, settings.site) for kind in LISTENS_TO]
        link = MqttLink(
            f"stile-central-{settings.site}",
            filters,
            lambda address, payload: central.on_message(address, payload),
            lambda: central.on_connect(),
        )
        prefix, home = settings.home_assistant.discovery_prefix, None
        if prefix is not None:
            home = HomeAssistant(prefix, settings.operator, settings.site, link.publish_retained)
        telling = Telling(desk, switchboard, link.publish, home)
        central = Central(desk, switchboard, broker, http.url, token, link, embedded, telling, admission)
        stack.push_async_callback(central.settle)
        stack.push_async_callback(link.close)
        tls = tls_files(config)
        if tls is not None:
            _check(tls)
        link.open(
            broker.host,
            broker.port,
            None if tls is None else lambda: open_context(tls, utc_ms(), TLS_REMEDY),
            settings.mqtt.server_name,
        )
        http.open()
        try:
            async with asyncio.timeout(CONNECT_S if embedded is not None else EXTERNAL_BROKER_WAIT_S):
                await link.connected.wait()
        except TimeoutError:
            log.warning("no broker answers at %s:%d yet; central goes on trying", broker.host, broker.port)
        keeper = asyncio.create_task(central.keep_heads(settings.head_every_s), name="heads")
        stack.push_async_callback(_cancelled, keeper)
        teller = asyncio.create_task(central.keep_telling(), name="telling")
        stack.push_async_callback(_cancelled, teller)
        collector = asyncio.create_task(central.keep_collecting(), name="payments")
        stack.push_async_callback(_cancelled, collector)
        yield central


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def add_reviewer(config: LoadedConfig, reviewer: ReviewerId, key_file: Path) -> ReviewerKey:
    """Make a reviewer's own key file, certified by the operator root, and list them.

    Raises ConflictError when the file exists or the name has a key, RefusedError for a name that is taken.
    """
    with open_desk(config) as desk:
        desk.reviews.check_new(reviewer)
        root = desk.context.identity.root
        made = create_reviewer(key_file, reviewer, desk.context.operator, root, utc_ms(), os.urandom)
        desk.reviews.add(made.certificate)
    return made


def issue_restriction(desk: Desk, terms: Terms, key_file: Path) -> Restriction:
    """Sign a restriction with a reviewer's key file and store it; raises SecretsError or RefusedError."""
    key = load_reviewer(key_file)
    context = desk.context
    signed = issue(terms, Signer.from_seed(key.seed), key.certificate, context.now_ms(), context.draw(21))
    desk.standings.add_restriction(signed)
    return signed


def reviewer_of(desk: Desk, key_file: Path) -> ReviewerId:
    """Whose key file it is; raises SecretsError, or RefusedError when they are not listed or were revoked."""
    return desk.reviews.reviewer_of(load_reviewer(key_file).certificate)


def settle(desk: Desk, matter: Matter, target: str, outcome: Outcome, note: str, key_file: Path) -> Case:
    """Sign a ruling on an open case with a reviewer's key file; raises as `Reviews.settle`."""
    key = load_reviewer(key_file)
    case = desk.reviews.open_case(matter, target)
    signer, now_ms = Signer.from_seed(key.seed), desk.context.now_ms()
    return desk.reviews.settle(rule(case, outcome, note, signer, key.certificate, now_ms))


__all__ = [
    "BrokerAddress",
    "Central",
    "Desk",
    "Dice",
    "EmbeddedBroker",
    "Listener",
    "Purpose",
    "Switchboard",
    "add_reviewer",
    "init_central",
    "issue_restriction",
    "load_config",
    "open_central",
    "open_desk",
    "reviewer_of",
    "settle",
    "write_broker",
]
