"""The kiosk's screen for everybody: axe's rules, one key or one switch, large text, sound and light."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Literal

import pytest
from playwright.async_api import Browser, expect

from edge.adapters.screen import WebScreen
from edge.adapters.screen.texts import MESSAGES, read_messages
from edge.enact.display import (
    AgreeByChosen,
    Agreed,
    ClaimEntered,
    Display,
    HelpAsked,
    KioskMode,
    Notice,
    Prompt,
    Touch,
)
from tests.doubles.axe import WCAG_AA, violations
from tests.doubles.browser_kiosk import LANDSCAPE, PORTRAIT, Kiosk
from tests.doubles.screen_states import STATES, step
from tests.doubles.waiting import WAIT_S
from wire.values import AgreeBy

pytestmark = pytest.mark.asyncio(loop_scope="session")

SETTLED_MS = 500
"""Past the time in which what has just appeared cannot be pressed (panel.js)."""
FAR_LANGUAGE = "ar"
"""Right to left."""
REACHED = """() => {
  const e = document.activeElement, style = getComputedStyle(e);
  const seen = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 3;
  return [[...document.querySelectorAll("*")].indexOf(e), seen];
}"""
CONTROLS = """() => [...document.querySelectorAll("button:enabled, input, [tabindex='0']")]
  .filter((e) => e.checkVisibility()).map((e) => [...document.querySelectorAll("*")].indexOf(e))"""
"""Places in the document, and so in reading order: the page sets no order of its own."""
SMALL = """([least, secondary]) => [...document.querySelectorAll("button, input")]
  .filter((e) => e.checkVisibility()).map((e) => [e, e.getBoundingClientRect()])
  .filter(([e, box]) => Math.min(box.width, box.height) < (e.closest(".top") ? secondary : least))
  .map(([e, box]) => `${e.textContent}: ${box.width} x ${box.height}`)"""
CUT_OFF = """() => [...document.querySelectorAll("body *")].filter((e) => e.checkVisibility()
    && [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim())).flatMap((e) => {
  const range = document.createRange();
  range.selectNodeContents(e);
  const box = range.getBoundingClientRect(), room = e.closest("button, body").getBoundingClientRect();
  const faults = [], whole = document.documentElement.scrollHeight;
  if (box.left < room.left - 1 || box.right > room.right + 1) faults.push("across");
  if (e.closest("button") && (box.top < room.top - 1 || box.bottom > room.bottom + 1)) faults.push("down");
  if (box.top + scrollY < 0 || box.bottom + scrollY > whole) faults.push("page");
  for (let up = e; up !== document.body; up = up.parentElement) {
    const clips = getComputedStyle(up).overflowX !== "visible";
    if (clips && up.scrollWidth > up.clientWidth + 1) faults.push("hidden");
  }
  return faults.map((fault) => `${fault}: <${e.tagName} ${e.id}> ${e.textContent}`);
})"""
FONTS = """() => Object.fromEntries([...document.querySelectorAll("body *")].filter((e) => e.checkVisibility()
    && !e.closest("#text-size") && [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim()))
  .map((e) => [`${e.tagName}#${e.id} ${e.textContent}`,
    parseFloat(getComputedStyle(e).fontSize) * (e.currentCSSZoom ?? 1)]))"""
LARGE_ALREADY_PX = 70
"""Headings and the amount: past this it grows as far as the line has room."""
TARGET_MIN_PX = 64
TARGET_SECONDARY_MIN_PX = 44
"""WCAG 2.2, 2.5.5 (AAA); for language, size of text and sound."""
PERIOD_MIN_MS = 1000 / 3
"""WCAG 2.2, 2.3.1: nothing flashes more than three times a second."""
TONES = """() => {
  window.tones = [];
  const start = OscillatorNode.prototype.start;
  OscillatorNode.prototype.start = function (at) {
    window.tones.push(this.frequency.value);
    return start.call(this, at);
  };
}"""
CUED: dict[str, tuple[Prompt, str]] = {
    "success": (Prompt.WELCOME, "solid"),
    "attention": (Prompt.STAFF, "dashed"),
    "refusal": (Prompt.DENIED, "double"),
}
WAITING = {Prompt.SHOW_CLAIM, Prompt.LOOK_OR_CLAIM, Prompt.NO_CHECKOUT, Prompt.ENROL_WELCOME}
EN = read_messages(MESSAGES / "en.json")
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
    try:
        kiosk = Kiosk(screen, port, await context.new_page())
        await kiosk.page.clock.install()
        await kiosk.page.goto(kiosk.url)
        yield kiosk
    finally:
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


async def touched(kiosk: Kiosk) -> Touch:
    async with asyncio.timeout(WAIT_S):
        return await kiosk.screen.touch()


async def test_tab_alone_reaches_every_control_of_every_prompt_in_reading_order(browser: Browser) -> None:
    async with shown_in(browser, FAR_LANGUAGE, viewport=PORTRAIT) as kiosk:
        page = kiosk.page
        note = f"() => window.reached.push(({REACHED})())"
        await page.evaluate(f"() => {{ window.reached = []; document.addEventListener('focusin', {note}); }}")
        for prompt, display in STATES.items():
            await show(kiosk, display)
            controls = await page.evaluate(CONTROLS)
            assert len(controls) >= 5, prompt
            await page.locator("#languages button").first.focus()
            await page.evaluate("() => { window.reached = []; }")
            for _ in controls[1:]:
                await page.keyboard.press("Tab")
            assert await page.evaluate("() => window.reached") == [[at, True] for at in controls[1:]], prompt
            assert await page.evaluate(SMALL, [TARGET_MIN_PX, TARGET_SECONDARY_MIN_PX]) == []


@pytest.mark.parametrize("key", ["Enter", "Space"])
async def test_one_key_presses_what_has_the_focus_in_each_mode(browser: Browser, key: str) -> None:
    async with shown_in(browser, "en", viewport=LANDSCAPE) as kiosk:
        page = kiosk.page

        async def tab_to(name: str) -> None:
            button = page.get_by_role("button", name=name, exact=True)
            await page.locator("#sound").focus()
            for _ in range(50):
                await page.keyboard.press("Tab")
                if await button.evaluate("(e) => e === document.activeElement"):
                    return await page.keyboard.press(key)
            pytest.fail(f"{name} was not reached")

        await show(kiosk, STATES[Prompt.SHOW_CLAIM])
        await tab_to(EN.page.help)
        assert await touched(kiosk) == HelpAsked()
        await show(kiosk, STATES[Prompt.AGREE])
        await tab_to(EN.page.by_button)
        assert await touched(kiosk) == Agreed()
        await show(kiosk, STATES[Prompt.ENROL_AGREE_BY])
        await tab_to(EN.page.by_nod)
        assert await touched(kiosk) == AgreeByChosen(AgreeBy.NOD)
        await show(kiosk, STATES[Prompt.ENTER_CLAIM])
        for name in ("4", "9", "2", EN.page.letters):
            await tab_to(name)
        await expect(page.get_by_role("button", name=EN.page.digits, exact=True)).to_be_focused()
        await tab_to("K")
        await tab_to(EN.page.enter)
        assert await touched(kiosk) == ClaimEntered("492K")


@pytest.mark.parametrize(("language", "size"), [("de", "landscape"), (FAR_LANGUAGE, "portrait")])
async def test_at_200_percent_all_text_is_twice_as_large_and_none_is_cut_off(
    browser: Browser, language: str, size: str
) -> None:
    async with shown_in(browser, language, viewport=SIZES[size]) as kiosk:
        page, small = kiosk.page, {}
        for prompt, display in STATES.items():
            await show(kiosk, display)
            small[prompt] = await page.evaluate(FONTS)
        await show(kiosk, STATES[Prompt.CHECKING])
        for _ in range(2):
            await page.locator("#text-size").click()
        await expect(page.locator("html")).to_have_attribute("data-size", "200")
        for prompt, display in STATES.items():
            if prompt in WAITING:  # there, the next person finds the usual size
                continue
            await show(kiosk, display)
            large = await page.evaluate(FONTS)
            assert len(large) > 5
            for place, px in large.items():
                if small[prompt].get(place, LARGE_ALREADY_PX) < LARGE_ALREADY_PX:
                    assert px >= 1.99 * small[prompt][place], (prompt, place)
            assert await page.evaluate(CUT_OFF) == [], prompt
            assert await page.evaluate("() => document.documentElement.scrollWidth <= innerWidth"), prompt


async def test_size_of_text_and_sound_are_kept_for_one_person_and_said(browser: Browser) -> None:
    async with shown_in(browser, "en", viewport=PORTRAIT) as kiosk:
        page = kiosk.page
        await show(kiosk, STATES[Prompt.SHOW_CLAIM])
        size, sound = page.locator("#text-size"), page.locator("#sound")
        for percent in (100, 150, 200, 100, 150):
            await expect(size).to_have_accessible_name(f"Text size: {percent}%")
            await size.click()
        await sound.click()
        await expect(sound).to_have_accessible_name(EN.page.sound_off)
        await show(kiosk, STATES[Prompt.LOOK_HERE])
        await expect(size).to_have_accessible_name("Text size: 200%")
        await expect(sound).to_have_accessible_name(EN.page.sound_off)
        await show(kiosk, STATES[Prompt.SHOW_CLAIM])
        await expect(size).to_have_accessible_name("Text size: 100%")
        await expect(sound).to_have_accessible_name(EN.page.sound_on)


async def test_success_attention_and_refusal_are_a_border_a_sign_a_word_and_a_tone(browser: Browser) -> None:
    async with shown_in(browser, "en", viewport=PORTRAIT) as kiosk:
        page = kiosk.page
        await page.add_init_script(f"({TONES})()")
        await page.reload()
        heard = {}
        for cue, (prompt, line) in CUED.items():
            await show(kiosk, STATES[Prompt.CHECKING])
            await page.locator("main").click()  # a page may sound once somebody has touched it
            await page.evaluate("() => { window.tones.length = 0; }")
            await show(kiosk, STATES[prompt])
            await page.wait_for_function("() => window.tones.length === 2")
            heard[cue] = tuple(await page.evaluate("() => window.tones"))
            await expect(page.locator("#prompt #cue")).to_have_text(getattr(EN.page, f"cue_{cue}"))
            await expect(page.locator("#cue use")).to_have_attribute("href", f"#cue-{cue}")
            border = await page.evaluate("() => getComputedStyle(document.body, '::before').borderTopStyle")
            assert border == line
        assert len(set(heard.values())) == len(CUED)

        await show(kiosk, STATES[Prompt.ENROL_SAMPLES])
        await page.evaluate("() => { window.tones.length = 0; }")
        await show(kiosk, Display(Prompt.ENROL_SAMPLES, enrolment=replace(step(3), samples=3)))
        await page.wait_for_function("() => window.tones.length === 1")
        await expect(page.locator("#samples-text")).to_have_text("3 of 5 pictures")

        await page.locator("#sound").click()
        await show(kiosk, STATES[Prompt.DENIED])
        await expect(page.locator("#cue")).to_have_text(EN.page.cue_refusal)
        await kiosk.settle()
        assert len(await page.evaluate("() => window.tones")) == 1
        assert kiosk.faults == []


async def test_a_page_that_nobody_touched_stays_silent_and_complains_of_nothing(browser: Browser) -> None:
    async with shown_in(browser, "en", viewport=PORTRAIT) as kiosk:
        for prompt in (Prompt.WELCOME, Prompt.DENIED, Prompt.AGREE):
            await show(kiosk, STATES[prompt])
            await kiosk.settle()
        assert kiosk.faults == []


@pytest.mark.parametrize("wish", ["reduce", "no-preference"])
async def test_nothing_moves_for_those_who_ask_and_nothing_flashes_for_anybody(
    browser: Browser, wish: Literal["reduce", "no-preference"]
) -> None:
    async with shown_in(browser, "en", viewport=PORTRAIT) as kiosk:
        await kiosk.page.emulate_media(reduced_motion=wish)
        moving = 0
        for prompt in Prompt:
            await show(kiosk, STATES[prompt])
            periods = await kiosk.page.evaluate(
                "() => document.getAnimations().filter((a) => a instanceof CSSAnimation)"
                ".map((a) => a.effect.getTiming().duration)"
            )
            assert all(period > PERIOD_MIN_MS for period in periods)
            moving += len(periods)
        assert (moving > 0) == (wish == "no-preference")


async def test_with_forced_colours_controls_keep_borders_and_the_focus_is_seen(browser: Browser) -> None:
    async with shown_in(browser, "en", viewport=PORTRAIT, forced_colors="active") as kiosk:
        for prompt in (Prompt.AGREE, Prompt.ENTER_CLAIM, Prompt.ENROL_CONSENT, Prompt.DENIED):
            await show(kiosk, STATES[prompt])
            bare = await kiosk.page.evaluate(
                "() => [...document.querySelectorAll('button, input, .consent')].filter((e) =>"
                " e.checkVisibility()).filter((e) => { const s = getComputedStyle(e), p = "
                "getComputedStyle(document.body).backgroundColor; return s.borderTopStyle === 'none' ||"
                " parseFloat(s.borderTopWidth) < 2 || s.borderTopColor === p; }).map((e) => e.textContent)"
            )
            assert bare == []
            await kiosk.page.locator("#text-size").focus()
            await kiosk.page.keyboard.press("Tab")
            assert (await kiosk.page.evaluate(REACHED))[1]
            assert await violations(kiosk.page, WCAG_AA) == []
