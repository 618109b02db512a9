"""Whose Host and Origin are answered: one rule for every server, addresses all alike."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message, Receive, Scope, Send

from wire.transport.guard import Guard, Names, answers_to, on_this_machine

OURS = Names(frozenset({"central.example"}))
PAGE = ("host", "127.0.0.1:8080")


@pytest.mark.parametrize(
    ("host", "answered"),
    [
        ("127.0.0.1:8480", True),
        ("127.0.0.1:", True),
        ("[::1]:8480", True),
        ("[2001:DB8::7]", True),
        ("[::ffff:192.0.2.7]:80", True),
        ("LOCALHOST", True),
        ("localhost:8480", True),
        ("192.0.2.7", True),
        ("central.example", True),
        ("Central.example:8480", True),
        ("[127.0.0.1]", False),
        ("[127.0.0.1]:8480", False),
        ("[localhost]", False),
        ("[central.example]", False),
        ("::1", False),
        ("2001:db8::7", False),
        ("[::1", False),
        ("::1]", False),
        ("[::1]8480", False),
        ("[fe80::1%eth0]", False),
        ("127.1", False),
        ("2130706433", False),
        ("0x7f000001", False),
        ("127.0.0.01", False),
        ("evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("central.example.evil.example:8480", False),
        ("evil@127.0.0.1", False),
        ("localhost:80@evil.example", False),
        ("127.0.0.1/evil.example", False),
        ("127.0.0.1:²", False),
        ("127.0.0.1:x", False),
        ("127.0.0.1:-1", False),
        ("127.0.0.1:123456", False),
        (" 127.0.0.1", False),
        ("127.0.0.1, evil.example", False),
        ("", False),
        (":80", False),
    ],
)
def test_only_addresses_and_our_own_names_are_answered(host: str, answered: bool) -> None:
    assert answers_to(host, OURS) is answered


@pytest.mark.parametrize(
    ("host", "port", "answered"),
    [
        ("localhost", 80, True),
        ("localhost:80", 80, True),
        ("localhost", 8080, False),
        ("127.0.0.1:8080", 8080, True),
        ("127.0.0.1:8081", 8080, False),
        ("[::1]:8080", 8080, True),
        ("central.example:8080", 8080, True),
        ("central.example", 8080, False),
    ],
)
def test_a_server_with_no_proxy_before_it_answers_under_its_port_alone(
    host: str, port: int, answered: bool
) -> None:
    assert answers_to(host, Names(OURS.names, port)) is answered


@given(st.text(st.characters(min_codepoint=0, max_codepoint=255), max_size=40))
def test_no_host_whatever_it_is_breaks_the_check(host: str) -> None:
    assert answers_to(host, Names()) in (True, False)
    assert on_this_machine(host) in (True, False)


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("localhost:80", True),
        ("127.0.0.2", True),
        ("[::1]:80", True),
        ("192.0.2.7", False),
        ("central.example", False),
        ("", False),
    ],
)
def test_a_page_is_on_this_machine_when_its_host_says_so(host: str, here: bool) -> None:
    assert on_this_machine(host) is here


async def status(kind: str, method: str, names: Names, *headers: tuple[str, str]) -> int:
    """What a guarded application answers; 200 is its own answer."""
    said: list[Message] = []

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message: Message) -> None:
        said.append(message)

    async def receive() -> Message:
        raise AssertionError("nothing is read")

    scope: Scope = {
        "type": kind,
        "method": method,
        "path": "/",
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers],
        "extensions": {"websocket.http.response": {}},
    }
    await Guard(app, names, {})(scope, receive, send)
    found = said[0]["status"]
    assert isinstance(found, int)
    return found


@pytest.mark.parametrize(
    ("headers", "answer"),
    [
        ((PAGE,), 200),
        ((PAGE, ("sec-fetch-site", "same-origin")), 200),
        ((PAGE, ("sec-fetch-site", "none")), 200),
        ((PAGE, ("origin", "http://127.0.0.1:8080")), 200),
        ((PAGE, ("sec-fetch-site", "same-site"), ("origin", "http://127.0.0.1:8080")), 403),
        ((PAGE, ("sec-fetch-site", "cross-site")), 403),
        ((PAGE, ("origin", "http://127.0.0.1:9090")), 403),
        ((PAGE, ("origin", "http://localhost:8080")), 403),
        ((PAGE, ("origin", "null")), 403),
        ((PAGE, ("origin", "http://127.0.0.1:8080"), ("origin", "http://evil.example")), 403),
        ((PAGE, PAGE), 421),
        ((), 421),
    ],
)
async def test_a_change_is_taken_from_a_page_of_ours_or_from_no_page(
    headers: tuple[tuple[str, str], ...], answer: int
) -> None:
    assert await status("http", "POST", Names(), *headers) == answer
    assert await status("http", "GET", Names(), *headers) == (421 if answer == 421 else 200)


@pytest.mark.parametrize(
    ("origin", "direct", "behind"),
    [
        ("http://127.0.0.1:8080", 200, 200),
        ("https://127.0.0.1:8080", 403, 200),
        ("http://127.0.0.1:8081", 403, 403),
        ("http://evil.example", 403, 403),
        ("null", 403, 403),
        (None, 403, 403),
    ],
)
async def test_a_websocket_is_opened_by_a_page_of_ours_alone(
    origin: str | None, direct: int, behind: int
) -> None:
    sent = (PAGE,) if origin is None else (PAGE, ("origin", origin))
    assert await status("websocket", "GET", Names(port=8080), *sent) == direct
    assert await status("websocket", "GET", Names(), *sent) == behind
