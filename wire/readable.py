"""Texts that people read hold nothing that they cannot see.

A character without a shape, one that turns the direction of writing, or one that is blank and no space
makes a text read as another than it is.
"""

from __future__ import annotations

import re
from typing import Final

_UNSEEN: Final = (
    r"\x00-\x1f\x7f-\xa0\xad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f\u2000-\u200f\u2028-\u202f"
    r"\u205f-\u206f\u2800\u3000\u3164\ud800-\uf8ff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\uffff"
    r"\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U0010ffff"
)
"""Controls, Unicode's Default_Ignorable_Code_Point, blanks other than the space, surrogates, private use."""
LINE_PATTERN: Final = rf"^[^{_UNSEEN}]*\Z"
"""One line, perhaps empty."""
NAME_PATTERN: Final = rf"^ *[^ {_UNSEEN}][^{_UNSEEN}]*\Z"
"""One line in which something is to be read."""
_BAD_IN_LINES: Final = re.compile(rf"(?!\n)[{_UNSEEN}]")


def unreadable(text: str) -> str | None:
    """Why people cannot read a text of one line or several, as the end of a sentence; None where they can."""
    if (found := _BAD_IN_LINES.search(text)) is not None:
        return f"has U+{ord(found[0]):04X} at place {found.start() + 1}, which nobody sees: leave it out"
    return None if text.strip() else "has nothing to read in it"
