"""A real Chromium, started once for all browser tests; they share its event loop (`loop_scope="session"`)."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from edge.adapters.screen import WebScreen
from tests.doubles.browser_kiosk import PORTRAIT, Kiosk

NAMES = ("chromium", "chromium-browser", "google-chrome")
QUIET = (
    "--no-sandbox",  # the sandbox refuses to run as root, as in CI
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--no-first-run",
    "--force-prefers-reduced-motion",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of the browser; no browser skips the test, or fails it where CI=true."""
    for name in NAMES:
        if path := shutil.which(name):
            return path
    missing = "no Chromium found: install Debian's package `chromium`"
    if os.environ.get("CI") == "true":
        pytest.fail(missing)
    pytest.skip(missing)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(chromium: str) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=list(QUIET))
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def kiosk(browser: Browser) -> AsyncIterator[Kiosk]:
    screen = WebScreen()
    port = await screen.serve()
    context = await browser.new_context(viewport=PORTRAIT, has_touch=True, reduced_motion="reduce")
    kiosk = Kiosk(screen, port, await context.new_page())
    await kiosk.page.goto(kiosk.url)
    await kiosk.page.evaluate("() => Promise.all([...document.fonts].map((font) => font.load()))")
    yield kiosk
    await context.close()
    await screen.close()
