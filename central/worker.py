"""Workers: several processes are given every site, and each is served by the one that holds its lease.

A worker runs `open_central` for each site it holds. When it dies the leases end with it, and the others, who
try for every site again and again, take its sites over. Records are committed under locks of the database,
so two workers that both serve a site for a moment lose nothing and count nothing twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn, TypeVar

from central.adapters.db.leases import SiteLease
from central.adapters.keyfiles import load_password
from central.app import open_central
from central.config import LoadedConfig, load_config
from central.errors import CentralError, ConfigError, LeaseError
from wire.environment import Environment

log = logging.getLogger(__name__)

BEAT_S = 1.0
"""How often a lease's connection is looked at."""
TRY_S = 1.0
"""How often each site of another worker is tried for."""
TRIES_PER_S_MAX = 20.0
"""Tries of one worker; each is a connection to PostgreSQL."""
TROUBLE_S = 5.0
"""How long after a failure to open a site it is tried again."""
PATIENCE_S, PATIENCE_MAX_S = 0.1, 1.0  # a worker lets those go first that hold fewer sites
OPEN_AT_ONCE = 4
"""Sites that one worker opens at a time: a large one keeps no small one waiting, and other workers get
theirs."""
STOP_S = 15.0
"""A site that does not stop within this time is stopped by ending the worker."""
EXIT_STUCK = 1

Answer = TypeVar("Answer")


def patience_s(held: int) -> float:
    """How long a worker that holds so many sites waits before it tries for another."""
    return min(PATIENCE_MAX_S, held * PATIENCE_S)


def try_every_s(sites: int) -> float:
    """How often each of so many sites is tried for."""
    return max(TRY_S, sites / TRIES_PER_S_MAX)


def check_fit(config: LoadedConfig, where: str) -> None:
    """Whether a site's configuration can be served by any of several workers; raises ConfigError."""
    settings = config.settings
    if isinstance(config.database, Path):
        raise ConfigError(
            where, "database", settings.database, "workers share PostgreSQL: give postgresql://…; "
            "a SQLite file has one central, `stile central run`"
        )  # fmt: skip
    if settings.mqtt.embedded:
        raise ConfigError(
            where, "mqtt.embedded", True, "the embedded broker is one process's own: give another"
        )
    if settings.http.port == 0:
        raise ConfigError(where, "http.port", 0, "kiosks look for it on every worker: give the site's port")


def check_sites(paths: Sequence[Path]) -> None:
    """Look at every configuration before any is served; raises ConfigError for what can never work.

    One that cannot be read (a bad scorecard) is left to be named while the others are served.
    """
    seen: dict[str, Path] = {}
    for path in paths:
        try:
            config = load_config(path)
        except ConfigError:
            continue
        check_fit(config, str(path))
        for key, name in (("site", _name(config)), ("database", str(config.database))):
            other = seen.setdefault(f"{key} {name}", path)
            if other is not path:
                raise ConfigError(str(path), key, name, f"is that of {other}: each site has one of its own")


def _name(config: LoadedConfig) -> str:
    return f"{config.settings.operator}/{config.settings.site}"


@dataclass(frozen=True, slots=True)
class WorkerState:
    """What a worker serves, by site; why it cannot serve others, by site or configuration."""

    held: dict[str, str]
    trouble: dict[str, str]


@dataclass(slots=True)
class _Lease:
    """A lease with a thread of its own, so that no other site's work delays its beat."""

    lease: SiteLease
    thread: ThreadPoolExecutor

    async def asked(self, question: Callable[[], Answer]) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self.thread, question)

    async def beating(self) -> None:
        """Beat until the lease is lost; raises LeaseError then."""
        while True:
            await asyncio.sleep(BEAT_S)
            await self.asked(self.lease.beat)


@contextlib.asynccontextmanager
async def _connected(config: LoadedConfig) -> AsyncIterator[_Lease]:
    secret = config.database_password_path
    password = None if secret is None else load_password(secret)
    thread = ThreadPoolExecutor(1, f"lease {_name(config)}")
    try:
        where, name = str(config.database), _name(config)
        lease = await asyncio.get_running_loop().run_in_executor(thread, SiteLease, where, password, name)
        try:
            yield _Lease(lease, thread)
        finally:
            thread.submit(lease.close)  # after a beat that is under way
    finally:
        thread.shutdown(wait=False)


