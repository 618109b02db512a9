"""A cache of an earlier version: its rows are asked for again, what the kiosk must not forget stays."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

from edge.adapters.storage.cache import Cache, FeedName
from edge.adapters.storage.keyfile import RowSealer

VERSION_1 = """
    CREATE TABLE feed (
        name TEXT PRIMARY KEY, epoch INTEGER NOT NULL, version INTEGER NOT NULL,
        issued_at_ms INTEGER NOT NULL, entries INTEGER NOT NULL, generation INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE entry (
        feed TEXT NOT NULL, generation INTEGER NOT NULL, subject TEXT NOT NULL, sealed BLOB NOT NULL,
        PRIMARY KEY (feed, generation, subject)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE claim (
        generation INTEGER NOT NULL, digest BLOB NOT NULL, subject TEXT NOT NULL, ended INTEGER NOT NULL,
        PRIMARY KEY (generation, digest, subject)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE kept (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
    INSERT INTO feed VALUES ('standing', 1, 7, 1000, 1, 1);
    INSERT INTO entry VALUES ('standing', 1, 'a', x'00');
    INSERT INTO kept VALUES ('highest_central_ms', 123456);
    PRAGMA user_version = 1;
"""


async def test_a_cache_without_digests_is_filled_anew_and_keeps_the_highest_central_time(tmp_path: Path):
    path = tmp_path / "cache.sqlite3"
    connection = sqlite3.connect(path)
    connection.executescript(VERSION_1)
    connection.close()
    cache = Cache(path, RowSealer(b"k" * 32, random.Random(1).randbytes))
    assert cache.held(FeedName.STANDING) is None
    assert cache.highest_central_ms() == 123456
    assert await cache.begin(FeedName.STANDING) == 1
    assert cache._database.read("SELECT count(*) FROM entry") == [(0,)]
    cache.close()
