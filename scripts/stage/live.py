"""The demo with real people: enrol, pass and pay at three kiosks on one machine with one camera.

Everything listens on 127.0.0.1 and free ports, keeps its files in one folder, and ends with the context.
After each release somebody walks through the simulated gate. One camera of this machine serves whichever
kiosk's page is looked at; with `browser` each page is its kiosk's camera.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from central.app import Central, init_central, load_config, open_central
from edge.adapters.central.pairing import pair
from edge.config import (
    BrokerSection,
    CameraSection,
    GateSection,
    KioskConfig,
    KioskSection,
    ScreenSection,
    TillSection,
)
from edge.enact.charge import PayConfig
from edge.modes.common import Extras, share_camera
from edge.modes.enrol import OpenEnroller, open_enroller
from edge.modes.lane import OpenKiosk, open_kiosk
from edge.shell.kiosk import PassReport
from firmware_bridge.auth import derive_keys
from scripts.cli.gate.app import write_gate_key
from scripts.cli.gate.stand import Runs, open_stand
from scripts.stage.landing import Link, serve_landing
from wire.ids import KioskId, Purpose

OPERATOR, SITE, PURPOSE, GATE = "demo", "north", "ride", "gate-1"
ENROL, TURNSTILE, COUNTER = "enrol-1", "turnstile-1", "counter-1"
WALKS_AFTER_MS = 1_200
"""From a release until the simulated person is in the gate: long enough to read the welcome."""
PAYMENTS = """
[payments]
provider = "sandbox"
"""
"""Pretends to collect the money, so that nobody has to top anything up first."""
_ABOUT = {
    True: "Each page below uses your browser's camera while you look at it. Allow it when you are asked.",
    False: "One camera serves all pages below: the one you look at sees.",
}


@dataclass(frozen=True, slots=True)
class Live:
    """What is open; `landing_url` is where to begin."""

    central: Central
    enroller: OpenEnroller
    turnstile: OpenKiosk
    counter: OpenKiosk
    landing_url: str
    gate_runs: Runs


def camera_section(camera: str) -> CameraSection:
    """A number, a path or `browser`, as `--camera` has it."""
    return CameraSection(int(camera) if camera.isdigit() else camera)


@contextlib.asynccontextmanager
async def open_live(
    folder: Path,
    camera: str,
    on_report: Callable[[PassReport], None] = lambda _: None,
    gate: Runs | None = None,
) -> AsyncIterator[Live]:
    """Set everything up in an empty `folder`; raises `CameraError` for a camera that is not there."""
    seen_by = camera_section(camera)
    async with contextlib.AsyncExitStack() as stack:
        extras = Extras(on_report=on_report)
        if not seen_by.in_browser:
            shared = share_camera(seen_by)
            stack.push_async_callback(shared.close)
            extras = Extras(camera=shared.view, on_report=on_report)
        settings_file = init_central(folder / "central", OPERATOR, SITE, PURPOSE)
        with settings_file.open("a", encoding="utf-8") as settings:
            settings.write(PAYMENTS)
        central = await stack.enter_async_context(open_central(load_config(settings_file)))
        gate_key_file = folder / "gate.key"
        keys = derive_keys(write_gate_key(gate_key_file), GATE)
        stand, runs, _ = stack.enter_context(open_stand(keys, runs=gate, auto_walk_ms=WALKS_AFTER_MS))
        broker = BrokerSection(central.broker.host, central.broker.port)

        async def paired(name: str) -> str:
            code = central.use_cases.kiosks.add(KioskId(name), Purpose(PURPOSE), enrols=name == ENROL)
            state = folder / name
            state.mkdir(mode=0o700)
            await pair(central.http_url, code, state, software="demo", random_bytes=os.urandom)
            return str(state)

        screen = ScreenSection(port=0)
        enroller = await stack.enter_async_context(
            open_enroller(
                KioskConfig(
                    kiosk=KioskSection(await paired(ENROL), "enrol"),
                    camera=seen_by,
                    screen=screen,
                    broker=broker,
                ),
                extras,
            )
        )
        turnstile = await stack.enter_async_context(
            open_kiosk(
                KioskConfig(
                    kiosk=KioskSection(await paired(TURNSTILE)),
                    gate=GateSection(GATE, str(stand.path), str(gate_key_file)),
                    camera=seen_by,
                    screen=screen,
                    broker=broker,
                ),
                extras,
            )
        )
        counter = await stack.enter_async_context(
            open_kiosk(
                KioskConfig(
                    kiosk=KioskSection(await paired(COUNTER), "pay"),
                    pay=PayConfig("kiosk-cafe", "The demo's café"),
                    till=TillSection(port=0),
                    camera=seen_by,
                    screen=screen,
                    broker=broker,
                ),
                extras,
            )
        )
        till = counter.till
        assert till is not None, "a kiosk that takes money has a till"
        central.publish_heads()
        links = (
            Link(
                enroller.screen_url,
                "1. Enrol",
                "Read, agree, look at the camera, choose a PIN, and photograph your code.",
            ),
            Link(
                turnstile.screen_url,
                "2. Pass",
                "Hold your code up and look at the camera; somebody new is asked for the PIN.",
            ),
            Link(
                f"{till.url.rstrip('/')}/till",
                "3. Ask for money",
                f"The till. Its token: {till.token_file.read_text('utf-8').strip()}",
            ),
            Link(
                counter.screen_url,
                "4. Pay",
                "Hold your code up, look at the camera, and agree by button, smile or nod.",
            ),
        )
        landing_url = await stack.enter_async_context(serve_landing(links, _ABOUT[seen_by.in_browser]))
        yield Live(central, enroller, turnstile, counter, landing_url, runs)


async def served(live: Live) -> None:
    """Until a kiosk ends with an error, which is raised, or this is cancelled."""
    ended, _ = await asyncio.wait(
        {live.enroller.serving, live.turnstile.serving, live.counter.serving},
        return_when=asyncio.FIRST_COMPLETED,
    )
    for task in ended:
        task.result()
