"""A served screen and the page that shows it, as the browser tests drive them."""

from __future__ import annotations

from pathlib import Path

from playwright.async_api import ConsoleMessage, Page

from edge.adapters.screen import WebScreen

SHOTS = Path(__file__).parents[2] / "build" / "screenshots"
PORTRAIT = {"width": 1080, "height": 1920}
LANDSCAPE = {"width": 1280, "height": 800}


class Kiosk:
    """A served screen and the page that shows it; what went wrong in the page is kept in `faults`."""

    def __init__(self, screen: WebScreen, port: int, page: Page) -> None:
        self.screen, self.port, self.page = screen, port, page
        self.url = f"http://127.0.0.1:{port}/"
        self.faults: list[str] = []
        self.asked: list[str] = []
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("console", self._note)
        page.on("request", lambda request: self.asked.append(request.url))

    def _note(self, line: ConsoleMessage) -> None:
        if line.type in {"error", "warning"}:
            self.faults.append(line.text)

    async def settle(self) -> None:
        """Wait until the page has painted what it was told."""
        await self.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")

    async def keep(self, name: str) -> None:
        """Write a screenshot under build/."""
        SHOTS.mkdir(parents=True, exist_ok=True)
        await self.page.screenshot(path=SHOTS / f"{name}.png")
