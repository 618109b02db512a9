"""The kiosk's servers at DEBUG: no token, PIN or claim in what is written down, whoever sent it."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect

from edge.adapters.screen import WebScreen
from edge.enact.display import Display, Notice, Prompt
from tests.doubles.till_api import ASKED, TOKEN, open_till_at
from tests.doubles.waiting import WAIT_S

PIN, BAD_PIN, CLAIM, WRONG_TOKEN = (
    "48151623",
    "4210864x",
    "MARKED-CLAIM-0123",
    "marked-wrong-token-0123456789",
)
OURS = ("edge", "wire", "uvicorn", "uvicorn.error", "starlette", "asyncio")
"""Whose lines are looked at: the client of the test logs what it sends itself."""


def turn_up(caplog: pytest.LogCaptureFixture) -> None:
    """Once the servers are there: uvicorn sets its own level when it is made."""
    for name in (None, *OURS):
        caplog.set_level(logging.DEBUG, name)


def written(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> str:
    lines = [each for each in caplog.records if each.name.split(".")[0] in OURS]
    assert lines  # or nothing was looked at
    return "".join(f"{each.getMessage()}{each.exc_text}{each.__dict__}" for each in lines) + "".join(
        capfd.readouterr()
    )


async def test_the_screen_writes_down_no_pin_and_no_claim(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    screen = WebScreen()
    port = await screen.serve()
    turn_up(caplog)
    answers = ""
    try:
        url = f"http://127.0.0.1:{port}"
        async with connect(url.replace("http", "ws") + "/live", origin=url) as page:
            for prompt, touch in (
                (Prompt.ENTER_CLAIM, {"touch": "claim", "text": CLAIM}),
                (Prompt.ENTER_PIN, {"touch": "claim", "text": CLAIM}),
                (Prompt.ENTER_PIN, {"touch": "pin", "pin": PIN}),
                (Prompt.ENTER_PIN, {"touch": "pin", "pin": BAD_PIN}),
                (Prompt.ENTER_PIN, {"touch": "pin", "pin": PIN, "extra": CLAIM}),
                (Prompt.WELCOME, {"touch": "pin", "pin": PIN}),
            ):
                screen.show(Display(prompt), Notice(None))
                await page.send(json.dumps(touch))
                async with asyncio.timeout(WAIT_S):
                    while '"kind":"state"' in (said := await page.recv()):
                        answers += said
                answers += said
        async with httpx.AsyncClient(base_url=url) as client:
            told = await client.post("/", json={"pin": PIN, "claim": CLAIM})
            answers += told.text
            shown = repr([screen, await screen.touch(), await screen.touch()])
    finally:
        await screen.close()
    assert answers.count('"kind":"taken"') == 2
    everything = written(caplog, capfd) + answers + shown
    assert [secret for secret in (PIN, BAD_PIN, CLAIM) if secret in everything] == []


async def test_the_till_writes_down_no_token(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    async with open_till_at(tmp_path) as till:
        turn_up(caplog)
        told = []
        async with httpx.AsyncClient(base_url=till.url) as client:
            for token in (TOKEN, WRONG_TOKEN):
                headers = {"authorization": f"Bearer {token}", "idempotency-key": "k1"}
                sent = ASKED | {"token": token}
                for method, path, body in (
                    ("POST", "/checkouts", ASKED),
                    ("POST", "/checkouts", sent),
                    ("GET", f"/checkouts/{token}", None),
                    ("GET", "/nowhere", None),
                    ("DELETE", "/checkouts", sent),
                ):
                    told.append(await client.request(method, path, json=body, headers=headers))

            def broken(checkout: str) -> None:
                raise RuntimeError(f"no database for {checkout}, {TOKEN}")

            till.counter.checkouts.find = broken  # a fault in the middle of a request
            headers = {"authorization": f"Bearer {TOKEN}"}
            told.append(await client.get("/checkouts/" + "a" * 32, headers=headers))
        shown = repr(till.counter)
    assert [told[0].status_code, told[-1].status_code] == [201, 500]
    answers = "".join(each.text + str(each.headers) for each in told)
    everything = written(caplog, capfd) + answers + shown
    assert "RuntimeError" in everything
    assert [secret for secret in (TOKEN, WRONG_TOKEN) if secret in everything] == []
