"""The screen in each of its languages: a real Chromium, measured."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from playwright.async_api import expect

from edge.adapters.screen.texts import MESSAGES, read_texts
from edge.enact.display import Notice, Prompt
from tests.doubles.browser_kiosk import LANDSCAPE, PORTRAIT, Kiosk
from tests.doubles.screen_states import LANGUAGES, STATES

pytestmark = pytest.mark.asyncio(loop_scope="session")

TEXTS = read_texts("en").languages
NOTICE = Notice(14_600, ("central", "clock"), photo_risk=True)
SPEAK = """(language) => document.querySelector(`#languages [lang="${language}"]`).click()"""
OVERFLOWING = """() => {
  const found = [];
  const named = (e) => `${e.tagName}#${e.id}.${e.className}`;
  const page = document.documentElement;
  if (page.scrollWidth > innerWidth || page.scrollHeight > innerHeight)
    found.push(`page ${page.scrollWidth} x ${page.scrollHeight}`);
  for (const e of document.querySelectorAll("button, header, footer, main, .words")) {
    if (!e.checkVisibility()) continue;
    if (e.scrollWidth > e.clientWidth + 1 || e.scrollHeight > e.clientHeight + 1)
      found.push(`${named(e)} ${e.textContent.trim().slice(0, 30)}`);
  }
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const text = walk.currentNode;
    const parent = text.parentElement;
    if (!text.data.trim() || !parent.checkVisibility()) continue;
    const box = parent.closest("button, .words, .panel, header, footer, main, body").getBoundingClientRect();
    const range = document.createRange();
    range.selectNodeContents(text);
    for (const line of range.getClientRects()) {
      if (line.left < box.left - 1 || line.right > box.right + 1) found.push(`${named(parent)} ${text.data}`);
    }
  }
  return found;
}"""
LEFTS = """(ids) => ids.map((id) => document.querySelector(id).getBoundingClientRect().left)"""


async def told(kiosk: Kiosk, prompt: Prompt, language: str) -> None:
    kiosk.screen.show(STATES[prompt], NOTICE)
    await expect(kiosk.page.locator("body")).to_have_attribute("data-prompt", prompt)
    await kiosk.page.evaluate(SPEAK, language)


@pytest.mark.parametrize("size", [PORTRAIT, LANDSCAPE], ids=["portrait", "landscape"])
async def test_nothing_overflows_its_box_in_any_language(kiosk: Kiosk, size: dict[str, int]) -> None:
    page = kiosk.page
    await page.set_viewport_size(size)
    assert set(LANGUAGES) == {path.stem for path in MESSAGES.glob("*.json")}
    overflowing = {}
    for prompt in Prompt:
        await told(kiosk, prompt, "en")
        for language in LANGUAGES:
            await page.evaluate(SPEAK, language)
            assert await page.locator("#title").text_content() == TEXTS[language].prompt[prompt].title
            if found := await page.evaluate(OVERFLOWING):
                overflowing[language, prompt] = found
                await kiosk.keep(f"overflow-{size['width']}-{language}-{prompt}")
    assert overflowing == {}
    assert kiosk.faults == []


@pytest.mark.parametrize("language", LANGUAGES)
async def test_every_word_is_set_in_a_shipped_font(kiosk: Kiosk, language: str) -> None:
    devtools = await kiosk.page.context.new_cdp_session(kiosk.page)
    await devtools.send("DOM.enable")
    await devtools.send("CSS.enable")
    of_the_machine = {}
    for prompt in Prompt:
        await told(kiosk, prompt, language)
        root = (await devtools.send("DOM.getDocument"))["root"]["nodeId"]
        texts = {"nodeId": root, "selector": "body :is(h1, p, button, dd, dt, span, strong, small, label)"}
        seen = 0
        for node in (await devtools.send("DOM.querySelectorAll", texts))["nodeIds"]:
            fonts = (await devtools.send("CSS.getPlatformFontsForNode", {"nodeId": node}))["fonts"]
            seen += len(fonts)
            if foreign := [font["familyName"] for font in fonts if not font["isCustomFont"]]:
                of_the_machine[prompt, node] = foreign
        assert seen > 0
    assert of_the_machine == {}


async def test_arabic_is_right_to_left_and_what_is_not_words_is_as_in_english(kiosk: Kiosk) -> None:
    page = kiosk.page
    await told(kiosk, Prompt.ENTER_PIN, "ar")
    await expect(page.locator("html")).to_have_attribute("dir", "rtl")
    not_me, help_, other_way = await page.evaluate(
        LEFTS, [f'[data-touch="{touch}"]' for touch in ("not_me", "help", "other_way")]
    )
    assert not_me > help_ > other_way
    brand, languages = await page.evaluate(LEFTS, [".brand", "#languages"])
    assert brand > languages
    one, two, three = await page.evaluate(LEFTS, [f"#keypad :nth-child({n})" for n in (1, 2, 3)])
    assert one < two < three
    await expect(page.locator("#pin")).to_have_css("direction", "ltr")
    await expect(page.locator("#tries")).to_contain_text("بقيت 3 محاولات")
    await expect(page.locator("#age")).to_contain_text("قبل 4 ساعات")
    await kiosk.keep("ar-enter_pin")
    await told(kiosk, Prompt.DENIED, "ar")
    await expect(page.locator("#contest-code")).to_have_css("direction", "ltr")
    reason = page.locator("#restriction-reason")
    await expect(reason).to_have_css("direction", "ltr")
    await expect(reason).to_have_css("text-align", "right")
    await kiosk.keep("ar-denied")
    await told(kiosk, Prompt.AGREE, "ar")
    await expect(page.locator("#amount")).to_contain_text("1,234.50")
    await kiosk.keep("ar-agree")


@pytest.mark.parametrize("prompt", [Prompt.TURN_LEFT, Prompt.TURN_RIGHT])
async def test_an_arrow_points_the_same_way_in_arabic_as_in_english(kiosk: Kiosk, prompt: Prompt) -> None:
    drawn = {}
    for language in ("en", "ar"):
        await told(kiosk, prompt, language)
        await kiosk.settle()
        shot = await kiosk.page.locator(".glyph").screenshot()
        grey = cv2.imdecode(np.frombuffer(shot, np.uint8), cv2.IMREAD_GRAYSCALE)
        assert grey is not None
        # To one size: the sign may begin at a part of a pixel.
        drawn[language] = cv2.resize(grey, (100, 100), interpolation=cv2.INTER_AREA).astype(float)
    same = np.abs(drawn["ar"] - drawn["en"]).mean()
    mirrored = np.abs(drawn["ar"][:, ::-1] - drawn["en"]).mean()
    assert same * 4 < mirrored


@pytest.mark.parametrize("language", LANGUAGES)
async def test_the_browser_counts_in_the_plural_forms_that_each_language_has(
    kiosk: Kiosk, language: str
) -> None:
    categories = await kiosk.page.evaluate(
        "(language) => new Intl.PluralRules(language).resolvedOptions().pluralCategories", language
    )
    assert set(TEXTS[language].tries_left) == set(categories)
