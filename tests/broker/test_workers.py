"""Workers that share sites: real processes, a real PostgreSQL, a real Mosquitto, kiosks' real outboxes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pg8000.dbapi
import pytest
from sqlalchemy import create_engine
from typer.testing import CliRunner

from central.adapters.broker.embedded import free_port
from central.adapters.db.engines import database_url, lock
from central.adapters.db.leases import SILENT_S, SiteLease
from central.app import init_central, load_config, open_use_cases
from central.errors import ConfigError, LeaseError
from central.worker import PATIENCE_MAX_S, check_sites, patience_s, try_every_s
from edge.adapters.central.pairing import pair
from edge.adapters.central.uplink import Uplink
from scripts.cli.main import build
from tests.doubles.brokers import mosquitto_program
from tests.doubles.central_rig import RIDE
from tests.doubles.kiosk_rig import Kiosk
from tests.doubles.postgres import NO_POSTGRES, USER, Postgres, running_postgres
from tests.doubles.waiting import WAIT_S, eventually
from tests.doubles.wire_samples import pass_record
from wire.ids import KioskId, PassageId, RecordId

ROOT = Path(__file__).parents[2]
SITES = ("north", "south", "west")
EVERY_S = 0.02
RECEIPT_S = 0.5  # doubled each time a kiosk waits for a receipt in vain


def site_config(folder: Path, site: str, database: str, mqtt_port: int, http_port: int) -> Path:
    """A site that workers can serve."""
    config = init_central(folder, "metro", site, RIDE, mqtt_port=mqtt_port, http_port=http_port)
    text = config.read_text().replace("embedded = true", "embedded = false")
    config.write_text(text.replace('database = "central.db"', f'database = "{database}"'))
    return config


@dataclass
class City:
    """Three sites, each with a database of its own on one server, and one broker."""

    postgres: Postgres
    configs: dict[str, Path]
    broker_port: int

    def worker(self, folder: Path, name: str) -> WorkerProcess:
        return WorkerProcess(tuple(self.configs.values()), folder / f"{name}.log")


@contextlib.contextmanager
def plain_mosquitto(folder: Path) -> Iterator[int]:
    """A Mosquitto that asks nobody who they are, on a free port of loopback."""
    port = free_port()
    config = folder / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\n")
    with (folder / "mosquitto.log").open("ab") as log:
        process = subprocess.Popen([mosquitto_program(), "-c", str(config)], stderr=log)
    try:
        yield port
    finally:
        process.terminate()
        process.wait(WAIT_S)


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    folder = tmp_path_factory.mktemp("city")
    with running_postgres() as postgres, plain_mosquitto(folder) as port:
        server = postgres.url.rpartition("/")[0]
        connection = pg8000.dbapi.connect(
            USER, host="127.0.0.1", port=int(server.rpartition(":")[2]), database="postgres"
        )
        connection.autocommit = True
        for site in SITES:
            connection.cursor().execute(f"CREATE DATABASE {site}")
        connection.close()
        configs = {
            site: site_config(folder / site, site, f"{server}/{site}", port, free_port()) for site in SITES
        }
        yield City(postgres, configs, port)


@dataclass
class WorkerProcess:
    """`stile central work` of every site, in a process of its own."""

    configs: Sequence[Path]
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        program = "from scripts.cli.main import main; main()"
        words = [sys.executable, "-c", program, "central", "work", *map(str, self.configs), "--json"]
        with self.log.open("ab") as sink:
            self.process = subprocess.Popen(words, stderr=sink, cwd=ROOT)

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it, and wait; its exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(WAIT_S)

    @property
    def told(self) -> list[dict[str, dict[str, str]]]:
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [json.loads(line) for line in lines if line.startswith("{")]

    @property
    def held(self) -> set[str]:
        """The sites it says that it serves."""
        return {site.partition("/")[2] for site in self.told[-1]["held"]} if self.told else set()

    @property
    def trouble(self) -> dict[str, str]:
        return self.told[-1]["trouble"] if self.told else {}


@contextlib.asynccontextmanager
async def working(*workers: WorkerProcess) -> AsyncIterator[None]:
    """Run workers while the context lasts."""
    try:
        for worker in workers:
            worker.start()
        yield
    finally:
        for worker in workers:
            if worker.process is not None and worker.process.poll() is None:
                worker.process.kill()
                worker.process.wait(WAIT_S)


def shared(*workers: WorkerProcess) -> bool:
    """Whether each site is served by exactly one."""
    return sorted(site for worker in workers for site in worker.held) == sorted(SITES)


async def new_kiosk(config: Path, folder: Path, name: str) -> Kiosk:
    """A kiosk paired with the site's central, whichever worker that is."""
    loaded = load_config(config)
    with open_use_cases(loaded) as use_cases:
        code = use_cases.kiosks.add(KioskId(name), RIDE)
    await asyncio.to_thread(folder.mkdir)
    url = f"http://127.0.0.1:{loaded.settings.http.port}"
    await pair(url, code, folder, software="0.1.0", random_bytes=os.urandom)
    return Kiosk(folder)


