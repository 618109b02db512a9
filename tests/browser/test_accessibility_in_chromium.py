"""The kiosk's screen for everybody: axe's rules, one key or one switch, large text, sound and light."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from playwright.async_api import Browser, expect

from edge.adapters.screen import WebScreen
from edge.adapters.screen.texts import MESSAGES
from edge.enact.display import Display, KioskMode, Notice, Prompt
from tests.browser.axe import WCAG_AA, violations
from tests.browser.kiosk import LANDSCAPE, PORTRAIT, Kiosk
from tests.browser.states import STATES

pytestmark = pytest.mark.asyncio(loop_scope="session")

SETTLED_MS = 500
"""Past the time in which what has just appeared cannot be pressed (panel.js)."""
FAR_LANGUAGE = "ar" if (MESSAGES / "ar.json").exists() else "de"
"""Right to left where there is such a language."""
SIZES = {"portrait": PORTRAIT, "landscape": LANDSCAPE}


def mode_of(prompt: Prompt) -> KioskMode:
    """What the kiosk that shows a prompt is for."""
    if prompt.startswith(("enrol_", "withdraw")):
        return "enrol"
    paying = {Prompt.NO_CHECKOUT, Prompt.AGREE, Prompt.PAYING, Prompt.PAID, Prompt.NOT_CHARGED}
    return "pay" if prompt in paying else "turnstile"


@asynccontextmanager
async def shown_in(browser: Browser, language: str, **context_options: Any) -> AsyncIterator[Kiosk]:
    """A kiosk in a language; time in its page is moved on by hand where a test wants to."""
    screen = WebScreen(language=language)
    port = await screen.serve()
    context = await browser.new_context(bypass_csp=True, reduced_motion="reduce", **context_options)
    kiosk = Kiosk(screen, port, await context.new_page())
    await kiosk.page.clock.install()
    await kiosk.page.goto(kiosk.url)
    yield kiosk
    await context.close()
    await screen.close()


async def show(kiosk: Kiosk, display: Display) -> None:
    """Show a display and wait until everything in it can be pressed."""
    kiosk.screen.show(
        display, Notice(7_400, ("central", "clock"), photo_risk=True, mode=mode_of(display.prompt))
    )
    await expect(kiosk.page.locator("body")).to_have_attribute("data-prompt", display.prompt)
    await kiosk.page.clock.fast_forward(SETTLED_MS)
    await expect(kiosk.page.locator("[data-settling]")).to_have_count(0)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("language", ["en", FAR_LANGUAGE])
async def test_axe_finds_nothing_against_wcag_2_2_aa_in_any_prompt(
    browser: Browser, language: str, size: str
) -> None:
    found = {}
    async with shown_in(browser, language, viewport=SIZES[size]) as kiosk:
        for prompt, display in STATES.items():
            await show(kiosk, display)
            found[prompt] = await violations(kiosk.page, WCAG_AA)
    assert {prompt: sins for prompt, sins in found.items() if sins} == {}
