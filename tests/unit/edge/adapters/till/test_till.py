"""The till's API over real HTTP: tokens, keys, bounds, and a sentence and a code for whatever is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from edge.adapters.storage.keyfile import write_secret
from edge.adapters.till.app import BODY_MAX_BYTES
from edge.adapters.till.server import token_of
from edge.errors import StoreError
from tests.doubles.outboxes import receipt, sent
from tests.doubles.till_api import ASKED, Till, open_till_at
from wire.records import ChargeOutcome


@pytest.fixture
async def till(tmp_path: Path) -> AsyncIterator[Till]:
    async with open_till_at(tmp_path) as made:
        yield made


async def test_a_till_asks_looks_and_takes_it_back(till: Till) -> None:
    status, made = await till.call("POST", "/checkouts", ASKED, key="k1")
    assert (status, made["state"], made["merchant_name"]) == (201, "open", "Bistro")
    path = f"/checkouts/{made['checkout']}"
    assert await till.call("GET", path) == (200, made)
    assert await till.call("POST", "/checkouts", ASKED, key="k1") == (200, made)
    status, gone = await till.call("POST", f"{path}/cancel")
    assert (status, gone["state"]) == (200, "cancelled")
    assert (await till.call("POST", f"{path}/cancel"))[1] == gone


async def test_double_submits_at_once_make_one_checkout(till: Till) -> None:
    answers = await asyncio.gather(*(till.call("POST", "/checkouts", ASKED, key="k1") for _ in range(3)))
    assert sorted(status for status, _ in answers) == [200] * 2 + [201]
    assert len({made["checkout"] for _, made in answers}) == 1


@pytest.mark.parametrize(
    ("method", "path", "body", "key", "expected"),
    [
        ("POST", "/checkouts", ASKED, None, (422, "malformed")),
        ("POST", "/checkouts", ASKED, "k" * 65, (422, "malformed")),
        ("POST", "/checkouts", ASKED | {"amount_minor": 0}, "k", (422, "malformed")),
        ("POST", "/checkouts", ASKED | {"amount_minor": 2.5}, "k", (422, "malformed")),
        ("POST", "/checkouts", ASKED | {"amount_minor": 10**9}, "k", (422, "malformed")),
        ("POST", "/checkouts", ASKED | {"currency": "XYZ"}, "k", (422, "malformed")),
        ("POST", "/checkouts", ASKED | {"currency": "eur"}, "k", (422, "malformed")),
        ("POST", "/checkouts", ASKED | {"reference": "a\nb"}, "k", (422, "malformed")),
        ("POST", "/checkouts", ASKED | {"reference": "a\u202eb"}, "k", (422, "malformed")),
        ("POST", "/checkouts", ASKED | {"merchant_name": "\u3164"}, "k", (422, "malformed")),
        ("POST", "/checkouts", ASKED | {"merchant_name": "  "}, "k", (422, "malformed")),
        ("POST", "/checkouts", ASKED | {"subject": "5" * 32}, "k", (422, "malformed")),
        ("POST", "/checkouts", b"{", "k", (422, "malformed")),
        ("POST", "/checkouts", b"\xff", "k", (422, "malformed")),
        ("POST", "/checkouts", b"[" * BODY_MAX_BYTES, "k", (422, "malformed")),
        ("POST", "/checkouts", b"x" * (BODY_MAX_BYTES + 1), "k", (413, "too_large")),
        ("GET", "/checkouts/" + "a" * 32, None, None, (404, "unknown")),
        ("GET", "/checkouts/..%2f", None, None, (404, "no_route")),
        ("GET", "/checkouts/ABC", None, None, (422, "malformed")),
        ("POST", "/checkouts/" + "a" * 32 + "/cancel", None, None, (404, "unknown")),
        ("POST", "/checkouts/" + "a" * 32 + "/refund", {}, "k", (404, "unknown")),
        ("GET", "/nowhere", None, None, (404, "no_route")),
        ("DELETE", "/checkouts", None, None, (405, "wrong_method")),
    ],
)
async def test_bad_input_gets_a_sentence_and_a_code(
    *, till: Till, method: str, path: str, body: Any, key: str | None, expected: tuple[int, str]
) -> None:
    status, said = await till.call(method, path, body, key=key)
    assert (status, said["error"]) == expected
    assert said["detail"]
    assert set(said) == {"error", "detail"}
    assert "Traceback" not in said["detail"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/checkouts"),
        ("GET", "/checkouts/" + "a" * 32),
        ("POST", "/checkouts/" + "a" * 32 + "/cancel"),
        ("POST", "/checkouts/" + "a" * 32 + "/refund"),
    ],
)
@pytest.mark.parametrize("given", ["", "Bearer ", "Bearer " + "u" * 32, "Basic dDp0", "\xe9"])
async def test_no_route_is_there_without_the_token(till: Till, method: str, path: str, given: str) -> None:
    status, said = await till.call(method, path, ASKED, key="k", Authorization=given)
    assert (status, said["error"]) == (401, "no_token")


async def test_a_page_elsewhere_cannot_reach_it_and_the_till_page_has_its_own_files_only(till: Till) -> None:
    assert (await till.call("GET", "/till", Host="evil.example"))[0] == 421
    for path in ("/till", "/till.js", "/till.css", "/fonts.css"):
        status, content = await till.call("GET", path, Authorization="")
        assert status == 200
        assert b"://" not in content
    assert "script-src 'self'" in till.headers["Content-Security-Policy"]


async def test_another_body_under_a_key_and_another_open_checkout_are_conflicts(till: Till) -> None:
    await till.call("POST", "/checkouts", ASKED, key="k1")
    status, said = await till.call("POST", "/checkouts", ASKED | {"amount_minor": 251}, key="k1")
    assert (status, said["error"]) == (409, "key_reused")
    status, said = await till.call("POST", "/checkouts", ASKED, key="k2")
    assert (status, said["error"]) == (409, "checkout_open")


async def test_a_checkout_expires_and_the_next_may_be_asked_for(till: Till) -> None:
    _, made = await till.call("POST", "/checkouts", ASKED, key="k1")
    till.now_ms += 300_000
    assert (await till.call("GET", f"/checkouts/{made['checkout']}"))[1]["state"] == "expired"
    assert (await till.call("POST", "/checkouts", ASKED, key="k2"))[0] == 201


async def test_a_paid_checkout_names_its_record_and_is_given_back_once_per_key(till: Till) -> None:
    _, made = await till.call("POST", "/checkouts", ASKED, key="k1")
    path = f"/checkouts/{made['checkout']}"
    await till.pay(made["checkout"], 1, ChargeOutcome.CAPTURED)
    _, paid = await till.call("GET", path)
    assert (paid["state"], paid["charge"], paid["record"]) == ("paid", "captured", f"{1:032x}")
    till.central.silent = True
    status, said = await till.call("POST", f"{path}/refund", {"amount_minor": 100}, key="r1")
    assert (status, said["error"], till.headers["Retry-After"]) == (503, "central_silent", "5")
    till.central.silent = False
    answers = [await till.call("POST", f"{path}/refund", {"amount_minor": 100}, key="r1") for _ in range(3)]
    assert [status for status, _ in answers] == [200] * 3
    assert sum(till.central.given.values()) == 100
    status, said = await till.call("POST", f"{path}/refund", {"amount_minor": 151}, key="r2")
    assert (status, said["error"]) == (409, "above_charge")
    assert (await till.call("POST", f"{path}/refund", {}, key="r3"))[1]["amount_minor"] == 150
    assert (await till.call("GET", path))[1]["state"] == "refunded"


async def test_what_was_taken_offline_is_given_back_only_once_central_has_it(till: Till) -> None:
    _, made = await till.call("POST", "/checkouts", ASKED, key="k1")
    path = f"/checkouts/{made['checkout']}"
    await till.pay(made["checkout"], 1, ChargeOutcome.OFFLINE)
    assert (await till.call("POST", f"{path}/refund", {}, key="r1"))[0] == 503
    assert till.central.given == {}
    await till.outbox.receive(receipt(sent(till.outbox)))
    assert (await till.call("POST", f"{path}/refund", {}, key="r1"))[0] == 200


async def test_the_document_has_every_route_and_the_token(till: Till) -> None:
    _, document = await till.call("GET", "/openapi.json", Authorization="")
    assert set(document["paths"]) == {
        "/checkouts",
        "/checkouts/{checkout}",
        "/checkouts/{checkout}/cancel",
        "/checkouts/{checkout}/refund",
    }
    routes = [route for path in document["paths"].values() for route in path.values()]
    assert all(route["security"] for route in routes)


def test_a_token_is_drawn_once_and_nobody_else_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "till.token"
    token = token_of(path)
    assert len(token) == 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert token_of(path) == token
    path.chmod(0o644)
    with pytest.raises(StoreError, match="mode 644"):
        token_of(path)


@pytest.mark.parametrize("content", [b"", b"short", b"t" * 201, b"t" * 20 + b"\xe9", b"two words of a token"])
def test_what_could_be_guessed_or_sent_by_nobody_is_no_token(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "till.token"
    write_secret(path, content)
    with pytest.raises(StoreError, match="holds no token"):
        token_of(path)
    write_secret(path, b"a-token-of-our-own-0123\n")
    assert token_of(path) == "a-token-of-our-own-0123"


@pytest.mark.parametrize(
    ("host", "answered"),
    [
        ("192.0.2.7:8471", True),
        ("[2001:db8::7]:8471", True),
        ("LOCALHOST:{port}", True),
        ("evil.example", False),
        ("evil.example:{port}", False),
        ("127.0.0.1.evil.example:{port}", False),
        ("localhost:80@evil.example", False),
        ("2001:db8::7", False),
        ("[127.0.0.1]", False),
        ("127.0.0.1:x", False),
    ],
)
async def test_tills_come_by_an_address_and_by_nobody_elses_name(
    till: Till, host: str, answered: bool
) -> None:
    named = host.format(port=urlsplit(till.url).port)
    status, said = await till.call("GET", "/checkouts/" + "a" * 32, Host=named)
    assert (status, said["error"]) == ((404, "unknown") if answered else (421, "wrong_host"))


async def test_what_breaks_inside_is_a_sentence_to_the_till_and_a_place_in_the_log(
    till: Till, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(checkout: str) -> None:
        raise RuntimeError(f"no row for {checkout}")

    monkeypatch.setattr(till.counter.checkouts, "find", broken)
    status, said = await till.call("GET", "/checkouts/" + "a" * 32)
    assert (status, said["error"]) == (500, "failed")
    assert "RuntimeError" in caplog.text
    assert "broken" in caplog.text
    assert "a" * 32 not in caplog.text + said["detail"]