async def passing(uplink: Uplink, passages: list[PassageId], closed: asyncio.Event) -> None:
    """People pass, until it is closed."""
    while not closed.is_set():
        token = os.urandom(16).hex()
        record = pass_record(uplink.identity.kiosk, 1, record_id=RecordId(token), passage=PassageId(token))
        await uplink.outbox.settle(record)
        passages.append(PassageId(token))
        await asyncio.sleep(EVERY_S)


@dataclass
class Traffic:
    """People passing at a kiosk of each site."""

    uplinks: dict[str, Uplink]
    passages: dict[str, list[PassageId]]

    async def more(self, count: int) -> None:
        """Wait until so many more have passed at each."""
        wanted = {site: len(passed) + count for site, passed in self.passages.items()}
        await eventually(
            lambda: all(len(self.passages[site]) >= goal for site, goal in wanted.items()), "people passed"
        )

    async def all_committed(self) -> None:
        """Wait until every outbox is empty."""
        await eventually(
            lambda: not any(uplink.outbox.backlog.waiting for uplink in self.uplinks.values()),
            "every outbox is empty",
        )


@contextlib.asynccontextmanager
async def traffic(city: City, folder: Path, name: str) -> AsyncIterator[Traffic]:
    """A kiosk at each site, with people passing; afterwards central has each record once, in one chain."""
    async with contextlib.AsyncExitStack() as stack:
        uplinks = {}
        for site, config in city.configs.items():
            kiosk = await new_kiosk(config, folder / site, name)
            uplinks[site] = await stack.enter_async_context(kiosk.running(receipt_timeout_s=RECEIPT_S))
        people = Traffic(uplinks, {site: [] for site in uplinks})
        closed = asyncio.Event()
        walking = [
            asyncio.create_task(passing(uplinks[site], people.passages[site], closed)) for site in uplinks
        ]
        try:
            yield people
        finally:
            closed.set()
            await asyncio.gather(*walking)
        await people.all_committed()
        assert all(uplink.outbox.standstill is None for uplink in uplinks.values())
    for site, config in city.configs.items():
        with open_use_cases(load_config(config)) as use_cases:
            (report,) = [each for each in use_cases.records.verify() if each.kiosk == name]
            assert (report.broken_at, report.records) == (None, len(people.passages[site]))
            assert {len(use_cases.records.of_passage(each)) for each in people.passages[site]} == {1}


@NO_POSTGRES
async def test_a_worker_killed_or_told_to_end_under_load_is_replaced_and_no_record_is_lost_or_counted_twice(
    city: City, tmp_path: Path
) -> None:
    workers, third = [city.worker(tmp_path, name) for name in ("one", "two")], city.worker(tmp_path, "three")
    async with working(*workers):
        await eventually(lambda: shared(*workers), "each site is served by exactly one")
        async with contextlib.AsyncExitStack() as later, traffic(city, tmp_path, "gate-kill") as people:
            await people.more(20)
            survivor, victim = sorted(workers, key=lambda worker: len(worker.held))
            await asyncio.to_thread(victim.end, signal.SIGKILL)
            await later.enter_async_context(working(third))
            await people.more(20)
            await eventually(lambda: shared(survivor, third), "its sites went to the others")
            assert await asyncio.to_thread(survivor.end) == 0
            assert survivor.held == set()
            await people.more(10)
            await eventually(lambda: third.held == set(SITES), "the last one serves every site")
            await people.more(10)


@NO_POSTGRES
@pytest.mark.long
async def test_after_the_database_was_restarted_a_worker_serves_its_sites_again(
    city: City, tmp_path: Path
) -> None:
    worker = city.worker(tmp_path, "only")
    async with working(worker):
        await eventually(lambda: worker.held == set(SITES), "it serves every site")
        async with traffic(city, tmp_path, "gate-restart") as people:
            await people.more(10)
            await asyncio.to_thread(city.postgres.crash)
            await eventually(lambda: worker.held == set(), "it serves no site without its lease")
            await people.more(10)
            await eventually(lambda: len(worker.trouble) == len(SITES), "it says why")
            assert all("see that PostgreSQL runs" in why for why in worker.trouble.values())
            await asyncio.to_thread(city.postgres.start)
            await eventually(lambda: worker.held == set(SITES), "it serves every site again")
            assert worker.trouble == {}


@NO_POSTGRES
async def test_a_site_that_cannot_be_opened_is_named_with_the_reason_and_the_others_are_served(
    city: City, tmp_path: Path
) -> None:
    card = city.configs["south"].parent / "ride.scorecard.toml"
    right, worker = card.read_text(), city.worker(tmp_path, "only")
    http_port = load_config(city.configs["west"]).settings.http.port
    async with await asyncio.start_server(lambda *_: None, "127.0.0.1", http_port), working(worker):
        try:
            card.write_text(right.replace("valid_hours", "valid_days"))
            await eventually(lambda: len(worker.trouble) == 2, "both are named")
            await eventually(lambda: worker.held == {"north"}, "the other one is served")
            assert "valid_days" in worker.trouble[str(city.configs["south"])]
            assert str(http_port) in worker.trouble[str(city.configs["west"])]
        finally:
            card.write_text(right)
        await eventually(lambda: worker.held == {"north", "south"}, "the mended one is served too")


