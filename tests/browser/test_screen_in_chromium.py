"""The kiosk's screen as a person meets it: a real Chromium, touched and typed at."""

from __future__ import annotations

import asyncio
import base64
import re

import pytest
from playwright.async_api import Browser, expect

from edge.adapters.screen.texts import MESSAGES, read_messages
from edge.capture.sample import Obstacle
from edge.decide.verdict import Reason
from edge.enact.display import (
    ClaimEntered,
    Display,
    HelpAsked,
    Notice,
    NotMe,
    PinEntered,
    Prompt,
    Touch,
)
from tests.doubles.browser_kiosk import LANDSCAPE, PORTRAIT, SHOTS, Kiosk
from tests.doubles.screen_states import STATES, always_offered
from tests.doubles.waiting import WAIT_S

pytestmark = pytest.mark.asyncio(loop_scope="session")

PIN = "730194"
TARGET_MIN_PX = 64
"""WCAG 2.2 AA asks for 24 (2.5.8), AAA for 44 (2.5.5); a kiosk for gloved hands gives more."""
ENTRY_IDLE_MS = 30_500
"""Just past the bound in keypad.js."""
SILENCE_MS = 7_000
"""Past the bound in link.js and its next look at the clock."""
CONTRAST_MIN = 4.5
"""WCAG 2.2 AA (1.4.3), the bound for small text held by all of it."""
PICTURE_MAX_BYTES = 300_000
"""What README may weigh."""
EN = read_messages(MESSAGES / "en.json")
DE = read_messages(MESSAGES / "de.json")

NOTICE = Notice(42)
CONTRASTS = """() => {
  const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b]
    .map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (e) => {
    for (; e; e = e.parentElement) {
      const c = channels(getComputedStyle(e).backgroundColor);
      if (c.length === 3 || c[3] === 1) return c;
    }
  };
  const worst = {};
  for (const e of document.querySelectorAll("body *")) {
    const words = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!words || !e.checkVisibility() || e.closest(":disabled")) continue;
    const [a, b] = [light(channels(getComputedStyle(e).color)), light(ground(e))];
    worst[e.tagName + "#" + e.id + " " + e.textContent] = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  }
  return worst;
}"""
SMALL_TARGETS = """(least) => [...document.querySelectorAll("button, input")]
  .filter((e) => e.checkVisibility())
  .map((e) => [e.textContent, e.getBoundingClientRect()])
  .filter(([, box]) => box.width < least || box.height < least)
  .map(([text, box]) => `${text}: ${box.width} x ${box.height}`)"""
OVERFLOW = """() => [document.documentElement.scrollHeight - innerHeight,
  document.documentElement.scrollWidth - innerWidth]"""


async def touched(kiosk: Kiosk) -> Touch:
    return await asyncio.wait_for(kiosk.screen.touch(), WAIT_S)


async def shown(kiosk: Kiosk, display: Display, notice: Notice = NOTICE) -> None:
    kiosk.screen.show(display, notice)
    await expect(kiosk.page.locator("body")).to_have_attribute("data-prompt", display.prompt)


@pytest.mark.parametrize("size", [PORTRAIT, LANDSCAPE], ids=["portrait", "landscape"])
async def test_each_state_is_told_by_words_and_a_sign_of_its_own_and_fits(
    kiosk: Kiosk, size: dict[str, int]
) -> None:
    page = kiosk.page
    await page.set_viewport_size(size)
    signs = set()
    for prompt, display in STATES.items():
        await shown(kiosk, display, Notice(7_400, ("central", "clock"), photo_risk=True))
        await expect(page.get_by_role("heading", level=1)).to_have_text(EN.prompt[prompt].title)
        sign = await page.locator("#glyph").get_attribute("href")
        assert sign is not None
        assert await page.locator(f"symbol{sign} > *").count() > 0
        signs.add(await page.locator(f"symbol{sign}").inner_html())
        for name in always_offered(prompt):
            await expect(page.get_by_role("button", name=name, exact=True)).to_be_enabled()
        await expect(page.locator("[data-settling]")).to_have_count(0)
        contrasts = await page.evaluate(CONTRASTS)
        assert len(contrasts) > 5
        assert {words: ratio for words, ratio in contrasts.items() if ratio < CONTRAST_MIN} == {}
        assert await page.evaluate(SMALL_TARGETS, TARGET_MIN_PX) == []
        down, across = await page.evaluate(OVERFLOW)
        assert (down, across) == (0, 0), prompt
        await kiosk.keep(f"{size['width']}x{size['height']}-{prompt}")
    assert len(signs) == len(Prompt)
    assert kiosk.faults == []
    assert {url for url in kiosk.asked if not url.startswith(kiosk.url)} == set()


