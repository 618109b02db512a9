"""What requests pass before a route: names, origins, sizes, time, and what is said when something breaks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from central.adapters.http import connections
from central.adapters.http.answers import problem
from central.adapters.http.guard import Guard, Rules, answers_to
from central.adapters.http.server import HttpServer
from tests.doubles.central_rig import Rig
from tests.doubles.hostile_http import raw

TOKEN = "t" * 32


def guarded(route: Callable[[Request], object]) -> Starlette:
    app = Starlette(routes=[Route("/v1/it", route, methods=["GET", "POST"])])
    rules = Rules(TOKEN, lambda path: False, frozenset({"central.example"}))
    app.add_middleware(Guard, rules=rules, refuse=lambda scope, status, code, why: problem(status, code, why))
    return app


@asynccontextmanager
async def served(route: Callable[[Request], object]) -> AsyncIterator[HttpServer]:
    server = HttpServer(guarded(route), "127.0.0.1", 0)
    server.open()
    yield server
    await server.close()


@pytest.mark.parametrize(
    ("host", "answered"),
    [
        ("127.0.0.1:8480", True),
        ("[::1]:8480", True),
        ("LOCALHOST", True),
        ("192.0.2.7", True),
        ("central.example", True),
        ("central.example:8480", True),
        ("evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("central.example.evil.example:8480", False),
        ("localhost:80@evil.example", False),
        ("127.0.0.1:²", False),
        ("", False),
    ],
)
def test_only_addresses_and_our_own_names_are_answered(host: str, answered: bool) -> None:
    assert answers_to(host, {"central.example"}) is answered


@given(st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=40))
def test_no_host_whatever_it_is_breaks_the_check(host: str) -> None:
    assert answers_to(host, ()) in (True, False)


async def test_a_name_pointed_at_central_by_somebody_else_gets_nothing(rig: Rig) -> None:
    async with httpx.AsyncClient(base_url=rig.central.http_url) as client:
        for path in ("/v1/scorecards", "/v1/kiosks", "/nothing"):
            answer = await client.get(path, headers={"host": "evil.example"})
            assert (answer.status_code, answer.json()["error"]) == (421, "wrong_host"), path


async def test_a_page_of_somebody_else_changes_nothing(rig: Rig) -> None:
    own = rig.central.http_url
    async with httpx.AsyncClient(base_url=own) as client:
        for headers in (
            {"sec-fetch-site": "cross-site"},
            {"sec-fetch-site": "same-site", "origin": own},
            {"origin": "https://evil.example"},
            {"origin": "null"},
        ):
            sent = await client.post("/v1/contests/K7PD-2MXW", json={"note": "x"}, headers=headers)
            assert (sent.status_code, sent.json()["error"]) == (403, "foreign_page"), headers
        for headers in ({"sec-fetch-site": "same-origin", "origin": own}, {"origin": own}, {}):
            sent = await client.post("/v1/contests/K7PD-2MXW", json={"note": "x"}, headers=headers)
            assert sent.status_code == 404, headers


async def test_every_answer_forbids_scripts_frames_guessing_and_keeping(rig: Rig) -> None:
    async with httpx.AsyncClient(base_url=rig.central.http_url) as client:
        for path in ("/v1/scorecards", "/v1/kiosks", "/v1/contests/nothing"):
            headers = (await client.get(path)).headers
            assert headers["content-security-policy"].startswith("default-src 'none'")
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["cache-control"] == "no-store"
            assert "server" not in headers


async def test_what_breaks_inside_is_a_sentence_to_who_asked_and_a_place_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def breaks(request: Request) -> PlainTextResponse:
        raise ValueError(f"cannot read {(await request.body()).decode()}")

    async with served(breaks) as server:
        token = {"authorization": f"Bearer {TOKEN}"}
        async with httpx.AsyncClient(base_url=server.url, headers=token) as client:
            answer = await client.post("/v1/it", content=b"a-secret-pin")
    assert (answer.status_code, answer.json()["error"]) == (500, "failed")
    assert "Traceback" not in answer.text
    ours = [record for record in caplog.records if record.name.startswith(("central", "uvicorn"))]
    assert [record.levelno for record in ours] == [logging.ERROR]
    assert "ValueError" in caplog.text
    assert "breaks" in caplog.text
    assert "a-secret-pin" not in caplog.text + answer.text


@pytest.mark.parametrize(
    "parts",
    [
        (),
        (b"GET /v1/it HT",),
        (b"GET /v1/it HTTP/1.1\r\nhost: 127.0.0.1\r\n", b"a: b\r\n", b"c: d\r\n"),
        (b"POST /v1/it HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer %b\r\n" % TOKEN.encode()
         + b"content-length: 8\r\n\r\n", b"ab", b"cd", b"ef"),
    ],
    ids=["nothing", "half a line", "one header at a time", "half a body"],
)  # fmt: skip
async def test_a_request_that_trickles_is_ended_in_time(
    monkeypatch: pytest.MonkeyPatch, parts: tuple[bytes, ...]
) -> None:
    monkeypatch.setattr(connections, "REQUEST_S", 0.1)
    async with served(lambda request: PlainTextResponse("read")) as server:
        answer = await raw(server.url, *parts)
        assert b" 408 " in answer.splitlines()[0]
        assert b'"error":"too_slow"' in answer
        async with httpx.AsyncClient(headers={"authorization": f"Bearer {TOKEN}"}) as client:
            assert (await client.get(f"{server.url}/v1/it")).text == "read"


async def test_the_time_of_one_request_is_not_that_of_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    async def slow(request: Request) -> PlainTextResponse:
        await asyncio.sleep(0.3)
        return PlainTextResponse("read")

    async with served(slow) as server:
        monkeypatch.setattr(connections, "REQUEST_S", 0.2)
        async with httpx.AsyncClient(headers={"authorization": f"Bearer {TOKEN}"}) as client:
            for _ in range(2):  # answering may take longer than sending; the second uses the same connection
                assert (await client.get(f"{server.url}/v1/it")).text == "read"


async def test_what_is_not_http_and_too_long_a_head_are_refused_with_a_code() -> None:
    async with served(lambda request: PlainTextResponse("read")) as server:
        for sent in (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", b"GET / HTTP/1.1\r\na: " + b"b" * 20_000):
            answer = await raw(server.url, sent)
            assert b" 400 " in answer.splitlines()[0]
            assert b'"error":"malformed"' in answer


async def test_beyond_so_many_connections_the_next_is_refused_and_those_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "CONNECTIONS_MAX", 2)
    async with served(lambda request: PlainTextResponse("read")) as server:
        place = urlsplit(server.url)
        held = [await asyncio.open_connection(place.hostname, place.port) for _ in range(2)]
        answer = await raw(server.url)
        assert b" 503 " in answer.splitlines()[0]
        request = b"GET /v1/it HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer %b\r\n\r\n"
        reader, writer = held[0]
        writer.write(request % TOKEN.encode())
        assert b" 200 " in await reader.readline()
        for _, each in held:
            each.close()
            await each.wait_closed()
