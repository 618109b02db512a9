"""A database of each kind that central runs on, empty for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doubles.postgres import NO_POSTGRES, Postgres, running_postgres


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with running_postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=NO_POSTGRES)])
def database(request: pytest.FixtureRequest) -> str | None:
    """The address of an empty PostgreSQL database; none for SQLite."""
    if request.param == "sqlite":
        return None
    server: Postgres = request.getfixturevalue("postgres")
    return server.empty()


@pytest.fixture
def where(database: str | None, tmp_path: Path) -> Path | str:
    """Where an empty database of each kind is."""
    return tmp_path / "central.db" if database is None else database