async def test_what_belongs_to_a_state_is_shown_with_it_and_gone_after_it(kiosk: Kiosk) -> None:
    page = kiosk.page
    await shown(kiosk, STATES[Prompt.WELCOME])
    await expect(page.locator("#lane")).to_have_text("Priority lane")
    await expect(page.locator("#why")).to_be_hidden()
    await shown(kiosk, STATES[Prompt.DENIED])
    await expect(page.locator("#lane")).to_be_hidden()
    await expect(page.locator("#contest-code")).to_have_text("K7QF-29XM")
    await expect(page.locator("#restriction-reason")).to_contain_text("until 31 December")
    await expect(page.locator("#why")).to_have_text(EN.reason[Reason.RESTRICTION])
    await shown(kiosk, Display(Prompt.ENTER_PIN, enrol_again=True))
    await expect(page.locator("#why")).to_have_text(EN.page.enrol_again)
    await shown(kiosk, STATES[Prompt.SHOW_CLAIM])
    assert "K7QF" not in await page.content()
    await shown(kiosk, STATES[Prompt.LOOK_HERE])
    await expect(page.locator("#detail")).to_have_text(EN.hint[Obstacle.TOO_SMALL])
    await shown(kiosk, Display(Prompt.LOOK_HERE, hint=Obstacle.TURNED))
    await expect(page.locator("#detail")).to_have_text(EN.hint[Obstacle.TURNED])
    await shown(kiosk, STATES[Prompt.ENTER_PIN])
    await expect(page.locator("#tries")).to_have_text("That PIN was not right. 3 tries left.")
    await shown(kiosk, Display(Prompt.ENTER_PIN, tries_left=1))
    await expect(page.locator("#tries")).to_have_text("That PIN was not right. One try left.")


async def test_the_footer_tells_the_age_of_the_records_and_what_is_degraded(kiosk: Kiosk) -> None:
    page = kiosk.page
    await shown(kiosk, STATES[Prompt.SHOW_CLAIM], Notice(None))
    await expect(page.locator("#age")).to_have_text("No records received yet")
    await expect(page.locator("#risk")).to_be_hidden()
    kiosk.screen.show(
        STATES[Prompt.SHOW_CLAIM], Notice(7_400, ("clock", "Door 3 is <b>open</b>"), photo_risk=True)
    )
    await expect(page.locator("#age")).to_have_text("Records updated 2 hours ago")
    await expect(page.locator("#degraded li")).to_have_text([EN.degraded["clock"], "Door 3 is <b>open</b>"])
    await expect(page.locator("#risk")).to_have_text(EN.page.photo_risk)


async def test_a_claim_and_a_pin_are_entered_by_touch(kiosk: Kiosk) -> None:
    page = kiosk.page
    keypad = page.get_by_role("group", name="Keypad")
    await shown(kiosk, STATES[Prompt.ENTER_CLAIM])
    ok = keypad.get_by_role("button", name="OK")
    await expect(ok).to_be_disabled()
    for key in ("4", "9", "2", "8", "Delete", "9", "ABC", "K", "Z", "123", "0"):
        await keypad.get_by_role("button", name=key, exact=True).tap()
    await expect(page.get_by_label("Your code")).to_have_value("4929KZ0")
    await ok.tap()
    assert await touched(kiosk) == ClaimEntered("4929KZ0")

    await shown(kiosk, STATES[Prompt.ENTER_PIN])
    field = page.get_by_label("Your PIN")
    await expect(field).to_have_attribute("type", "password")
    await expect(field).to_have_value("")
    for digit in PIN:
        await keypad.get_by_role("button", name=digit, exact=True).tap()
    await expect(field).to_have_value(PIN)
    await kiosk.keep("pin-typed")
    await keypad.get_by_role("button", name="OK").tap()
    assert await touched(kiosk) == PinEntered(PIN)
    await expect(field).to_have_value("")
    assert PIN not in await page.content()


