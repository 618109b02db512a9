"""The right to serve a site: an advisory lock in the site's own PostgreSQL database.

It lasts as long as its connection, which nobody else uses: PostgreSQL gives the lock back when the connection
closes, so a worker that dies, hangs or is cut off loses it without anybody's doing.
"""

from __future__ import annotations

import contextlib
import hashlib
from typing import Any

import pg8000.dbapi

from central.adapters.db.engines import database_url
from central.errors import LeaseError

ANSWER_S = (
    3.0  # a database that takes longer is taken for lost: well below SILENT_S, so who serves stops first
)
SILENT_S = (
    10  # PostgreSQL ends the session of a worker that says nothing for so long: frozen, or its host dead
)
_APPLICATION = "stile worker"
_SESSION = {
    "idle_session_timeout": f"{SILENT_S}s",
    "tcp_user_timeout": f"{SILENT_S}s",
    "tcp_keepalives_idle": "2s",
    "tcp_keepalives_interval": "2s",
    "tcp_keepalives_count": "4",
}


class SiteLease:
    """One connection that may hold one site's lease. Every method may block for `ANSWER_S`."""

    def __init__(self, where: str, password: str | None, site: str) -> None:
        """Connect; raises LeaseError, StorageError for another URL than PostgreSQL's."""
        url = database_url(where)
        self._site = site
        self._place = url.render_as_string()
        key = hashlib.sha256(f"worker/{site}".encode()).digest()[:8]
        self._key = int.from_bytes(key, "big", signed=True)
        try:
            self._connection = pg8000.dbapi.connect(
                url.username or "",
                host=url.host or "localhost",
                port=url.port or 5432,
                database=url.database,
                password=password if password is not None else url.password,
                timeout=ANSWER_S,
                application_name=_APPLICATION,
                startup_params=_SESSION,
            )
        except (pg8000.dbapi.Error, OSError) as error:
            raise LeaseError(site, self._place, _said(error)) from error
        self._connection.autocommit = True

    def take(self) -> bool:
        """Whether the lease is ours now; False while another worker has it. Raises LeaseError."""
        return bool(self._asked("SELECT pg_try_advisory_lock(%s)", self._key))

    def beat(self) -> None:
        """See that the connection, and so the lease, is still there; raises LeaseError."""
        self._asked("SELECT 1")

    def close(self) -> None:
        """Give it back."""
        with contextlib.suppress(pg8000.dbapi.Error, OSError):
            self._connection.close()

    def _asked(self, statement: str, *arguments: int) -> Any:
        try:
            cursor = self._connection.cursor()
            cursor.execute(statement, arguments)
            (row,) = cursor.fetchall()
        except (pg8000.dbapi.Error, OSError) as error:
            raise LeaseError(self._site, self._place, _said(error)) from error
        return row[0]


def _said(error: Exception) -> str:
    """PostgreSQL's own sentence where there is one."""
    fields = error.args[0] if error.args else None
    return str(fields.get("M", fields)) if isinstance(fields, dict) else str(error) or type(error).__name__
