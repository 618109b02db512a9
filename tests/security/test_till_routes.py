"""The till's API by the table: who may call what, what it makes of bodies that are none, and its document."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from edge.adapters.till.app import BODY_MAX_BYTES, till_app
from tests.doubles.hostile_http import HOSTILE, JSON, is_told
from tests.doubles.route_table import TILLS, Caller, routes_of, targets
from tests.doubles.schema_fuzz import try_out
from tests.doubles.till_api import ASKED, TOKEN, Till, open_till_at
from wire.transport.guard import Names

SECONDS, EXAMPLES = 3.0, 10
OF_CENTRAL = "c" * len(TOKEN)
LIMITS = httpx.Limits(max_connections=8)  # half of what the till bears at once


@pytest.fixture
async def till(tmp_path: Path) -> AsyncIterator[Till]:
    async with open_till_at(tmp_path) as made:
        yield made


def client_of(till: Till, token: str = TOKEN) -> httpx.AsyncClient:
    headers = {"authorization": f"Bearer {token}", "idempotency-key": "k1"}
    return httpx.AsyncClient(base_url=till.url, headers=headers, limits=LIMITS)


def test_every_route_of_the_till_is_in_the_table_and_every_line_is_a_route(till: Till) -> None:
    assert routes_of(till_app(till.counter, TOKEN, Names())) == set(TILLS)


async def test_each_route_of_the_till_answers_to_whom_the_table_says(till: Till) -> None:
    strangers = {
        "none": {},
        "wrong": {"authorization": f"Bearer {'0' * len(TOKEN)}"},
        "a prefix": {"authorization": f"Bearer {TOKEN[:-1]}"},
        "longer": {"authorization": f"Bearer {TOKEN}0"},
        "another scheme": {"authorization": f"Basic {TOKEN}"},
        "bare": {"authorization": TOKEN},
        "central's": {"authorization": f"Bearer {OF_CENTRAL}"},
        "in another place": {"x-api-key": TOKEN, "cookie": f"token={TOKEN}"},
        "not ASCII": {"authorization": b"Bearer \xc3\xa9"},
    }
    async with httpx.AsyncClient(base_url=till.url, limits=LIMITS) as client:
        for method, path, caller in targets(TILLS):
            for name, headers in strangers.items():
                answer = await client.request(method, path, headers=headers, params={"token": TOKEN})
                refused = answer.status_code == 401 and answer.json()["error"] == "no_token"
                assert refused is (caller is Caller.TILL), (method, path, name, answer.status_code)
                assert not any(each.startswith("access-control") for each in answer.headers)
        for path in (
            "//checkouts",
            "/checkouts/",
            "/Checkouts",
            "/till/../checkouts",
            "/till%2f..%2fcheckouts",
        ):
            raw = httpx.URL(till.url).copy_with(raw_path=path.encode())
            assert (await client.get(raw)).status_code == 401, path
    async with client_of(till) as own:
        for method, path, _ in targets(TILLS):
            assert (await own.request(method, path)).status_code != 401, (method, path)
            foreign = await own.request(method, path, headers={"host": "evil.example"})
            assert (foreign.status_code, foreign.json()["error"]) == (421, "wrong_host")


async def test_no_body_whatever_it_is_breaks_a_route_of_the_till(till: Till) -> None:
    own = (
        (
            JSON,
            b'{"amount_minor": 1, "currency": "EUR", "\\ud800": 1}',
        ),  # half a character
        (JSON, b'{"amount_minor": 1, "currency": "EUR", "reference": "\\ud800"}'),
        (JSON, b'{"amount_minor": 1e400, "currency": "EUR"}'),
        (JSON, b'{"amount_minor": NaN, "currency": "EUR"}'),
        (JSON, b'{"amount_minor": true, "currency": "EUR"}'),
        (JSON, b'{"amount_minor": "250", "currency": "EUR"}'),
        (JSON, b'{"amount_minor": -1, "currency": "EUR"}'),
        (JSON, b'{"amount_minor": ' + b"9" * 4000 + b"}"),
        (JSON, b'{"amount_minor": 1, "currency": "E\\u0000R"}'),
        (JSON, b'{"amount_minor": 1, "currency": ["EUR"]}'),
    )
    async with client_of(till) as client:

        async def send(method: str, path: str, kind: str, body: bytes) -> None:
            answer = await client.request(method, path, content=body, headers={"content-type": kind})
            where = (method, path, kind, body[:60], answer.status_code, answer.text[:300])
            assert answer.status_code < 500, where
            if answer.status_code >= 400:
                assert is_told(answer), where

        for method, path, _ in targets(TILLS):
            some = (*HOSTILE, *own) if method != "GET" else HOSTILE[:1]
            await asyncio.gather(*(send(method, path, kind, body) for kind, body in some))
    assert till.counter.checkouts.under_way() is None  # none of them was taken for a checkout


async def test_a_body_past_the_bound_or_without_a_length_is_refused_unread(till: Till) -> None:
    async def trickle() -> AsyncIterator[bytes]:
        yield b"{}"

    async with client_of(till) as client:
        for method, path, _ in targets(TILLS):
            for content in (b" " * (BODY_MAX_BYTES + 1), trickle()):
                answer = await client.request(method, path, content=content)
                assert (answer.status_code, is_told(answer)) == (413, True), (method, path)


@pytest.mark.parametrize("part", ["%00", "%ff", "a" * 5000, "..", "%0d%0aset-cookie:a=b", "é", "-1", "%25"])
async def test_no_part_of_a_path_nor_key_whatever_it_is_breaks_the_till(till: Till, part: str) -> None:
    async with client_of(till) as client:
        for method, path in TILLS:
            if "{" not in path:
                continue
            answer = await client.request(method, path.replace("{checkout}", part), json={})
            where = (method, path, answer.status_code, answer.text[:300])
            assert 400 <= answer.status_code < 500, where
            assert is_told(answer), where
            assert "set-cookie" not in answer.headers
        for key in (b"", b"a b", b"\xff", b"k" * 65):
            answer = await client.post("/checkouts", json=ASKED, headers={"idempotency-key": key})
            assert (answer.status_code, is_told(answer)) == (422, True), key


async def test_the_till_answers_as_its_document_says(till: Till) -> None:
    async with client_of(till) as client:
        document = (await client.get("/openapi.json")).json()
        await client.post("/checkouts", json=ASKED)
    tried = await asyncio.to_thread(try_out, document, till.url, TOKEN, EXAMPLES, SECONDS)
    assert set(tried) == {
        f"{method} {path}" for (method, path), caller in TILLS.items() if caller is Caller.TILL
    }
    assert min(tried.values()) > 0
