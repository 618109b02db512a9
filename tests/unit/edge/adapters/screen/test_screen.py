"""The kiosk's screen over real sockets: who is let in, what is taken, and what it says."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import signal
import socket
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import websockets
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection

from edge.adapters.screen import WebScreen
from edge.adapters.screen.app import HEARTBEAT_S, STATIC
from edge.adapters.screen.board import ALWAYS_ASKED_FOR, ASKED_FOR, TOUCHES_MAX, WATCHERS_MAX
from edge.adapters.screen.protocol import (
    CLAIM_MAX_CHARS,
    PIN_MIN_DIGITS,
    TOUCH_MAX_BYTES,
    Refusal,
    decode_touch,
)
from edge.adapters.screen.web import MESSAGE_MAX_BYTES
from edge.decide.verdict import Lane, Reason
from edge.enact.display import (
    AgeAnswered,
    AgreeByChosen,
    Agreed,
    ClaimEntered,
    ConsentAnswered,
    Display,
    EnrolBegun,
    Finished,
    HelpAsked,
    Notice,
    NotMe,
    OtherWayAsked,
    PinEntered,
    Prompt,
    SamplesAgain,
    Touch,
    WithdrawAsked,
    WithdrawConfirmed,
)
from edge.errors import ConfigError
from tests.doubles.waiting import WAIT_S, eventually
from wire.requests import PIN_MAX_DIGITS
from wire.transport.guard import HEADERS, PAGE_HEADERS
from wire.values import AgreeBy

PIN = "730194"
NO_NOTICE = Notice(None)
TOUCHES: list[tuple[dict[str, object], Touch]] = [
    ({"touch": "claim", "text": "4929-1180"}, ClaimEntered("4929-1180")),
    ({"touch": "pin", "pin": PIN}, PinEntered(PIN)),
    ({"touch": "other_way"}, OtherWayAsked()),
    ({"touch": "not_me"}, NotMe()),
    ({"touch": "help"}, HelpAsked()),
    ({"touch": "agree"}, Agreed()),
    *(({"touch": "agree_by", "by": str(by)}, AgreeByChosen(by)) for by in AgreeBy),
    ({"touch": "enrol_begin", "language": "ar"}, EnrolBegun("ar")),
    ({"touch": "consent", "given": True}, ConsentAnswered(True)),
    ({"touch": "consent", "given": False}, ConsentAnswered(False)),
    ({"touch": "age", "of_age": True}, AgeAnswered(True)),
    ({"touch": "age", "of_age": False}, AgeAnswered(False)),
    ({"touch": "withdraw"}, WithdrawAsked()),
    ({"touch": "withdraw_confirm"}, WithdrawConfirmed()),
    ({"touch": "finished"}, Finished()),
    ({"touch": "samples_again"}, SamplesAgain()),
]
"""Every touch as a page writes it, and what the kiosk hears."""


class Served:
    """A screen that is being served, and how to reach it."""

    def __init__(self, screen: WebScreen, port: int) -> None:
        self.screen, self.port = screen, port
        self.authority = f"127.0.0.1:{port}"

    def connect(self, *, origin: str | None = "own", host: str | None = None) -> websockets.connect:
        return websockets.connect(
            f"ws://{host or self.authority}/live",
            origin=f"http://{self.authority}" if origin == "own" else origin,
            host="127.0.0.1",
            port=self.port,
            proxy=None,
        )

    async def get(self, path: str, **headers: str) -> httpx.Response:
        async with httpx.AsyncClient(trust_env=False) as client:
            return await client.get(f"http://{self.authority}{path}", headers=headers)


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    screen = WebScreen()
    port = await screen.serve()
    yield Served(screen, port)
    await screen.close()


async def heard(page: ClientConnection, kind: str) -> dict[str, Any]:
    """The next message of that kind."""
    async with asyncio.timeout(WAIT_S):
        while True:
            message = json.loads(await page.recv())
            if message["kind"] == kind:
                return message


async def said(page: ClientConnection, message: object) -> dict[str, Any]:
    """Send one message, and the answer to it."""
    await page.send(message if isinstance(message, str | bytes) else json.dumps(message))
    async with asyncio.timeout(WAIT_S):
        while True:
            answer = json.loads(await page.recv())
            if answer["kind"] != "state":
                return answer


async def test_the_page_and_its_files_come_from_the_kiosk_alone(served: Served) -> None:
    page = await served.get("/")
    assert page.status_code == 200
    for name, value in (HEADERS | PAGE_HEADERS).items():
        assert page.headers[name] == value
    assert "'unsafe" not in PAGE_HEADERS["Content-Security-Policy"]
    named = {f"/{file.name}" for file in STATIC.iterdir() if file.is_file()} - {"/index.html", "/camera.js"}
    for path in (*sorted(named), "/messages.json"):
        asset = await served.get(path)
        assert asset.status_code == 200, path
        foreign = asset.text.replace("http://www.w3.org/2000/svg", "").replace("ws://${location.host}", "")
        assert "://" not in foreign, path


@pytest.mark.parametrize(
    "path", ["/../web.py", "/static/screen.js", "/%2e%2e/app.py", "/nothing", "/messages/en.json"]
)
async def test_only_the_named_files_are_given(served: Served, path: str) -> None:
    assert (await served.get(path)).status_code == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
async def test_the_page_can_only_be_read(served: Served, method: str) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.request(method, f"http://{served.authority}/", content=b"x" * 10_000)
    assert answer.status_code == 405


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "", "localhost.evil:{port}"]
)
async def test_a_foreign_host_is_misdirected(served: Served, host: str) -> None:
    answer = await served.get("/", Host=host.format(port=served.port))
    assert answer.status_code in {400, 421}
    assert "Stile" not in answer.text


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LOCALHOST", "[::1]", "192.0.2.7"])
async def test_every_address_and_this_machine_is_answered(served: Served, name: str) -> None:
    assert (await served.get("/", Host=f"{name}:{served.port}")).status_code == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", None, "https://127.0.0.1:{port}", "http://127.0.0.1:1"]
)
async def test_a_websocket_of_a_foreign_origin_is_refused(served: Served, origin: str | None) -> None:
    with pytest.raises(websockets.InvalidStatus) as refused:
        async with served.connect(origin=origin and origin.format(port=served.port)):
            pass
    assert refused.value.response.status_code == 403


async def test_a_websocket_of_a_foreign_host_is_misdirected(served: Served) -> None:
    with pytest.raises(websockets.InvalidStatus) as refused:
        async with served.connect(
            host=f"evil.example:{served.port}", origin=f"http://evil.example:{served.port}"
        ):
            pass
    assert refused.value.response.status_code == 421


async def test_a_page_is_told_the_state_on_connecting_and_at_each_change(served: Served) -> None:
    served.screen.show(Display(Prompt.SHOW_CLAIM), Notice(7))
    async with served.connect() as page:
        first = await heard(page, "state")
        assert first["display"]["prompt"] == "show_claim"
        assert first["notice"] == {
            "standing_age_s": 7,
            "degraded": [],
            "photo_risk": False,
            "photo_risk_first_use": False,
            "mode": "turnstile",
        }
        served.screen.show(
            Display(Prompt.WELCOME, lane=Lane.PRIORITY, reasons=(Reason.TIER_PRIORITY,)),
            Notice(8, ("clock",), photo_risk=True),
        )
        second = await heard(page, "state")
    assert second["serial"] == first["serial"] + 1
    assert second["display"]["lane"] == "priority"
    assert second["display"]["reasons"] == ["tier_priority"]
    assert second["notice"] == {
        "standing_age_s": 8,
        "degraded": ["clock"],
        "photo_risk": True,
        "photo_risk_first_use": False,
        "mode": "turnstile",
    }


async def test_a_state_is_repeated_as_a_heartbeat_with_the_same_serial(served: Served) -> None:
    async with served.connect() as page:
        assert (await heard(page, "state"))["serial"] == (await heard(page, "state"))["serial"] == 0


async def test_showing_the_same_again_changes_nothing(served: Served) -> None:
    for _ in range(3):
        served.screen.show(Display(Prompt.CHECKING), NO_NOTICE)
    async with served.connect() as page:
        assert (await heard(page, "state"))["serial"] == 1


async def test_each_touch_reaches_the_kiosk_under_its_prompts_alone_and_is_answered_by_its_kind(
    served: Served,
) -> None:
    assert {type(touch) for _, touch in TOUCHES} == set(Touch.__args__)
    async with served.connect() as page:
        for message, touch in TOUCHES:
            under = set(Prompt) if isinstance(touch, ALWAYS_ASKED_FOR) else ASKED_FOR[type(touch)]
            for prompt in Prompt:
                served.screen.show(Display(prompt), NO_NOTICE)
                answer = await said(page, message)
                if prompt in under:
                    assert answer == {"kind": "taken", "touch": message["touch"]}
                    assert await asyncio.wait_for(served.screen.touch(), WAIT_S) == touch
                else:
                    assert answer == {"kind": "refused", "why": "not_now"}, (prompt, touch)


@pytest.mark.parametrize(
    ("message", "why"),
    [
        ({"touch": "open_gate"}, Refusal.INVALID),
        ({"touch": "help", "extra": 1}, Refusal.INVALID),
        ({"touch": 7}, Refusal.INVALID),
        ({}, Refusal.INVALID),
        ([], Refusal.INVALID),
        ({"touch": "pin"}, Refusal.INVALID),
        ({"touch": "pin", "pin": 730194}, Refusal.INVALID),
        ({"touch": "pin", "pin": "730"}, Refusal.INVALID),
        ({"touch": "pin", "pin": "73019x"}, Refusal.INVALID),
        ({"touch": "pin", "pin": "730194\n"}, Refusal.INVALID),
        ({"touch": "pin", "pin": "7" * 13}, Refusal.INVALID),
        ({"touch": "pin", "pin": "٧٣٠١٩٤"}, Refusal.INVALID),
        ({"touch": "agree_by", "by": "frown"}, Refusal.INVALID),
        ({"touch": "agree_by"}, Refusal.INVALID),
        ({"touch": "consent", "given": 1}, Refusal.INVALID),
        ({"touch": "age"}, Refusal.INVALID),
        ({"touch": "enrol_begin", "language": "English"}, Refusal.INVALID),
        ({"touch": "enrol_begin", "language": "en\n"}, Refusal.INVALID),
        ({"touch": "claim", "text": ""}, Refusal.INVALID),
        ({"touch": "claim", "text": " 4929"}, Refusal.INVALID),
        ({"touch": "claim", "text": "4929\u0000"}, Refusal.INVALID),
        ({"touch": "claim", "text": "x" * (CLAIM_MAX_CHARS + 1)}, Refusal.INVALID),
        ({"touch": "claim", "text": "x" * TOUCH_MAX_BYTES}, Refusal.TOO_LARGE),
        ("not json", Refusal.UNREADABLE),
        ("", Refusal.UNREADABLE),
        ("[" * TOUCH_MAX_BYTES, Refusal.INVALID),
        (b"\xff\xfe", Refusal.UNREADABLE),
        (b'{"touch": "\xff"}', Refusal.UNREADABLE),
    ],
)
async def test_what_is_no_touch_is_refused_with_a_value_and_the_page_stays(
    served: Served, message: object, why: Refusal
) -> None:
    served.screen.show(Display(Prompt.ENTER_PIN), NO_NOTICE)
    async with served.connect() as page:
        assert await said(page, message) == {"kind": "refused", "why": why}
        assert await said(page, {"touch": "help"}) == {"kind": "taken", "touch": "help"}
    assert await asyncio.wait_for(served.screen.touch(), WAIT_S) == HelpAsked()


@given(st.one_of(st.binary(max_size=2 * TOUCH_MAX_BYTES), st.text(max_size=TOUCH_MAX_BYTES)))
def test_no_bytes_at_all_make_the_decoder_raise(message: bytes | str) -> None:
    assert isinstance(decode_touch(message), (Refusal, *Touch.__args__))


async def test_a_message_past_the_socket_bound_closes_that_page_and_no_other(served: Served) -> None:
    async with served.connect() as greedy, served.connect() as other:
        await greedy.send("x" * (MESSAGE_MAX_BYTES + 1))
        await asyncio.wait_for(greedy.wait_closed(), WAIT_S)
        assert greedy.close_code == 1009
        assert await said(other, {"touch": "help"}) == {"kind": "taken", "touch": "help"}


def test_a_pin_is_asked_for_by_the_prompts_that_have_a_keypad_for_it() -> None:
    page = (STATIC / "prompts.js").read_text()
    assert set(re.findall(r'^  (\w+): "pin",$', page, re.MULTILINE)) == ASKED_FOR[PinEntered]
    assert set(re.findall(r'^  (\w+): "claim",$', page, re.MULTILINE)) <= ASKED_FOR[ClaimEntered]


async def test_a_full_queue_refuses_the_newest_touch_and_keeps_the_oldest(served: Served) -> None:
    async with served.connect() as page:
        assert (await said(page, {"touch": "help"}))["kind"] == "taken"
        for _ in range(TOUCHES_MAX - 1):
            assert (await said(page, {"touch": "not_me"}))["kind"] == "taken"
        assert await said(page, {"touch": "not_me"}) == {"kind": "refused", "why": "busy"}
        assert await asyncio.wait_for(served.screen.touch(), WAIT_S) == HelpAsked()
        assert (await said(page, {"touch": "not_me"}))["kind"] == "taken"


async def test_one_page_too_many_is_refused_and_a_place_given_back_is_used_again(served: Served) -> None:
    pages = [await served.connect() for _ in range(WATCHERS_MAX)]
    await eventually(lambda: served.screen.watching == WATCHERS_MAX)
    with pytest.raises(websockets.InvalidStatus) as refused:
        async with served.connect():
            pass
    assert refused.value.response.status_code == 503
    await pages.pop().close()
    await eventually(lambda: served.screen.watching == WATCHERS_MAX - 1)
    async with served.connect() as page:
        assert (await heard(page, "state"))["serial"] == 0
    for page in pages:
        await page.close()


async def test_a_pin_is_in_no_log_record_at_any_level_and_is_never_said_again(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    names = ("", "uvicorn.error", "uvicorn.access", "uvicorn.asgi", "websockets.server", "asyncio")
    for name in names:
        caplog.set_level(logging.DEBUG, logger=name or None)
    served.screen.show(Display(Prompt.ENTER_PIN), NO_NOTICE)
    async with served.connect() as page:
        page.protocol.debug = False  # the test's own end would log what it sends
        await page.send(json.dumps({"touch": "pin", "pin": PIN}))
        answer = await heard(page, "taken")
        wrong = await said(page, {"touch": "pin", "pin": PIN + "x"})
    touch = await asyncio.wait_for(served.screen.touch(), WAIT_S)
    assert touch == PinEntered(PIN)
    for spoken in (json.dumps(answer), json.dumps(wrong), repr(touch), caplog.text):
        assert PIN not in spoken


async def test_the_port_is_given_back_and_can_be_served_again(served: Served) -> None:
    async with served.connect() as page:
        await heard(page, "state")
        await served.screen.close()
        await asyncio.wait_for(page.wait_closed(), WAIT_S)
        assert page.close_code == 1012  # the service restarts: come back
    await served.screen.close()
    assert await served.screen.serve(port=served.port) == served.port
    async with served.connect() as page:
        assert (await heard(page, "state"))["kind"] == "state"


def test_the_page_keeps_to_the_kiosks_own_bounds() -> None:
    page = {name: (STATIC / name).read_text() for name in ("index.html", "keypad.js", "link.js")}

    def bound(name: str, pattern: str) -> int:
        found = re.search(pattern, page[name])
        assert found is not None
        return int(found[1])

    assert bound("index.html", r'id="claim"[^>]* maxlength="(\d+)"') == CLAIM_MAX_CHARS
    assert bound("index.html", r'id="pin"[^>]* maxlength="(\d+)"') == PIN_MAX_DIGITS
    assert bound("keypad.js", r"PIN_MIN = (\d+);") == PIN_MIN_DIGITS
    assert bound("link.js", r"SILENCE_MS = (\d+);") == 3 * HEARTBEAT_S * 1000


async def test_a_port_in_use_is_a_configuration_error_that_names_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf'screen.port = "127.0.0.1:{port}"'):
            await WebScreen().serve(port=port)
    with pytest.raises(ConfigError, match="70000"):
        await WebScreen().serve(port=70000)


async def test_serving_twice_is_refused(served: Served) -> None:
    with pytest.raises(RuntimeError, match="already"):
        await served.screen.serve()


async def test_signals_stay_with_the_program_around_the_screen() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    screen = WebScreen()
    await screen.serve()
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    await screen.close()


async def test_showing_never_waits_for_a_page_that_does_not_read(served: Served) -> None:
    async with served.connect() as page:
        await heard(page, "state")
        for age_s in range(5_000):
            served.screen.show(Display(Prompt.CHECKING), Notice(age_s))
        served.screen.show(Display(Prompt.THANKS), NO_NOTICE)
        seen = []
        while (state := await heard(page, "state"))["display"]["prompt"] != "thanks":
            seen.append(state)
    assert len(seen) < 10  # the states between are skipped, not queued
