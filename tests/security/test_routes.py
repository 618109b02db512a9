"""Who may call what, by the table; and what every route makes of a body that is none."""

from __future__ import annotations

import asyncio
import itertools
import json

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from central.adapters.http.api import BODY_MAX_BYTES, make_api
from central.app import load_config
from edge.adapters.screen import WebScreen
from tests.doubles.central_rig import Rig
from tests.doubles.hostile_http import HOSTILE, JSON, is_told
from tests.doubles.route_table import CENTRAL, SCREEN, Caller, routes_of, targets


def test_every_route_of_central_is_in_the_table_and_every_line_is_a_route(rig: Rig) -> None:
    central = rig.central
    app = make_api(
        central.use_cases, central.router, "t", central.broker, load_config(rig.config).settings.http
    )
    assert routes_of(app) == set(CENTRAL)


async def test_each_route_of_central_answers_to_whom_the_table_says(rig: Rig) -> None:
    token = rig.central.api_token
    strangers = {
        "none": {},
        "wrong": {"authorization": f"Bearer {'0' * len(token)}"},
        "a prefix": {"authorization": f"Bearer {token[:-1]}"},
        "longer": {"authorization": f"Bearer {token}0"},
        "another scheme": {"authorization": f"Basic {token}"},
        "bare": {"authorization": token},
        "a pairing code": {"authorization": "Bearer K7PD-2MXW-K7PD-2MXW"},
        "in another place": {"x-api-key": token, "cookie": f"token={token}"},
        "not ASCII": {"authorization": b"Bearer \xc3\xa9"},
    }
    async with httpx.AsyncClient(base_url=rig.central.http_url) as client:
        for method, path, caller in targets(CENTRAL):
            asked = [
                client.request(method, path, headers=headers, params={"token": token})
                for headers in strangers.values()
            ]
            for name, answer in zip(strangers, await asyncio.gather(*asked), strict=True):
                refused = (answer.status_code == 401) and answer.json()["error"] == "no_token"
                assert refused is (caller is Caller.OPERATOR), (method, path, name, answer.status_code)
    async with rig.http() as operator:
        for method, path, _ in targets(CENTRAL):
            assert (await operator.request(method, path)).status_code != 401, (method, path)


async def test_no_path_leads_round_the_token(rig: Rig) -> None:
    async with httpx.AsyncClient(base_url=rig.central.http_url) as client:
        for path in (
            "/v1/contests/..%2fkiosks",
            "/v1/contests/%2e%2e/kiosks",
            "//v1/kiosks",
            "/v1//kiosks",
            "/V1/kiosks",
            "/v1/kiosks/",
            "/v1/kiosks%00",
            "/v1/scorecards/../kiosks",
            "/v1/pair/../kiosks",
            "/page.css/../v1/kiosks",
            "/v1/kiosks;/v1/pair",
            "/v1/kiosks?/v1/pair",
        ):
            raw = httpx.URL(rig.central.http_url).copy_with(raw_path=path.encode())
            answer = await client.get(raw)
            assert answer.status_code in (401, 404, 422), path
            assert "ignored" not in answer.text, path


async def test_no_body_whatever_it_is_breaks_a_route(rig: Rig) -> None:
    rig.add_member("4711")
    async with rig.http() as operator:

        async def send(method: str, path: str, kind: str, body: bytes) -> None:
            answer = await operator.request(method, path, content=body, headers={"content-type": kind})
            where = (method, path, kind, body[:40], answer.status_code, answer.text[:300])
            assert answer.status_code < 500, where
            if answer.status_code >= 400:
                assert is_told(answer), where

        for method, path, _ in targets(CENTRAL):
            some = HOSTILE if method != "GET" else HOSTILE[:1]
            await asyncio.gather(*(send(method, path, kind, body) for kind, body in some))


async def test_a_body_past_the_bound_is_refused_by_every_route_before_it_is_read(rig: Rig) -> None:
    long = b" " * (BODY_MAX_BYTES + 1)
    async with rig.http() as operator:
        for method, path, _ in targets(CENTRAL):
            answer = await operator.request(method, path, content=long, headers={"content-type": JSON})
            assert (answer.status_code, is_told(answer)) == (413, True), (method, path)


async def test_no_part_of_a_path_whatever_it_is_breaks_a_route(rig: Rig) -> None:
    parts = ("%00", "%ff", "a" * 5000, "..", "%0d%0aset-cookie:a=b", "é", "-1", "%25")
    async with rig.http() as operator:
        for (method, path), part in itertools.product(CENTRAL, parts):
            if "{" not in path:
                continue
            bent = "/".join(part if step.startswith("{") else step for step in path.split("/"))
            answer = await operator.request(method, bent, json={})
            where = (method, bent[:80], answer.status_code, answer.text[:300])
            assert 400 <= answer.status_code < 500, where
            assert is_told(answer), where
            assert "set-cookie" not in answer.headers


async def test_a_wrong_method_or_path_is_a_sentence_and_a_code_too(rig: Rig) -> None:
    async with rig.http() as operator:
        for method, path in (
            ("PUT", "/v1/kiosks"),
            ("GET", "/v1/nothing"),
            ("GET", "/v1/pair"),
            ("PUT", "/why"),
        ):
            answer = await operator.request(method, path)
            assert answer.status_code in (404, 405)
            assert is_told(answer), (method, path)
        told = (await operator.get("/v1/openapi.json")).json()
        assert json.dumps(told).count("/v1/") > 20


async def test_the_screen_answers_only_pages_it_gave_out_itself() -> None:
    screen = WebScreen()
    port = await screen.serve()
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            for method, path, _ in targets(SCREEN):
                if method == "WEBSOCKET":
                    continue
                assert (await client.get(path)).status_code == 200, path
                assert (await client.get(path, headers={"host": "evil.example"})).status_code == 421, path
                for changing in ("POST", "PUT", "DELETE", "PATCH"):
                    answer = await client.request(changing, path, content=b"{}")
                    assert answer.status_code == 405, (changing, path)
            assert (await client.get("/nothing")).status_code == 404
        for method, path, _ in targets(SCREEN):
            if method == "WEBSOCKET":
                for origin in (None, "https://evil.example", f"http://localhost.evil.example:{port}"):
                    with pytest.raises(InvalidStatus):
                        await connect(f"ws://127.0.0.1:{port}{path}", origin=origin)
    finally:
        await screen.close()
