"""The kiosk's own servers do not wait for ever: a request that trickles ends, and others go on meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect

from edge.adapters import connections
from edge.adapters.screen import WebScreen, web
from edge.adapters.till import server
from tests.doubles.hostile_http import raw
from tests.doubles.till_api import TOKEN, open_till_at

BEGUN = (
    b"POST /checkouts HTTP/1.1\r\nhost: 127.0.0.1:%d\r\nauthorization: Bearer %b\r\ncontent-length: 8\r\n\r\n"
)
PATHS = {"screen": "/", "till": "/till"}
MOST = {"screen": web.REQUESTS_MAX, "till": server.REQUESTS_MAX}


@contextlib.asynccontextmanager
async def served(name: str, folder: Path) -> AsyncIterator[str]:
    """The address of the server of that name."""
    if name == "till":
        async with open_till_at(folder) as till:
            yield till.url
        return
    screen = WebScreen()
    port = await screen.serve()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await screen.close()


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize("sent", ["nothing", "half a line", "one header at a time", "half a body"])
async def test_a_request_that_trickles_is_ended_in_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, sent: str
) -> None:
    monkeypatch.setattr(connections, "REQUEST_S", 0.1)
    async with served(name, tmp_path) as url:
        port = httpx.URL(url).port
        parts = {
            "nothing": (),
            "half a line": (b"GET / HT",),
            "one header at a time": (b"GET / HTTP/1.1\r\nhost: 127.0.0.1:%d\r\n" % port, b"a: b\r\n"),
            "half a body": (BEGUN % (port, TOKEN.encode()), b"ab", b"cd"),
        }
        answer = await raw(url, *parts[sent])
        if name == "till" or sent != "half a body":  # the screen refuses a body before it is there
            assert b" 408 " in answer.splitlines()[0]
            assert b'"error":"too_slow"' in answer
        async with httpx.AsyncClient() as client:
            assert (await client.get(url + PATHS[name])).status_code == 200


async def test_a_page_that_is_open_longer_than_a_request_may_take_stays(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(connections, "REQUEST_S", 0.1)
    async with (
        served("screen", tmp_path) as url,
        connect(url.replace("http", "ws") + "/live", origin=url) as page,
    ):
        await page.recv()
        assert b" 408 " in await raw(url)  # its time has come and gone
        await page.send('{"touch":"help"}')
        async with asyncio.timeout(10):
            assert '"kind":"taken"' in await page.recv()


@pytest.mark.parametrize("name", PATHS)
async def test_beyond_so_many_connections_the_next_is_refused_and_those_go_on(
    tmp_path: Path, name: str
) -> None:
    async with served(name, tmp_path) as url:
        at = httpx.URL(url)
        held = [await asyncio.open_connection(at.host, at.port) for _ in range(MOST[name])]
        answer = await raw(url)
        assert b" 503 " in answer.splitlines()[0]
        assert b'"error":"busy"' in answer
        reader, writer = held[0]
        writer.write(f"GET {PATHS[name]} HTTP/1.1\r\nhost: {at.host}:{at.port}\r\n\r\n".encode())
        assert b" 200 " in await reader.readline()
        for _, each in held:
            each.close()


@pytest.mark.parametrize("name", PATHS)
async def test_what_is_not_http_and_too_long_a_head_are_refused_with_a_code(
    tmp_path: Path, name: str
) -> None:
    async with served(name, tmp_path) as url:
        for sent in (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", b"GET / HTTP/1.1\r\na: " + b"b" * 20_000):
            answer = await raw(url, sent)
            assert b" 400 " in answer.splitlines()[0]
            assert b'"error":"malformed"' in answer
