"""The shipped fonts have every glyph of the shipped texts."""

from __future__ import annotations

from pathlib import Path

import pytest
from fontTools.ttLib import TTFont

ROOT = Path(__file__).parents[2]
PAGES = ("edge/adapters/screen", "central/adapters/http/member_pages")
CHINESE = "zh"


def glyphs_of(folder: Path, weight: int, family: str = "*") -> set[int]:
    found: set[int] = set()
    for path in folder.glob(f"static/fonts/{family}-{weight}.woff2"):
        found |= TTFont(path).getBestCmap().keys()
    return found


@pytest.mark.parametrize("weight", [400, 700])
@pytest.mark.parametrize("pages", PAGES)
def test_every_glyph_of_every_message_is_in_a_shipped_font(pages: str, weight: int) -> None:
    folder = ROOT / pages
    shipped = glyphs_of(folder, weight)
    texts = {path: path.read_text() for path in folder.glob("messages/*.json")}
    assert texts
    lacking = {
        path.name: missing
        for path, text in texts.items()
        if (missing := {glyph for glyph in text if glyph.isprintable() and ord(glyph) not in shipped})
    }
    assert lacking == {}, "run scripts/fonts"


@pytest.mark.parametrize("weight", [400, 700])
@pytest.mark.parametrize("pages", PAGES)
def test_every_glyph_of_the_chinese_messages_is_in_the_chinese_font(pages: str, weight: int) -> None:
    folder = ROOT / pages
    shipped = glyphs_of(folder, weight, "noto-sans-sc")
    text = (folder / "messages" / f"{CHINESE}.json").read_text()
    assert {glyph for glyph in text if glyph.isprintable() and ord(glyph) not in shipped} == set()


def test_both_houses_name_the_same_fonts() -> None:
    assert len({(ROOT / pages / "static" / "fonts.css").read_text() for pages in PAGES}) == 1
