"""A browser's camera as the kiosk's: a person enrols, passes with other pictures of them, and pays."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest
from playwright.async_api import Page, async_playwright, expect

from edge.adapters.camera.qr import QrReader
from edge.capture.sample import Frame, Image
from edge.compare.claim import QrClaim, qr_text
from edge.shell.kiosk import PassReport
from scripts.cli.gate.stand import Runs
from scripts.people.cast import Cast
from scripts.people.clip import APPROACH_S, SHOW_S, STAND_S, STEP_UP_S, ClipFormat, Scene, Studio
from scripts.stage.live import open_live
from tests.browser.conftest import QUIET
from wire.records import GateOutcome

pytestmark = pytest.mark.asyncio(loop_scope="session")

SOON_MS = 20_000
PIN = "730194"
STUDIO = Studio(11, ClipFormat(frames_per_s=15))
FAKE = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")


def write_y4m(path: Path, frames: Iterable[Image]) -> None:
    """What Chromium's fake camera plays again and again; it wants 4:2:0."""
    fmt = STUDIO.format
    with path.open("wb") as file:
        file.write(
            f"YUV4MPEG2 W{fmt.width_px} H{fmt.height_px} F{fmt.frames_per_s}:1 Ip A1:1 C420\n".encode()
        )
        for frame in frames:
            file.write(b"FRAME\n" + cv2.cvtColor(frame, cv2.COLOR_RGB2YUV_I420).tobytes())


def standing(scene: Scene, from_s: float, lasts_s: float) -> list[Image]:
    first, count = STUDIO.format.frames(from_s), STUDIO.format.frames(lasts_s)
    return [scene[first + index] for index in range(count)]


@asynccontextmanager
async def filmed(chromium: str, url: str, clip: Path) -> AsyncIterator[Page]:
    """A page in a browser of its own, before whose camera the clip plays."""
    camera = f"--use-file-for-fake-video-capture={clip}"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=[*QUIET, *FAKE, camera])
        try:
            context = await browser.new_context(
                viewport={"width": 1280, "height": 800}, reduced_motion="reduce"
            )
            page = await context.new_page()
            page.set_default_timeout(SOON_MS)
            await page.goto(url)
            yield page
        finally:
            await browser.close()


async def prompted(page: Page, prompt: str) -> None:
    await expect(page.locator("body")).to_have_attribute("data-prompt", prompt, timeout=SOON_MS)


async def chosen(page: Page, choice: str) -> None:
    await page.locator(f'[data-choice="{choice}"]').click()


async def test_a_person_enrols_and_then_passes_and_pays_with_other_pictures_before_a_browsers_camera(
    chromium: str, tmp_path: Path
) -> None:
    cast, reports = Cast(), list[PassReport]()
    sitting, coming = tmp_path / "sitting.y4m", tmp_path / "coming.y4m"
    stands = [STUDIO.walk_up(cast.portrait(file), None, file) for file in ("obama.jpg", "obama2.jpg")]
    write_y4m(sitting, [image for scene in stands for image in standing(scene, SHOW_S + APPROACH_S, STAND_S)])
    (tmp_path / "live").mkdir()
    async with open_live(tmp_path / "live", "browser", reports.append, Runs.SIMULATOR) as live:
        assert live.enroller.camera.state() == "waiting"
        async with filmed(chromium, live.enroller.screen_url, sitting) as page:
            await prompted(page, "enrol_welcome")
            await chosen(page, "begin-en")
            await chosen(page, "yes")
            await prompted(page, "enrol_age")
            await page.locator("#choices button").first.click()
            await prompted(page, "enrol_agree_by")
            await chosen(page, "button")
            for prompt in ("enrol_pin", "enrol_pin_again"):
                await prompted(page, prompt)
                await page.keyboard.type(PIN)
                await page.keyboard.press("Enter")
            await prompted(page, "enrol_done")
            shot = cv2.imdecode(np.frombuffer(await page.screenshot(), np.uint8), cv2.IMREAD_COLOR_RGB)
        claim = QrReader().read(Frame(np.asarray(shot, np.uint8), 0, "photograph of the screen"))
        assert isinstance(claim, QrClaim)
        assert live.enroller.camera.state() == "waiting"

        steps = STUDIO.step_up(cast.portrait("obama3.jpg"), qr_text(claim.claim_id), 2.0)
        write_y4m(coming, standing(steps, STEP_UP_S, 2.0))
        async with filmed(chromium, live.turnstile.screen_url, coming) as page:
            async with asyncio.timeout(SOON_MS / 1000):
                while not reports:  # noqa: ASYNC110 - the kiosk tells it between two turns of the loop
                    await asyncio.sleep(0.05)
        till = live.counter.till
        assert till is not None
        headers = {
            "Authorization": f"Bearer {till.token_file.read_text().strip()}", "Idempotency-Key": "coffee-1",
        }  # fmt: skip
        asked = {"amount_minor": 350, "currency": "EUR", "reference": "coffee"}
        async with httpx.AsyncClient(trust_env=False, base_url=till.url, headers=headers) as counter:
            made = (await counter.post("/checkouts", json=asked)).raise_for_status().json()
            async with filmed(chromium, live.counter.screen_url, coming) as page:
                # A picture makes no gestures: whoever is asked for them may type the PIN.
                await page.wait_for_function(
                    "() => /turn|look_up|nod/.test(document.body.dataset.prompt)", timeout=SOON_MS
                )
                await page.get_by_role("button", name="Another way").click()
                await prompted(page, "enter_pin")
                await page.keyboard.type(PIN)
                await page.keyboard.press("Enter")
                await prompted(page, "agree")
                await chosen(page, "button")
                await prompted(page, "paid")
            paid = (await counter.get(f"/checkouts/{made['checkout']}")).json()
    assert (paid["state"], paid["amount_minor"]) == ("paid", 350)
    record = reports[0].record
    assert (record.verdict, record.identified_by, record.gate_outcome) == (
        "grant",
        "face",
        GateOutcome.PASSED,
    )
    assert record.comparison is not None
    assert record.comparison.similarity >= record.comparison.threshold
