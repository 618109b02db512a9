"""A kiosk's servers that listen under a name answer to it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from edge.adapters.screen import WebScreen
from edge.adapters.till.server import serve_till
from tests.doubles.till_api import TOKEN, open_till_at
from wire.transport import http

NAME = "Kiosk-7.local"


@pytest.fixture(autouse=True)
def resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name is one of this machine's."""
    listen = http._listen
    monkeypatch.setattr(http, "_listen", lambda _host, port: listen("127.0.0.1", port))


async def status(port: int, path: str, host: str) -> int:
    async with asyncio.timeout(10), httpx.AsyncClient(trust_env=False) as client:
        url = f"http://127.0.0.1:{port}{path}"
        return (await client.get(url, headers={"host": f"{host}:{port}"})).status_code


async def test_the_screen_answers_to_the_name_it_listens_under() -> None:
    screen = WebScreen()
    port = await screen.serve(NAME)
    try:
        assert [await status(port, "/", each) for each in (NAME, "evil.example")] == [200, 421]
    finally:
        await screen.close()


async def test_the_till_answers_to_the_name_it_listens_under(tmp_path: Path) -> None:
    async with open_till_at(tmp_path) as till:
        assert till.counter is not None
        async with serve_till(till.counter, TOKEN, NAME, 0) as url:
            port = httpx.URL(url).port
            assert port is not None
            assert [await status(port, "/till", each) for each in (NAME, "evil.example")] == [200, 421]
