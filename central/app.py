"""Central's composition root: from a configuration to a running service."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

from central.adapters.broker.access import BrokerAccess
from central.adapters.broker.certificates import BrokerAuthority
from central.adapters.broker.embedded import EmbeddedBroker
from central.adapters.broker.files import Listener, write_broker
from central.adapters.db.store import Store
from central.adapters.http.api import make_api
from central.adapters.keyfiles import BEGUN_FILE, load_identity, load_password, load_token
from central.adapters.mqtt.announcer import Announcer
from central.adapters.mqtt.home_assistant import HomeAssistant
from central.adapters.mqtt.link import MqttLink
from central.adapters.mqtt.router import LISTENS_TO, RequestRouter
from central.adapters.payments import PROVIDERS
from central.config import LoadedConfig, days_in, load_config
from central.errors import ConfigError, SecretsError
from central.rules.clock import ClockWatch
from central.rules.fares import Tariff
from central.rules.posting import Rules
from central.running import Central
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
from central.service.use_cases import UseCases, state_fields
from central.service.visits import Visits
from central.service.withdrawals import Withdrawals
from central.setup import CONFIG_FILE, init_central
from wire import topics
from wire.environment import Environment, utc_ms
from wire.errors import ListenError, TlsFileError
from wire.ids import Purpose
from wire.tls import TlsFiles
from wire.transport.http import HttpServer, Limits
from wire.transport.tls import look_at_files, open_context

log = logging.getLogger(__name__)

CONNECT_S = 10.0
"""How long start-up waits for the embedded broker, which is up already."""
EXTERNAL_BROKER_WAIT_S = 2.0
"""How long start-up waits for a broker that is not ours before serving without it."""
HTTP_LIMITS = Limits(connections=200, per_address=64)
"""A page opens six connections; many phones may share one address."""
TLS_REMEDY = "`stile central broker-config` makes it"


@contextlib.contextmanager
def open_use_cases(config: LoadedConfig, environment: Environment | None = None) -> Iterator[UseCases]:
    """Central's use cases over its database, without network: what the command line and tests work with.

    Raises SecretsError when a key file is missing, open to others, or malformed.
    """
    environment = environment or Environment()
    settings = config.settings
    identity = load_identity(config.keys_path, settings.operator, settings.site)
    secret = config.database_password_path
    password = None if secret is None else load_password(secret)
    store = Store(config.database, password, config.keys_path / BEGUN_FILE)
    try:
        keys = GalleryKeys(
            operator=settings.operator,
            site=settings.site,
            key_encryption_key=identity.key_encryption_key,
            draw=environment.random_bytes,
            store=store,
        )
        keys.current()  # what cannot be opened is said now, not in the middle of a request
        context = Context(
            operator=settings.operator,
            site=settings.site,
            gallery=settings.gallery,
            identity=identity,
            keys=keys,
            now_ms=environment.utc_ms,
            draw=environment.random_bytes,
        )
        members = Members(context, store, environment.hasher)
        standings = Standings(context, config.scorecards, store)
        feeds = Feeds(context, store, standings)
        kiosks = Kiosks(context, store)
        yield UseCases(
            context=context,
            members=members,
            standings=standings,
            feeds=feeds,
            kiosks=kiosks,
            records=Records(context, store),
            reviews=Reviews(context, standings, store),
            retention=Retention(context, settings.retention, config.scorecards.values(), store),
            reenrolments=ReEnrolments(context, store, members, kiosks),
            commands=Commands(context, kiosks, store),
            shadows=Shadows(context, kiosks, store),
            visits=Visits(context, members, standings, store),
            ledger=_open_ledger(config, context, members, store),
            enrolling=Enrolling(context, members, store),
            withdrawals=Withdrawals(context, feeds, kiosks, store),
            unreadable=store.unreadable,
        )
    finally:
        store.close()


def _open_ledger(config: LoadedConfig, context: Context, members: Members, store: Store) -> Ledger:
    payments, provider = config.settings.payments, PROVIDERS[config.settings.payments.provider]()
    fares = config.settings.fares.items()
    tariffs = {Purpose(name): Tariff(fare, days_in(fare.timezone)) for name, fare in fares}
    rules = Rules(payments.charge_max_minor, provider.collects, tariffs)
    return Ledger(
        context,
        rules=rules,
        day_of=days_in(payments.timezone),
        provider=provider,
        members=members,
        store=store,
    )


def tls_files(config: LoadedConfig) -> TlsFiles | None:
    """The files with which central speaks TLS to the broker; None when it does not."""
    mqtt, folder = config.settings.mqtt, config.folder
    if mqtt.ca_file is None or mqtt.certificate_file is None or mqtt.key_file is None:
        return None
    return TlsFiles(
        folder / mqtt.ca_file, folder / mqtt.certificate_file, folder / mqtt.key_file, mqtt.server_name
    )


def _http_server(config: LoadedConfig) -> HttpServer:
    """A server that has its address; raises ConfigError where it cannot be had."""
    http = config.settings.http
    try:
        return HttpServer(http.host, http.port, HTTP_LIMITS)
    except ListenError as error:
        where = str(config.folder / CONFIG_FILE)
        raise ConfigError(where, "http.port", error.address, error.why) from error


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
async def open_central(
    config: LoadedConfig, environment: Environment | None = None
) -> AsyncIterator[Central]:
    """Run central while the context lasts: broker (if embedded), MQTT, HTTP.

    It is connected once entered, unless the broker is elsewhere and does not answer: then it goes on trying.
    Raises SecretsError, StorageError, ConfigError for an address or port that is taken.
    """
    settings, environment = config.settings, environment or Environment()
    async with contextlib.AsyncExitStack() as stack:
        # In threads: other sites of this process are to be served meanwhile.
        opening = open_use_cases(config, environment)
        use_cases = await asyncio.to_thread(opening.__enter__)
        stack.push(opening.__exit__)
        await asyncio.to_thread(use_cases.context.keys.reseal)  # a change of the key may have been cut short
        await asyncio.to_thread(use_cases.withdrawals.refresh)
        embedded: EmbeddedBroker | None = None
        broker = BrokerAddress(settings.mqtt.host, settings.mqtt.port)
        if settings.mqtt.embedded:
            embedded = EmbeddedBroker(settings.mqtt.port)
            stack.push_async_callback(asyncio.to_thread, embedded.stop)
            try:
                broker = await asyncio.to_thread(embedded.start)
            except (OSError, RuntimeError) as error:
                where, wanted = str(config.folder / CONFIG_FILE), f"the broker cannot listen there ({error})"
                remedy = "end what has the port, or give another"
                raise ConfigError(where, "mqtt.port", settings.mqtt.port, f"{wanted}: {remedy}") from error
        admission = _open_admission(config)
        if admission is not None:
            admission.keep(use_cases.kiosks.all())
            broker = replace(broker, admission=admission)
        router = RequestRouter(use_cases, admission, lambda: link.trouble)
        token = load_token(config.keys_path)
        api = make_api(use_cases, router, token, broker, settings.http)
        http = _http_server(config)
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
        announcer = Announcer(use_cases, router, link.publish, home)
        central = Central(
            use_cases=use_cases,
            router=router,
            broker=broker,
            http_url=http.url,
            api_token=token,
            link=link,
            embedded=embedded,
            announcer=announcer,
            admission=admission,
            environment=environment,
            clock_watch=ClockWatch(environment.utc_ms(), environment.monotonic_ms()),
            head_every_s=settings.head_every_s,
        )
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
        await http.open(api, "http")
        try:
            async with asyncio.timeout(CONNECT_S if embedded is not None else EXTERNAL_BROKER_WAIT_S):
                await link.connected.wait()
        except TimeoutError:
            log.warning("no broker answers at %s:%d yet; central goes on trying", broker.host, broker.port)
        await stack.enter_async_context(central.loops())
        yield central


__all__ = [
    "BrokerAddress",
    "Central",
    "EmbeddedBroker",
    "Listener",
    "Purpose",
    "RequestRouter",
    "UseCases",
    "init_central",
    "load_config",
    "open_central",
    "open_use_cases",
    "state_fields",
    "write_broker",
]
