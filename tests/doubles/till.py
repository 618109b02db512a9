"""A till: a program that speaks HTTP to a kiosk that takes money."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from dataclasses import dataclass
from typing import Any

from edge.modes.lane import OpenKiosk
from tests.doubles.waiting import WAIT_S


@dataclass(frozen=True, slots=True)
class Till:
    """Where the API is, and the token for it."""

    url: str
    token: str

    @classmethod
    def of(cls, kiosk: OpenKiosk) -> Till:
        """The till that stands beside a kiosk."""
        assert kiosk.till is not None
        return cls(kiosk.till.url, kiosk.till.token_file.read_text())

    async def get(self, path: str) -> dict[str, Any]:
        """Look."""
        return await asyncio.to_thread(self._call, "GET", path, None, {})

    async def post(self, path: str, body: dict[str, Any], key: str) -> dict[str, Any]:
        """Ask for something, once per key."""
        return await asyncio.to_thread(self._call, "POST", path, body, {"Idempotency-Key": key})

    def _call(self, method: str, path: str, body: Any, headers: dict[str, str]) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json", **headers}
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, content, headers, method=method)
        with urllib.request.urlopen(request, timeout=WAIT_S) as answer:
            return json.loads(answer.read())
