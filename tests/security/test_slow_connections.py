"""No server waits for ever: a request that trickles ends, and nobody holds all places meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect

from central.app import HTTP_LIMITS
from edge.adapters.screen import WebScreen, web
from edge.adapters.till import server
from scripts.stage import landing
from tests.doubles.central_rig import Clock, new_config, running
from tests.doubles.hostile_http import raw
from tests.doubles.till_api import TOKEN, open_till_at
from wire.transport import http

ELSEWHERE = "127.0.0.2"
"""Linux has all of 127.0.0.0/8."""


@dataclass(frozen=True)
class Kind:
    """One of the four servers: a page that anybody may get, a path that takes a body, and its limits."""

    page: str
    posts_to: str
    connections: int
    per_address: int


KINDS = {
    "central": Kind("/v1/scorecards", "/v1/pair", HTTP_LIMITS.connections, HTTP_LIMITS.per_address),
    "screen": Kind("/", "/", web.CONNECTIONS_MAX, web.PER_ADDRESS_MAX),
    "till": Kind("/till", "/checkouts", server.CONNECTIONS_MAX, server.PER_ADDRESS_MAX),
    "landing": Kind("/", "/", landing.CONNECTIONS_MAX, landing.PER_ADDRESS_MAX),
}


@contextlib.asynccontextmanager
async def served(name: str) -> AsyncIterator[str]:
    """The address of the server of that name."""
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        match name:
            case "central":
                clock = Clock()
                rig = await stack.enter_async_context(running(new_config(folder, clock), clock))
                yield rig.central.http_url
            case "till":
                yield (await stack.enter_async_context(open_till_at(folder))).url
            case "landing":
                shown = await stack.enter_async_context(landing.serve_landing((), "About"))
                yield shown.removesuffix("/")
            case _:
                screen = WebScreen()
                stack.push_async_callback(screen.close)
                yield f"http://127.0.0.1:{await screen.serve()}"


@pytest.fixture(params=KINDS)
def name(request: pytest.FixtureRequest) -> str:
    found = request.param
    assert isinstance(found, str)
    return found


@pytest.mark.parametrize("sent", ["nothing", "half a line", "one header at a time", "half a body"])
async def test_a_request_that_trickles_is_ended_in_time(
    monkeypatch: pytest.MonkeyPatch, name: str, sent: str
) -> None:
    kind = KINDS[name]
    async with served(name) as url:
        monkeypatch.setattr(http, "REQUEST_S", 0.1)
        host = b"host: %b\r\n" % httpx.URL(url).netloc
        begun = b"POST %b HTTP/1.1\r\n%bauthorization: Bearer %b\r\ncontent-length: 8\r\n\r\n"
        parts = {
            "nothing": (),
            "half a line": (b"GET / HT",),
            "one header at a time": (b"GET / HTTP/1.1\r\n" + host, b"a: b\r\n"),
            "half a body": (begun % (kind.posts_to.encode(), host, TOKEN.encode()), b"ab", b"cd"),
        }
        answer = await raw(url, *parts[sent])
        if sent != "half a body" or kind.posts_to != "/":  # a page refuses a body before it is there
            assert b" 408 " in answer.splitlines()[0]
            assert b'"error":"too_slow"' in answer
        async with httpx.AsyncClient() as client:
            assert (await client.get(url + kind.page)).status_code == 200


async def test_a_page_that_is_open_longer_than_a_request_may_take_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http, "REQUEST_S", 0.1)
    async with (
        served("screen") as url,
        connect(url.replace("http", "ws") + "/live", origin=url) as page,
    ):
        await page.recv()
        assert b" 408 " in await raw(url)  # its time has come and gone
        await page.send('{"touch":"help"}')
        async with asyncio.timeout(10):
            assert '"kind":"taken"' in await page.recv()


class Held:
    """Connections that are held open, from one address or another."""

    def __init__(self, url: str, stack: contextlib.AsyncExitStack) -> None:
        self._at, self._stack = httpx.URL(url), stack

    async def one(self, source: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """One more connection."""
        at = self._at
        reader, writer = await asyncio.open_connection(at.host, at.port, local_addr=(source, 0))
        self._stack.callback(writer.close)
        return reader, writer

    async def many(self, count: int, source: str) -> None:
        """That many connections, each of which sends the beginning of a request and no more."""
        for _ in range(count):
            _, writer = await self.one(source)
            writer.write(b"GET / HT")

    async def status(self, path: str, source: str) -> bytes:
        """The first line that is answered to a request on a connection of its own."""
        reader, writer = await self.one(source)
        writer.write(b"GET %b HTTP/1.1\r\nhost: %b\r\n\r\n" % (path.encode(), self._at.netloc))
        async with asyncio.timeout(10):
            return await reader.readline()


async def test_one_address_that_trickles_holds_its_own_places_and_nobody_elses(name: str) -> None:
    kind = KINDS[name]
    async with served(name) as url, contextlib.AsyncExitStack() as stack:
        held = Held(url, stack)
        await held.many(kind.per_address, "127.0.0.1")
        assert b" 503 " in await held.status(kind.page, "127.0.0.1")
        assert b" 200 " in await held.status(kind.page, ELSEWHERE)


async def test_beyond_so_many_connections_the_next_is_refused_and_those_go_on(name: str) -> None:
    kind = KINDS[name]
    async with served(name) as url, contextlib.AsyncExitStack() as stack:
        held = Held(url, stack)
        reader, writer = await held.one("127.0.0.1")
        left = kind.connections - 1
        for number in range(1, 255):
            count = min(left, kind.per_address - 1)
            await held.many(count, f"127.0.1.{number}")
            left -= count
            if left == 0:
                break
        refused, _ = await held.one(ELSEWHERE)
        async with asyncio.timeout(10):
            answer = await refused.read()
        assert b" 503 " in answer.splitlines()[0]
        assert b'"error":"busy"' in answer
        writer.write(b"GET %b HTTP/1.1\r\nhost: %b\r\n\r\n" % (kind.page.encode(), httpx.URL(url).netloc))
        async with asyncio.timeout(10):
            assert b" 200 " in await reader.readline()


async def test_what_is_not_http_and_too_long_a_head_are_refused_with_a_code(name: str) -> None:
    async with served(name) as url:
        for sent in (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", b"GET / HTTP/1.1\r\na: " + b"b" * 20_000):
            answer = await raw(url, sent)
            assert b" 400 " in answer.splitlines()[0]
            assert b'"error":"malformed"' in answer
