"""Paying, enrolling and leaving as a person meets them: a real Chromium, touched and typed at."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import cv2
import numpy as np
import pytest
from playwright.async_api import expect

from edge.adapters.camera.qr import QrReader
from edge.adapters.screen.texts import MESSAGES, read_messages
from edge.capture.sample import Box, Frame
from edge.compare.claim import parse_qr
from edge.enact.display import (
    AgeAnswered,
    AgreeByChosen,
    Agreed,
    ConsentAnswered,
    Display,
    EnrolBegun,
    Finished,
    Notice,
    NotMe,
    PinEntered,
    Prompt,
    SamplesAgain,
    Touch,
    WithdrawAsked,
    WithdrawConfirmed,
)
from tests.doubles.browser_kiosk import Kiosk
from tests.doubles.screen_states import CLAIM, STATES
from tests.doubles.waiting import WAIT_S
from wire.values import AgreeBy

pytestmark = pytest.mark.asyncio(loop_scope="session")

EN, DE = (read_messages(MESSAGES / f"{language}.json") for language in ("en", "de"))


async def shown(kiosk: Kiosk, display: Display) -> None:
    kiosk.screen.show(display, Notice(42))
    await expect(kiosk.page.locator("body")).to_have_attribute("data-prompt", display.prompt)


async def pressed(kiosk: Kiosk, name: str) -> Touch:
    await kiosk.page.get_by_role("button", name=name).tap()
    async with asyncio.timeout(WAIT_S):
        return await kiosk.screen.touch()


async def test_the_amount_is_large_and_written_as_the_language_writes_it(kiosk: Kiosk) -> None:
    page = kiosk.page
    await shown(kiosk, STATES[Prompt.AGREE])
    await expect(page.locator("#amount")).to_have_text("€1,234.50")
    await expect(page.locator("#merchant")).to_have_text("Café on the Quay")
    await page.get_by_role("button", name="Deutsch").tap()
    await expect(page.locator("#amount")).to_have_text("1.234,50\u00a0€")
    await expect(page.get_by_role("heading", level=1)).to_have_text(DE.prompt[Prompt.AGREE].title)


@pytest.mark.parametrize(
    ("currency", "words"), [("JPY", "¥123,450"), ("KWD", "KWD\u00a0123.450"), ("RSD", "RSD\u00a01,234.50")]
)
async def test_minor_units_are_iso_4217s_and_not_the_browsers(
    kiosk: Kiosk, currency: str, words: str
) -> None:
    asked = STATES[Prompt.AGREE].checkout
    assert asked is not None
    await shown(kiosk, Display(Prompt.AGREE, checkout=replace(asked, currency=currency)))
    await expect(kiosk.page.locator("#amount")).to_have_text(words)


async def test_the_three_ways_to_agree_are_equal_and_each_is_one_touch(kiosk: Kiosk) -> None:
    page = kiosk.page
    await shown(kiosk, STATES[Prompt.AGREE])
    boxes = await page.evaluate(
        "() => [...document.querySelectorAll('#choices button')].map((b) => b.getBoundingClientRect())"
        ".map((box) => [Math.round(box.width), Math.round(box.height)])"
    )
    assert len(boxes) == 3
    assert len({tuple(box) for box in boxes}) == 1
    await expect(page.locator("#choices [aria-pressed=true]")).to_contain_text(EN.page.by_smile)
    assert await pressed(kiosk, EN.page.by_button) == Agreed()
    assert await pressed(kiosk, EN.page.by_smile) == AgreeByChosen(AgreeBy.SMILE)
    assert await pressed(kiosk, EN.page.by_nod) == AgreeByChosen(AgreeBy.NOD)


async def test_a_receipt_is_a_code_that_can_be_scanned_and_a_text_that_can_be_read(kiosk: Kiosk) -> None:
    await shown(kiosk, STATES[Prompt.PAID])
    await expect(kiosk.page.locator("#qr-text")).to_contain_text("1234.50 EUR")
    assert await pressed(kiosk, EN.page.done) == Finished()
    await shown(kiosk, STATES[Prompt.NO_CHECKOUT])
    await expect(kiosk.page.locator("#qr")).to_be_hidden()
    assert "1234.50 EUR" not in await kiosk.page.content()


async def test_enrolling_from_the_first_touch_to_the_card(kiosk: Kiosk) -> None:
    page = kiosk.page
    await shown(kiosk, STATES[Prompt.ENROL_WELCOME])
    assert await pressed(kiosk, EN.page.withdraw) == WithdrawAsked()
    assert await pressed(kiosk, "Beginnen") == EnrolBegun("de")
    await shown(kiosk, STATES[Prompt.ENROL_CONSENT])
    await expect(page.get_by_role("heading", level=1)).to_have_text(DE.prompt[Prompt.ENROL_CONSENT].title)
    assert await pressed(kiosk, "English") == EnrolBegun("en")  # it is read anew in that language
    await expect(page.locator("#progress")).to_have_text("Step 1 of 7")
    await expect(page.locator("#consent p")).to_have_count(12)
    assert await page.evaluate(
        "() => { const c = document.getElementById('consent'); return c.scrollHeight > c.clientHeight; }"
    )
    assert await pressed(kiosk, EN.page.consent_no) == ConsentAnswered(False)
    assert await pressed(kiosk, EN.page.consent_yes) == ConsentAnswered(True)
    await shown(kiosk, STATES[Prompt.ENROL_AGE])
    assert await pressed(kiosk, "I am 16 or older") == AgeAnswered(True)
    assert await pressed(kiosk, "I am younger than 16") == AgeAnswered(False)
    await shown(kiosk, STATES[Prompt.ENROL_SAMPLES])
    await expect(page.locator("#samples-text")).to_have_text("2 of 5 pictures")
    await shown(kiosk, STATES[Prompt.ENROL_AGAIN])
    assert await pressed(kiosk, EN.page.again) == SamplesAgain()
    await shown(kiosk, STATES[Prompt.ENROL_AGREE_BY])
    assert await pressed(kiosk, EN.page.by_nod) == AgreeByChosen(AgreeBy.NOD)
    for prompt in (Prompt.ENROL_PIN, Prompt.ENROL_PIN_AGAIN):
        await shown(kiosk, STATES[prompt])
        await page.keyboard.type("730194")
        await page.keyboard.press("Enter")
        async with asyncio.timeout(WAIT_S):
            assert await kiosk.screen.touch() == PinEntered("730194")
    await shown(kiosk, STATES[Prompt.ENROL_DONE])
    assert await pressed(kiosk, EN.page.done) == Finished()
    assert kiosk.faults == []


async def test_the_claim_and_the_printed_card_can_be_read_by_a_kiosk_and_the_card_has_no_face(
    kiosk: Kiosk,
) -> None:
    page = kiosk.page
    await shown(kiosk, STATES[Prompt.ENROL_DONE])
    assert await _claim_in(await page.screenshot()) == CLAIM
    await page.emulate_media(media="print")
    card = page.locator("#card")
    await expect(card).to_be_visible()
    await expect(card).to_contain_text("Metro of the North")
    await expect(card).to_contain_text(EN.page.card_keep)
    assert await page.evaluate(
        "() => [...document.querySelectorAll('main, header, nav, canvas')].every((e) => !e.checkVisibility())"
    )
    assert await _claim_in(await page.screenshot()) == CLAIM
    await page.emulate_media(media="screen")
    await shown(kiosk, STATES[Prompt.ENROL_WELCOME])
    assert await page.locator("#card-code path").get_attribute("d") == ""


async def _claim_in(screenshot: bytes) -> str:
    picture = cv2.imdecode(np.frombuffer(screenshot, np.uint8), cv2.IMREAD_COLOR)
    claim = QrReader().read(Frame(np.ascontiguousarray(picture[:, :, ::-1]), 0, "screenshot"))
    assert claim == parse_qr(CLAIM)
    return CLAIM


async def test_leaving_is_asked_once_more_and_can_be_called_off(kiosk: Kiosk) -> None:
    await shown(kiosk, STATES[Prompt.WITHDRAW_CONFIRM])
    assert await pressed(kiosk, EN.page.withdraw_no) == NotMe()
    assert await pressed(kiosk, EN.page.withdraw_yes) == WithdrawConfirmed()


async def test_a_touch_meant_for_the_screen_before_presses_nothing_of_the_next(kiosk: Kiosk) -> None:
    page = kiosk.page
    await page.clock.install(time=0)
    await page.reload()
    await page.clock.pause_at(60_000)
    await page.clock.run_for(
        1_000
    )  # the jump looked like a silence: the page drops its line, and has another
    await shown(kiosk, STATES[Prompt.AGREE])
    button = page.get_by_role("button", name=EN.page.by_button)
    await expect(button).to_be_disabled()
    await page.clock.run_for(500)
    await expect(button).to_be_enabled()


async def test_the_picture_is_painted_as_in_a_mirror_and_wiped_when_no_more_come(kiosk: Kiosk) -> None:
    page = kiosk.page
    image = np.zeros((480, 640, 3), np.uint8)
    image[:, :320] = 255  # bright on the camera's left
    await shown(kiosk, STATES[Prompt.LOOK_HERE])
    async with asyncio.timeout(WAIT_S):
        while await page.locator("body[data-live]").count() == 0:
            kiosk.screen.preview.offer(Frame(image, 0, "test"), Box(0, 0, 640, 480))
            await asyncio.sleep(0.02)
    left, right = await page.evaluate(
        "() => { const c = document.getElementById('picture'); const at = (x) => c.getContext('2d')"
        ".getImageData(x, c.height / 2, 1, 1).data[0]; return [at(c.width * 0.25), at(c.width * 0.75)]; }"
    )
    assert (left < 60, right > 200) == (True, True)
    await expect(page.locator("body[data-live]")).to_have_count(0)
    await shown(kiosk, STATES[Prompt.ENTER_PIN])
    async with asyncio.timeout(WAIT_S):
        while kiosk.screen.preview.watching:  # noqa: ASYNC110 - the preview has no event for it
            await asyncio.sleep(0.02)