def _end_process() -> NoReturn:
    """End at once; the operating system closes connections, and the supervisor starts another."""
    os._exit(EXIT_STUCK)


@dataclass(slots=True)
class Worker:
    """Serves the sites it can get hold of. `report` is called with every change of what it holds."""

    paths: Sequence[Path]
    report: Callable[[WorkerState], None]
    draw: Callable[[float, float], float] = field(default_factory=lambda: Environment().dice.uniform)
    end_process: Callable[[], NoReturn] = _end_process
    _turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(OPEN_AT_ONCE))
    _held: dict[str, str] = field(default_factory=dict)
    _trouble: dict[str, str] = field(default_factory=dict)

    async def run(self, stopped: asyncio.Event) -> None:
        """Serve until `stopped`, then give every site back."""
        keeping = [asyncio.create_task(self._keep(path), name=str(path)) for path in self.paths]
        try:
            await stopped.wait()
        finally:
            for task in keeping:
                task.cancel()
            await asyncio.gather(*keeping, return_exceptions=True)

    def _tell(self) -> None:
        self.report(WorkerState(dict(sorted(self._held.items())), dict(sorted(self._trouble.items()))))

    def _troubled(self, path: Path, why: str | None) -> None:
        if self._trouble.get(str(path)) == why:
            return  # told once, however often it is tried
        if why is None:
            del self._trouble[str(path)]
        else:
            self._trouble[str(path)] = why
        self._tell()

    async def _keep(self, path: Path) -> None:
        """Try for one site, and serve it whenever it is ours. For ever."""
        wait_s = 0.0
        while True:
            await asyncio.sleep(self.draw(0.5, 1.5) * wait_s)
            wait_s = try_every_s(len(self.paths))
            if self._turns.locked():
                continue  # a few sites are opened at a time: whoever is not busy may have this one
            try:
                await self._try(path)
            except LeaseError as error:
                self._troubled(path, str(error))
            except (CentralError, OSError) as error:
                self._troubled(path, str(error))
                wait_s = max(wait_s, TROUBLE_S)
            except Exception as error:  # one site must not end the others
                log.exception("%s", path)
                self._troubled(path, f"{type(error).__name__}: {error}")
                wait_s = max(wait_s, TROUBLE_S)

    async def _try(self, path: Path) -> None:
        """Serve a site until its lease is lost, if there is one to be had; raises what keeps it from that."""
        config = await asyncio.to_thread(load_config, path)
        check_fit(config, str(path))
        async with _connected(config) as lease, contextlib.AsyncExitStack() as turn:
            await turn.enter_async_context(self._turns)
            if not await lease.asked(lease.lease.take):
                self._troubled(path, None)
                return
            tasks = (
                asyncio.create_task(lease.beating(), name=f"lease {path}"),
                asyncio.create_task(self._serve(path, config, turn), name=f"serve {path}"),
            )
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            finally:
                await self._stop(path, *tasks)

    async def _serve(self, path: Path, config: LoadedConfig, turn: contextlib.AsyncExitStack) -> None:
        async with open_central(config) as central:
            self._held[_name(config)] = central.http_url
            try:
                self._trouble.pop(str(path), None)
                self._tell()
                await asyncio.sleep(patience_s(len(self._held)))
                await turn.aclose()
                await asyncio.Event().wait()  # until the lease is lost, or the worker is stopped
            finally:
                del self._held[_name(config)]
                self._tell()

    async def _stop(self, path: Path, *tasks: asyncio.Task[None]) -> None:
        """Stop serving, before the lease is given back."""
        for task in tasks:
            task.cancel()
        ended, going = await asyncio.wait(tasks, timeout=STOP_S)
        for task in ended:
            if not task.cancelled() and (error := task.exception()) is not None:
                log.debug("%s ended with %r", task.get_name(), error)  # `_try` raises the one that counts
        if going:
            # A database that swallows packets holds its threads for hours; nothing in here can end them.
            log.error("%s does not stop: this worker ends, and all its sites go to others", path)
            self.end_process()
