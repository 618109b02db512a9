"""A disk that is full for one database."""

from __future__ import annotations


def fill_disk(database) -> None:
    """Let a database grow no further, as on a full disk."""
    pages = database.write_now(lambda connection: connection.execute("PRAGMA page_count").fetchone()[0])
    database._writer.execute(f"PRAGMA max_page_count = {pages}")


def free_disk(database) -> None:
    database._writer.execute("PRAGMA max_page_count = 1000000")
