"""`stile bench --screen`: how soon a kiosk's page is painted, and how old the live picture on it is.

A real Chromium without a window looks at the screen of this very process, while a person of the clip stands
before a camera of 30 frames a second and every frame goes through the pipeline first, as within a passage.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.table import Table

from edge.adapters.camera.clip import ClipDevice, clip_camera
from edge.adapters.screen.web import WebScreen
from edge.capture.pipeline import Pipeline
from edge.capture.sample import Image
from edge.enact.display import Display, Notice, Prompt
from edge.errors import ConfigError, FixtureError, StileError
from edge.modes.common import open_pipeline
from edge.ports import Camera, Preview
from models.errors import ModelsError
from models.registry import open_pack
from scripts.output import EXIT_UNUSABLE, fail, tell_json
from scripts.people.cast import Cast
from scripts.people.clip import STEP_UP_S, Studio

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--no-first-run",
)
VIEWPORT = {"width": 1080, "height": 1920}
"""A kiosk's upright screen: more to paint than a laptop's."""
STANDS_S = 2.0
"""How much of the person standing there is painted beforehand; it is shown again and again."""
LOADS = 5
OPENING_S = 1.0
"""The page is just there, and its programs are still being compiled: told by itself."""
LOOKED_S = 10.0
SOON_S = 20.0
THREADS = 2
SEED = 20
WANTED_FIRST_PAINT_MS, WANTED_PICTURES_PER_S, WANTED_LAG_MS = 1000, 15, 150
FIRST_PAINT = """() => new Promise((done) => new PerformanceObserver((list, observer) => {
  for (const entry of list.getEntriesByName("first-contentful-paint")) {
    observer.disconnect();
    done(entry.startTime);
  }
}).observe({ type: "paint", buffered: true }))"""
"""Milliseconds from the start of the navigation, by the browser's own clock."""


def spread(laps_ms: Sequence[float]) -> dict[str, float]:
    """Median, 95th percentile and maximum of at least one measurement."""
    p50_ms, p95_ms = np.percentile(laps_ms, (50, 95))
    return {
        "p50_ms": round(float(p50_ms), 1),
        "p95_ms": round(float(p95_ms), 1),
        "max_ms": round(max(laps_ms), 1),
        "repeats": len(laps_ms),
    }


@dataclass(slots=True)
class Showing:
    """What became of the frames that were offered to the live picture."""

    offered_ms: dict[int, float] = field(default_factory=dict)
    """By the frame's `captured_at_ms`; both of one clock."""
    lags_ms: list[float] = field(default_factory=list)
    ages_ms: list[float] = field(default_factory=list)

    def offered(self, captured_at_ms: int) -> None:
        """A frame goes to the preview now."""
        self.offered_ms[captured_at_ms] = time.monotonic() * 1000

    def painted(self, captured_at_ms: int) -> None:
        """The page's word arrives that it has painted a picture of that frame: a little later than it did."""
        now_ms = time.monotonic() * 1000
        self.lags_ms.append(now_ms - self.offered_ms[captured_at_ms])
        self.ages_ms.append(now_ms - captured_at_ms)

    def forget(self) -> list[float]:
        """Begin to measure; the lags of what was painted before are given away and do not count."""
        before_ms, self.lags_ms, self.ages_ms = self.lags_ms, [], []
        return before_ms


def person_standing() -> tuple[Image, ...]:
    """The clip's person before the kiosk, painted: the picture there and back, so that nothing leaps."""
    studio = Studio(SEED)
    scene = studio.step_up(Cast().portrait("astronaut.png"), None, STANDS_S)
    first = studio.format.frames(STEP_UP_S)
    there = [scene[index] for index in range(first, len(scene))]
    return (*there, *reversed(there))


def find_chromium() -> str:
    """The path of the browser; raises `ConfigError` where there is none."""
    for name in BROWSERS:
        if path := shutil.which(name):
            return path
    raise ConfigError("--screen", BROWSERS[0], "no Chromium is here: install Debian's package `chromium`")


@asynccontextmanager
async def open_browser(path: str) -> AsyncIterator[Browser]:
    """A browser without a window; raises `ConfigError` without Playwright, which is for development only.

    What goes wrong with the browser while the context lasts comes out of it as `FixtureError`.
    """
    try:
        from playwright.async_api import Error, async_playwright
    except ImportError as error:
        wanted = "is not here to drive the browser: install Stile's dependency group `dev`"
        raise ConfigError("--screen", "playwright", wanted) from error
    # Chromium's sandbox refuses to run as root.
    arguments = [*ARGUMENTS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    try:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=path, args=arguments)
            try:
                yield browser
            finally:
                await browser.close()
    except (Error, TimeoutError) as error:
        said = (
            str(error).strip().partition("\n")[0] or "it painted nothing in time; is the machine overloaded?"
        )
        raise FixtureError(f"{path}: {said}") from error


