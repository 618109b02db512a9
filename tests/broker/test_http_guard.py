"""What requests pass before a route: names, origins, sizes, time, and what is said when something breaks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from central.adapters.http.api import BODY_MAX_BYTES
from central.app import HTTP_LIMITS
from tests.doubles.central_rig import Rig
from wire.transport import http
from wire.transport.guard import Access, ApiGuard, Guard, Names
from wire.transport.http import HttpServer

TOKEN = "t" * 32


def guarded(route: Callable[[Request], object]) -> Starlette:
    app = Starlette(routes=[Route("/v1/it", route, methods=["GET", "POST"])])
    access = Access(TOKEN, "a file", lambda path: False, BODY_MAX_BYTES)
    app.add_middleware(ApiGuard, access=access)
    app.add_middleware(Guard, names=Names(), headers={})
    return app


@asynccontextmanager
async def served(route: Callable[[Request], object]) -> AsyncIterator[HttpServer]:
    server = HttpServer("127.0.0.1", 0, HTTP_LIMITS)
    await server.open(guarded(route), "test")
    yield server
    await server.close()


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
    ours = [record for record in caplog.records if record.name.startswith(("wire", "central", "uvicorn"))]
    assert [record.levelno for record in ours] == [logging.ERROR]
    assert "ValueError" in caplog.text
    assert "breaks" in caplog.text
    assert "a-secret-pin" not in caplog.text + answer.text


async def test_the_time_of_one_request_is_not_that_of_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    async def slow(request: Request) -> PlainTextResponse:
        await asyncio.sleep(0.3)
        return PlainTextResponse("read")

    async with served(slow) as server:
        monkeypatch.setattr(http, "REQUEST_S", 0.2)
        async with httpx.AsyncClient(headers={"authorization": f"Bearer {TOKEN}"}) as client:
            for _ in range(2):  # answering may take longer than sending; the second uses the same connection
                assert (await client.get(f"{server.url}/v1/it")).text == "read"
