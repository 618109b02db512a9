"""What people read holds nothing that they cannot see."""

from __future__ import annotations

import re
import sys
import unicodedata

import pytest

from wire.readable import LINE_PATTERN, NAME_PATTERN, unreadable

VISIBLE_FORMATS = "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"
"""Unicode calls them formats; they are signs before numbers, and are seen."""


def unseen() -> list[str]:
    every = map(chr, range(sys.maxunicode + 1))
    kinds = {"Cc", "Cf", "Co", "Cs", "Zl", "Zp", "Zs"}
    shown = {" ", *VISIBLE_FORMATS, *map(chr, range(0x13430, 0x13460))}
    return [each for each in every if unicodedata.category(each) in kinds and each not in shown]


@pytest.mark.parametrize("pattern", [LINE_PATTERN, NAME_PATTERN])
def test_no_text_has_a_character_that_is_a_control_a_format_or_a_blank(pattern: str) -> None:
    assert [hex(ord(each)) for each in unseen() if re.match(pattern, f"a{each}b")] == []
    assert [hex(ord(each)) for each in unseen() if each != "\n" and unreadable(f"a{each}b") is None] == []


@pytest.mark.parametrize(
    "blank", ["\u3164", "\u2800", "\uffa0", "\u115f", "\ufe0f", "\u034f", "\u180e", "\u17b4"]
)
def test_no_text_has_a_letter_without_a_shape(blank: str) -> None:
    assert re.match(LINE_PATTERN, blank) is None
    assert unreadable(f"a{blank}") == f"has U+{ord(blank):04X} at place 2, which nobody sees: leave it out"


@pytest.mark.parametrize(
    "text", ["Café Süß, 2 × Tee", "主餐厅：套餐", "قهوة وكعك", "¿Qué? 50 € – ok", "👍", "مقهى 12"]
)
def test_words_in_any_language_are_text(text: str) -> None:
    assert re.match(LINE_PATTERN, text)
    assert re.match(NAME_PATTERN, text)
    assert unreadable(text) is None


def test_spaces_alone_are_an_empty_line_but_no_name() -> None:
    assert re.match(LINE_PATTERN, "  ")
    assert re.match(NAME_PATTERN, "  ") is None
    assert unreadable(" \n ") == "has nothing to read in it"


def test_lines_may_be_several_where_lines_are_asked_for() -> None:
    assert unreadable("one\ntwo") is None
    assert re.match(NAME_PATTERN, "one\ntwo") is None