async def test_a_claim_and_a_pin_are_entered_by_keyboard(kiosk: Kiosk) -> None:
    page = kiosk.page
    await shown(kiosk, STATES[Prompt.ENTER_CLAIM])
    await expect(page.get_by_label("Your code")).to_be_focused()
    await page.keyboard.type("4929-1180")
    await page.keyboard.press("Enter")
    assert await touched(kiosk) == ClaimEntered("4929-1180")
    await shown(kiosk, STATES[Prompt.ENTER_PIN])
    await expect(page.get_by_label("Your PIN")).to_be_focused()
    await page.keyboard.type("7x3 0194")
    await page.keyboard.press("Enter")
    assert await touched(kiosk) == PinEntered(PIN)
    await expect(page.get_by_label("Your PIN")).to_have_value("")


async def test_every_control_is_reached_by_tab_and_its_focus_is_seen(kiosk: Kiosk) -> None:
    page = kiosk.page
    await shown(kiosk, STATES[Prompt.ENTER_CLAIM])
    wanted = await page.evaluate(
        "() => [...document.querySelectorAll('button:enabled, input')]"
        ".filter((e) => e.checkVisibility()).length"
    )
    reached = set()
    for _ in range(wanted + 2):
        await page.keyboard.press("Tab")
        name, outline = await page.evaluate(
            "() => { const e = document.activeElement; const s = getComputedStyle(e);"
            " return [e.id + e.textContent + (e.dataset.touch ?? ''), e === document.body ? 'body' :"
            " s.outlineStyle + parseFloat(s.outlineWidth)]; }"
        )
        if outline != "body":
            assert re.fullmatch(r"solid([4-9]|\d\d)(\.\d+)?", outline), name
            reached.add(name)
    assert len(reached) == wanted


async def test_not_me_help_and_another_way_are_one_touch_away_in_every_state(kiosk: Kiosk) -> None:
    page = kiosk.page
    for prompt in Prompt:
        await shown(kiosk, STATES[prompt])
        for name, touch in always_offered(prompt).items():
            await page.get_by_role("button", name=name, exact=True).tap()
            assert await touched(kiosk) == touch, prompt
    await page.get_by_role("button", name="Help").tap()
    await expect(page.get_by_role("status")).to_have_text(EN.page.help_taken)
    await page.keyboard.press("Escape")
    assert [await touched(kiosk), await touched(kiosk)] == [HelpAsked(), NotMe()]


async def test_a_hand_scanner_that_types_enters_a_claim_without_any_field(kiosk: Kiosk) -> None:
    claim = "STILE:" + "0123456789ABCDEF" * 2
    await shown(kiosk, STATES[Prompt.SHOW_CLAIM])
    await kiosk.page.keyboard.type(claim)
    await kiosk.page.keyboard.press("Enter")
    assert await touched(kiosk) == ClaimEntered(claim)


async def test_half_a_pin_is_wiped_when_the_passage_moves_on(kiosk: Kiosk) -> None:
    await shown(kiosk, STATES[Prompt.ENTER_PIN])
    await kiosk.page.keyboard.type("7301")
    await shown(kiosk, STATES[Prompt.SHOW_CLAIM])
    await shown(kiosk, STATES[Prompt.ENTER_PIN])
    await expect(kiosk.page.get_by_label("Your PIN")).to_have_value("")


async def test_half_a_pin_is_wiped_when_whoever_typed_it_has_left(kiosk: Kiosk) -> None:
    page = kiosk.page
    await page.clock.install()
    await page.reload()
    await shown(kiosk, STATES[Prompt.ENTER_PIN])
    await page.keyboard.type("7301")
    await expect(page.get_by_label("Your PIN")).to_have_value("7301")
    await page.clock.fast_forward(ENTRY_IDLE_MS)
    await expect(page.get_by_label("Your PIN")).to_have_value("")


async def test_a_kiosk_that_hangs_without_hanging_up_is_noticed(kiosk: Kiosk) -> None:
    page = kiosk.page
    await page.clock.install()
    await page.route_web_socket("**/live", lambda _: None)  # connects, and then says nothing
    await page.reload()
    heading = page.get_by_role("heading", level=1)
    await expect(heading).to_have_text(EN.prompt[Prompt.STARTING].title)
    await page.clock.fast_forward(SILENCE_MS)
    await expect(heading).to_have_text(EN.page.lost_title)