async def measure_screen(pipeline: Pipeline) -> dict[str, Any]:
    """The report. Raises `ConfigError` without a browser, `FixtureError` when it shows nothing in time."""
    chromium, load_before = find_chromium(), os.getloadavg()[0]
    figures, showing = await asyncio.to_thread(person_standing), Showing()
    screen = WebScreen()
    screen.preview.on_painted = showing.painted
    screen.show(Display(Prompt.LOOK_HERE), Notice(0))
    url = f"http://127.0.0.1:{await screen.serve()}/"
    device = ClipDevice(figures, 30, _clock_ms)
    camera = clip_camera(device, _clock_ms)
    with ThreadPoolExecutor(1, "pipeline") as pool:
        looking = asyncio.create_task(_look(camera, pipeline, screen.preview, showing, pool))
        try:
            async with open_browser(chromium) as browser:
                paints_ms = [await _first_paint_ms(browser, url) for _ in range(LOADS)]
                page = await _page(browser)
                await page.goto(url)
                await _live(page, looking)
                await _pass(OPENING_S, looking, showing)
                opening_ms = showing.forget()
                frames, made = len(showing.offered_ms), screen.preview.made
                began_s = time.perf_counter()
                await _pass(LOOKED_S, looking, showing)
                took_s = time.perf_counter() - began_s
                painted, lags_ms, ages_ms = len(showing.lags_ms), [*showing.lags_ms], [*showing.ages_ms]
                frames, made = len(showing.offered_ms) - frames, screen.preview.made - made
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)
            await camera.close()
            await screen.close()
    return {
        "first_paint": spread(paints_ms),
        "pictures_per_s": round(painted / took_s, 1),
        "pictures_made_per_s": round(made / took_s, 1),
        "frames_per_s": round(frames / took_s, 1),
        "lag": spread(lags_ms),
        "lag_opening": spread(opening_ms),
        "camera_to_painted": spread(ages_ms),
        "wanted": {
            "first_paint_ms": WANTED_FIRST_PAINT_MS,
            "pictures_per_s": WANTED_PICTURES_PER_S,
            "lag_ms": WANTED_LAG_MS,
        },
        "viewport_px": [VIEWPORT["width"], VIEWPORT["height"]],
        "load": [round(load_before, 2), round(os.getloadavg()[0], 2)],
    }


def _clock_ms() -> int:
    return time.monotonic_ns() // 1_000_000


async def _look(
    camera: Camera, pipeline: Pipeline, preview: Preview, showing: Showing, pool: ThreadPoolExecutor
) -> None:
    """What a kiosk does with each frame of a passage, until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        frame = await camera.read()
        if frame is not None:
            acquired = await loop.run_in_executor(pool, pipeline.acquire, frame)
            showing.offered(frame.captured_at_ms)
            preview.offer(frame, None if acquired.face is None else acquired.face.box)


async def _page(browser: Browser) -> Page:
    """A page of somebody who was never there: nothing of the screen is in its cache."""
    context = await browser.new_context(viewport={"width": VIEWPORT["width"], "height": VIEWPORT["height"]})
    page = await context.new_page()
    page.set_default_timeout(SOON_S * 1000)
    return page


async def _first_paint_ms(browser: Browser, url: str) -> float:
    page = await _page(browser)
    try:
        await page.goto(url)
        async with asyncio.timeout(SOON_S):
            return float(await page.evaluate(FIRST_PAINT))
    finally:
        await page.context.close()


async def _live(page: Page, looking: asyncio.Task[None]) -> None:
    """Wait until the picture moves; raises what ended the looking, if anything did."""
    waiting = asyncio.ensure_future(page.wait_for_selector("body[data-live]"))
    await asyncio.wait({waiting, looking}, return_when=asyncio.FIRST_COMPLETED)
    if looking.done():
        waiting.cancel()
        looking.result()
    await waiting


async def _pass(time_s: float, looking: asyncio.Task[None], showing: Showing) -> None:
    """Let time go by until something was painted in it; raises what ended the looking, if anything did."""
    async with asyncio.timeout(SOON_S + time_s):
        await asyncio.wait({looking}, timeout=time_s)
        while not (looking.done() or showing.lags_ms):
            await asyncio.wait({looking}, timeout=time_s)
    if looking.done():
        looking.result()


def tell_screen(*, as_json: bool) -> None:
    """Measure and say what was found."""
    try:
        with Console(stderr=True).status(f"a browser looks, some {LOOKED_S + 10:.0f} s"):
            report = asyncio.run(measure_screen(open_pipeline(open_pack(), THREADS)))
    except (StileError, ModelsError) as error:
        fail(error, EXIT_UNUSABLE)
    if as_json:
        tell_json({"screen": report})
        return
    wanted = report["wanted"]
    table = Table(
        "", "p50 ms", "p95 ms", "max ms", "wanted ms",
        title=f"{report['pictures_per_s']} live pictures a second painted, of {report['frames_per_s']} "
        f"frames (wanted: {wanted['pictures_per_s']}); load {report['load'][0]} to {report['load'][1]}",
    )  # fmt: skip
    for name, title, most in (
        ("first_paint", "first contentful paint", str(wanted["first_paint_ms"])),
        ("lag", "frame offered to painted", str(wanted["lag_ms"])),
        ("lag_opening", "in the page's first second", ""),
        ("camera_to_painted", "frame captured to painted", ""),
    ):
        found = report[name]
        table.add_row(title, *(f"{found[each]:.0f}" for each in ("p50_ms", "p95_ms", "max_ms")), most)
    Console().print(table)