@NO_POSTGRES
async def test_sites_that_take_long_to_open_keep_no_other_waiting(city: City, tmp_path: Path) -> None:
    worker = city.worker(tmp_path, "only")
    databases = [load_config(city.configs[site]).database for site in ("north", "south")]
    engines = [create_engine(database_url(each)) for each in databases]
    with contextlib.ExitStack() as held:
        for engine in engines:
            held.callback(engine.dispose)
            # Whoever migrates this site's tables has to wait for it.
            lock(held.enter_context(engine.connect()), "stile")
        async with working(worker):
            await eventually(lambda: worker.held == {"west"}, "the other is served")
            held.close()
            await eventually(lambda: worker.held == set(SITES), "they are served as well")
            assert worker.trouble == {}


@NO_POSTGRES
@pytest.mark.long
async def test_a_frozen_worker_loses_its_sites_and_stops_serving_them_once_it_goes_on(
    city: City, tmp_path: Path
) -> None:
    frozen, other = city.worker(tmp_path, "frozen"), city.worker(tmp_path, "other")
    async with working(frozen):
        await eventually(lambda: frozen.held == set(SITES), "the only worker serves every site")
        async with traffic(city, tmp_path, "gate-frozen") as people:
            await people.more(10)
            frozen.send(signal.SIGSTOP)
            async with working(other):
                # Its HTTP ports are still open: another host's worker would have its own.
                await eventually(lambda: len(other.trouble) == len(SITES), "its leases went to the other")
                assert all("Address already in use" in why for why in other.trouble.values())
                frozen.send(signal.SIGCONT)
                await eventually(lambda: frozen.held == set(), "it stops serving")
                await eventually(lambda: shared(frozen, other), "each is served by exactly one again")
                await people.more(10)


@NO_POSTGRES
async def test_a_lease_is_had_by_one_until_that_one_gives_it_back(city: City) -> None:
    where = str(load_config(city.configs["north"]).database)
    one, two = SiteLease(where, None, "metro/north"), SiteLease(where, None, "metro/north")
    try:
        assert (one.take(), two.take()) == (True, False)
        one.beat()
        one.close()
        await eventually(two.take, "PostgreSQL has ended the session")
    finally:
        two.close()


@NO_POSTGRES
@pytest.mark.long
def test_the_lease_of_one_who_says_nothing_for_ten_seconds_ends(city: City) -> None:
    where = str(load_config(city.configs["north"]).database)
    silent, waiting = SiteLease(where, None, "metro/north"), SiteLease(where, None, "metro/north")
    assert silent.take()
    end_s = time.monotonic() + 3 * SILENT_S
    while not waiting.take():
        assert time.monotonic() < end_s
        time.sleep(0.2)
    with pytest.raises(LeaseError, match="metro/north"):
        silent.beat()
    silent.close()
    waiting.close()


@pytest.mark.parametrize(
    ("right", "wrong", "key", "why"),
    [
        ('database = "postgresql://stile@db/north"', 'database = "central.db"', "database", "central run"),
        ("embedded = false", "embedded = true", "mqtt.embedded", "one process's own"),
        ("port = 8480", "port = 0", "http.port", "give the site's port"),
    ],
)
def test_what_several_workers_cannot_share_is_refused_with_a_sentence(
    tmp_path: Path, right: str, wrong: str, key: str, why: str
) -> None:
    config = site_config(tmp_path, "north", "postgresql://stile@db/north", 1883, 8480)
    check_sites([config])
    text = config.read_text()
    assert right in text
    config.write_text(text.replace(right, wrong))
    with pytest.raises(ConfigError, match=why) as raised:
        check_sites([config])
    assert raised.value.key == key
    ran = CliRunner().invoke(build(["central"]), ["central", "work", str(config)])
    assert ran.exit_code == 2
    assert len(ran.stderr.strip().splitlines()) == 1
    assert key in ran.stderr


@pytest.mark.parametrize(
    ("site", "database", "key"), [("north", "south", "site"), ("south", "north", "database")]
)
def test_two_sites_of_one_name_or_one_database_are_refused(
    tmp_path: Path, site: str, database: str, key: str
) -> None:
    server = "postgresql://stile@db"
    configs = [
        site_config(tmp_path / "a", "north", f"{server}/north", 1883, 8480),
        site_config(tmp_path / "b", site, f"{server}/{database}", 1883, 8481),
    ]
    with pytest.raises(ConfigError, match="each site has one of its own") as raised:
        check_sites(configs)
    assert raised.value.key == key


def test_who_holds_more_waits_longer_and_nobody_waits_long() -> None:
    waits_s = [patience_s(held) for held in range(500)]
    assert waits_s == sorted(waits_s)
    assert (waits_s[0], waits_s[-1]) == (0.0, PATIENCE_MAX_S)
    assert waits_s[1] > 0
    assert (try_every_s(1), try_every_s(250)) == (1.0, 12.5)