async def test_what_the_kiosk_refuses_is_said_in_a_sentence(kiosk: Kiosk) -> None:
    await shown(kiosk, STATES[Prompt.ENTER_CLAIM])
    await kiosk.page.keyboard.type("4929 é")
    await kiosk.page.keyboard.press("Enter")
    await expect(kiosk.page.get_by_role("status")).to_have_text(EN.refusal["invalid"])


async def test_the_page_says_when_the_kiosk_is_gone_and_comes_back_by_itself(kiosk: Kiosk) -> None:
    page = kiosk.page
    await shown(kiosk, STATES[Prompt.ENTER_PIN])
    await page.keyboard.type("7301")
    await kiosk.screen.close()
    await expect(page.get_by_role("heading", level=1)).to_have_text(EN.page.lost_title)
    await expect(page.locator("#detail")).to_have_text(EN.page.lost_detail)
    await expect(page.get_by_role("button", name="Help")).to_be_disabled()
    await expect(page.locator("#pin")).to_have_value("")
    await kiosk.keep("out-of-touch")
    kiosk.screen.show(STATES[Prompt.WELCOME], NOTICE)
    await kiosk.screen.serve(port=kiosk.port)
    await expect(page.get_by_role("heading", level=1)).to_have_text("Welcome", timeout=WAIT_S * 1000)
    await page.get_by_role("button", name="Help").tap()
    assert await touched(kiosk) == HelpAsked()


async def test_a_person_chooses_their_language_and_the_next_one_gets_the_kiosks_own(kiosk: Kiosk) -> None:
    page = kiosk.page
    heading = page.get_by_role("heading", level=1)
    await shown(kiosk, STATES[Prompt.ENTER_PIN])
    await page.get_by_role("button", name="Deutsch").tap()
    await expect(heading).to_have_text(DE.prompt[Prompt.ENTER_PIN].title)
    await expect(page.locator("html")).to_have_attribute("lang", "de")
    await expect(page.get_by_role("button", name=DE.page.help)).to_be_visible()
    await shown(kiosk, STATES[Prompt.SHOW_CLAIM])
    await expect(heading).to_have_text(EN.prompt[Prompt.SHOW_CLAIM].title)


async def test_the_prompt_is_announced_and_nothing_moves_for_those_who_ask(kiosk: Kiosk) -> None:
    page = kiosk.page
    await shown(kiosk, STATES[Prompt.CHECKING])
    await expect(page.locator("#prompt")).to_have_attribute("aria-live", "assertive")
    assert await page.locator("#prompt #title").count() == 1
    assert await page.evaluate("() => document.getAnimations().length") == 0


async def test_a_page_of_another_site_can_neither_frame_nor_listen(kiosk: Kiosk, browser: Browser) -> None:
    stranger = await browser.new_page()
    await stranger.route(
        "http://evil.example/", lambda route: route.fulfill(body="<p>", content_type="text/html")
    )
    await stranger.goto("http://evil.example/")
    outcome = await stranger.evaluate(
        """(url) => new Promise((done) => {
          const socket = new WebSocket(url);
          socket.onopen = () => done("open");
          socket.onerror = () => done("refused");
        })""",
        f"ws://127.0.0.1:{kiosk.port}/live",
    )
    assert outcome == "refused"
    assert kiosk.screen.watching == 1
    await stranger.close()


async def test_the_readmes_picture_is_composed_of_real_screens_and_small(
    kiosk: Kiosk, browser: Browser
) -> None:
    shots = []
    for prompt in (Prompt.SHOW_CLAIM, Prompt.HOLD_STILL, Prompt.WELCOME, Prompt.ENTER_PIN, Prompt.OTHER_WAY):
        await shown(kiosk, STATES[prompt])
        await kiosk.settle()
        shots.append(base64.b64encode(await kiosk.page.screenshot()).decode())
    sheet = await browser.new_page(viewport={"width": 1600, "height": 568})
    images = "".join(f'<img src="data:image/png;base64,{shot}">' for shot in shots)
    await sheet.set_content(
        "<style>body{margin:0;padding:26px;display:flex;align-items:flex-start;gap:24px;background:#fff}"
        f"img{{width:290px;border-radius:16px;box-shadow:0 0 0 1px #0003}}</style>{images}"
    )
    picture = await sheet.screenshot(path=SHOTS / "screen.png")
    assert len(picture) < PICTURE_MAX_BYTES
    await sheet.close()
