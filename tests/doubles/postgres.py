"""A PostgreSQL server of a test's own, on a free port of 127.0.0.1, ended with the test."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from central.adapters.broker.embedded import free_port
from central.adapters.db.engines import database_url

READY_S = 60.0
USER = "stile"
INITDB = ("-A", "trust", "-N", "-E", "UTF8")


def find_programs() -> Path | None:
    """The folder of `initdb` and `postgres`; Debian keeps them out of the path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)
    if found:
        return found[0].parent
    where = shutil.which("initdb")
    return None if where is None else Path(where).resolve().parent


NO_POSTGRES = pytest.mark.skipif(find_programs() is None, reason="needs Debian's postgresql")


def as_somebody() -> dict[str, int]:
    """PostgreSQL does not run as root: the user that Debian made for it, where we are root."""
    if os.getuid() != 0:
        return {}
    entry = pwd.getpwnam("postgres")
    return {"user": entry.pw_uid, "group": entry.pw_gid}


class Postgres:
    """One server; `kill` and `start` do to it what an operator's bad day does."""

    def __init__(self, programs: Path, folder: Path, port: int) -> None:
        self._programs, self._folder, self._port = programs, folder, port
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """What `database` in central's configuration says."""
        return f"postgresql://{USER}@127.0.0.1:{self._port}/postgres"

    def create(self) -> None:
        """Make an empty cluster."""
        subprocess.run(
            [self._programs / "initdb", "-D", self._folder / "db", "-U", USER, *INITDB],
            check=True, stdout=subprocess.DEVNULL, **as_somebody(),  # type: ignore[call-overload]
        )  # fmt: skip

    def start(self) -> None:
        """Run, and wait until it answers."""
        options = {"port": self._port, "listen_addresses": "127.0.0.1", "unix_socket_directories": ""}
        words = [f"--{name}={value}" for name, value in options.items()]
        with (self._folder / "log").open("ab") as log:
            self._child = subprocess.Popen(
                [self._programs / "postgres", "-D", self._folder / "db", *words],
                stdout=log, stderr=log, cwd=self._folder, **as_somebody(),  # type: ignore[call-overload]
            )  # fmt: skip
        until = time.monotonic() + READY_S
        ready = [self._programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self._port)]
        while subprocess.run(ready, check=False).returncode != 0:
            assert self._child.poll() is None, (self._folder / "log").read_text()
            assert time.monotonic() < until, "PostgreSQL does not answer"
            time.sleep(0.05)

    def stop(self) -> None:
        """End it, connections included; what was committed stays."""
        self._end(signal.SIGINT)

    def crash(self) -> None:
        """End it without a checkpoint, as a power cut would."""
        self._end(signal.SIGQUIT)

    def empty(self) -> str:
        """Drop whatever tests left in the database; returns its address."""
        engine = create_engine(database_url(self.url), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text("DROP SCHEMA public CASCADE"))
            connection.execute(text("CREATE SCHEMA public"))
        engine.dispose()
        return self.url

    def _end(self, how: signal.Signals) -> None:
        if self._child is not None:
            self._child.send_signal(how)
            self._child.wait(READY_S)
            self._child = None


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """A server with an empty database, until the block ends."""
    programs = find_programs()
    assert programs is not None
    # Not pytest's own folder: the server's user may not enter it.
    folder = Path(tempfile.mkdtemp(prefix="stile-postgres-"))
    try:
        if who := as_somebody():
            os.chown(folder, who["user"], who["group"])
        server = Postgres(programs, folder, free_port())
        server.create()
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)
