"""Members' pages in a real Chromium: what somebody does there, by keyboard and in two languages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from central.adapters.http.member_pages.texts import Messages, read_messages
from central.app import load_config
from central.rules.restriction import Terms
from central.trial import add_reviewer, issue_restriction
from edge.compare.claim import qr_text
from tests.doubles.axe import violations
from tests.doubles.central_rig import RIDE, Clock, Rig, new_config, running
from wire.environment import utc_ms
from wire.ids import ReasonCode, ReviewerId
from wire.signing import DAY_MS

pytestmark = pytest.mark.asyncio(loop_scope="session")
WORDS = read_messages()
PIN = "4711"
PHONE = {"width": 360, "height": 740}
FONT_200 = 2.0  # WCAG 1.4.4
TARGET_MIN_PX = 24  # WCAG 2.5.8


@asynccontextmanager
async def visited(browser: Browser, rig: Rig, language: str) -> AsyncIterator[tuple[Page, list[str]]]:
    """A page of a telephone that speaks a language; what went wrong in it is in the list."""
    context = await browser.new_context(locale=language, viewport=PHONE, java_script_enabled=True)
    page, faults = await context.new_page(), []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda line: faults.append(line.text) if line.type in ("error", "warning") else None)
    page.on(
        "request",
        lambda request: None if request.url.startswith(rig.central.http_url) else faults.append(request.url),
    )
    await page.goto(rig.central.http_url)
    yield page, faults
    await context.close()


@asynccontextmanager
async def central_here(folder: Path) -> AsyncIterator[Rig]:
    clock = Clock(utc_ms() + 60_000)
    async with running(await asyncio.to_thread(new_config, folder, clock), clock) as rig:
        yield rig


async def sound(page: Page, words: Messages) -> None:
    """What holds on each page: language, one heading, labels, targets; nothing past the edge at 200 %."""
    assert await violations(page) == []
    await expect(page.locator("html")).to_have_attribute("lang", words.language)
    await expect(page.locator("html")).to_have_attribute("dir", words.direction)
    await expect(page.locator("h1")).to_have_count(1)
    await expect(page.locator("main")).to_have_count(1)
    assert await page.title()
    for field in await page.locator("input:not([type=hidden]), textarea").all():
        name = await field.get_attribute("id")
        await expect(page.locator(f"label[for={name}]")).to_have_count(1)
        for described in (await field.get_attribute("aria-describedby") or "").split():
            await expect(page.locator(f"#{described}")).to_have_count(1)
    for target in await page.locator("button, nav a, .cards a").all():
        box = await target.bounding_box()
        assert box is not None
        assert min(box["width"], box["height"]) >= TARGET_MIN_PX
    for scale in (1.0, FONT_200):
        await page.evaluate("scale => document.documentElement.style.fontSize = `${scale * 100}%`", scale)
        overflow = await page.evaluate(
            "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert overflow <= 0, (page.url, scale)
    await page.evaluate("() => document.documentElement.style.fontSize = ''")


@pytest.mark.parametrize("language", ["en", "ar"])
async def test_a_member_contests_by_code_and_withdraws(
    browser: Browser, tmp_path: Path, language: str
) -> None:
    words = WORDS[language]
    async with central_here(tmp_path) as rig, visited(browser, rig, language) as (page, faults):
        subject, claim = rig.add_member(PIN)
        reviewers = [
            await asyncio.to_thread(add_reviewer, load_config(rig.config), ReviewerId(name))
            for name in ("ada", "bea")
        ]
        terms = Terms(subject, "metro", RIDE, ReasonCode("assault"), "Incident <12>", rig.clock.ms + DAY_MS)
        code = issue_restriction(rig.central.use_cases, terms, reviewers).contest_code

        await sound(page, words)
        await page.get_by_role("link", name=words.contest.name, exact=True).first.click()
        await sound(page, words)
        await page.get_by_label(words.contest.code_label).fill("nonsense")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert")).to_contain_text(words.problem["malformed_contest"].title)
        await expect(page.get_by_label(words.contest.code_label)).to_have_attribute("aria-invalid", "true")
        await page.get_by_label(words.contest.code_label).fill(code.lower())
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", level=1)).to_have_text(words.contest.heading)
        await expect(page.locator("main")).to_contain_text("Incident <12>")
        await sound(page, words)
        await page.get_by_label(words.contest.note_label).fill("I was elsewhere.")
        await page.get_by_role("button", name=words.contest.send).click()
        await expect(page.get_by_role("heading", level=1)).to_have_text(words.contest.sent)
        assert [case.note for case in rig.central.use_cases.reviews.open_cases()] == ["I was elsewhere."]
        await sound(page, words)

        await page.get_by_role("link", name=words.withdraw.name, exact=True).first.click()
        await page.get_by_label(words.common.code_label).fill(qr_text(claim))
        await page.get_by_label(words.common.pin_label, exact=True).fill(PIN)
        await page.get_by_role("button", name=words.common.next).click()
        await expect(page.get_by_role("heading", level=1)).to_have_text(words.withdraw.heading)
        await sound(page, words)
        assert rig.central.use_cases.members.active(subject)
        await page.get_by_role("button", name=words.withdraw.confirm).click()
        await expect(page.get_by_role("heading", level=1)).to_have_text(words.withdraw.done)
        await sound(page, words)
        assert [fault for fault in faults if "status of 422" not in fault] == []


async def test_the_language_is_the_browsers_until_another_is_chosen(browser: Browser, tmp_path: Path) -> None:
    async with central_here(tmp_path) as rig, visited(browser, rig, "de-DE") as (page, faults):
        await expect(page.locator("h1")).to_have_text(WORDS["de"].home.title.format(operator="metro"))
        await page.get_by_role("link", name="Español", exact=True).click()
        await page.get_by_role("link", name=WORDS["es"].why.name, exact=True).first.click()
        await sound(page, WORDS["es"])
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("link", name=WORDS["es"].common.skip)).to_be_focused()
        assert faults == []
