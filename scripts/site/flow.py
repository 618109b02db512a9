"""`python -m scripts.site.flow` draws docs/flow.svg: what flows between kiosk, gate and central."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Final

from firmware_bridge.frame import Heading
from firmware_bridge.messages import TABLE
from wire.topics import RULES, TopicKind
from wire.values import Role

PAGE: Final = Path(__file__).parents[2] / "docs" / "flow.svg"
STEPS: Final = ("capture", "compare", "confirm", "decide", "enact")
"""The folders of `edge` a pass goes through, in order."""
LINE: Final = 17
"""Pixels from one line of text to the next."""
WIDTH: Final = 900
GATE, KIOSK, CENTRAL = (20, 130), (330, 140), (740, 140)
"""Left edge and width of each box."""
TOP: Final = 56


def draw() -> str:
    """The picture as SVG."""
    to_kiosk = [row.name for row in TABLE if row.heading is Heading.TO_HOST]
    to_gate = [row.name for row in TABLE if row.heading is Heading.TO_CONTROLLER]
    up = [told(kind) for kind, rule in RULES.items() if rule.sender is Role.KIOSK]
    down = [told(kind) for kind, rule in RULES.items() if rule.sender is Role.CENTRAL]
    middle = TOP + (max(len(to_kiosk), len(up)) + 2) * LINE
    bottom = middle + (max(len(to_gate), len(down)) + 2) * LINE
    height = bottom + 60
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        'font-family="sans-serif" font-size="13" role="img">',
        "<title>What flows between kiosk, gate and central</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        *box(GATE, bottom, "gate controller", ("life safety", "time limits", "beams, relays")),
        *box(KIOSK, bottom, "kiosk (edge)", [f"{at}. {step}" for at, step in enumerate(STEPS, 1)]),
        *box(CENTRAL, bottom, "central", ("rules", "service", "database")),
        *flow(GATE, KIOSK, TOP, to_kiosk, forward=True),
        *flow(GATE, KIOSK, middle, to_gate, forward=False),
        *flow(KIOSK, CENTRAL, TOP, up, forward=True),
        *flow(KIOSK, CENTRAL, middle, down, forward=False),
        text((GATE[0] + GATE[1] + KIOSK[0]) // 2, bottom + 40, "serial line, authenticated frames", "#555"),
        text((KIOSK[0] + KIOSK[1] + CENTRAL[0]) // 2, bottom + 40, "MQTT, signed; * retained", "#555"),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def told(kind: TopicKind) -> str:
    """A topic as the picture names it."""
    return kind.value.replace("/{}", "") + (" *" if RULES[kind].retained else "")


def text(x: int, y: int, words: str, colour: str = "#000") -> str:
    """One centred line."""
    return f'<text x="{x}" y="{y}" text-anchor="middle" fill="{colour}">{escape(words)}</text>'


def box(place: tuple[int, int], bottom: int, name: str, lines: Iterable[str]) -> list[str]:
    """A box with its name and what is in it."""
    left, width = place
    centre = left + width // 2
    return [
        f'<rect x="{left}" y="20" width="{width}" height="{bottom}" rx="8" fill="#eef3fb" stroke="#35507a"/>',
        f'<text x="{centre}" y="44" text-anchor="middle" font-weight="bold">{escape(name)}</text>',
        *(text(centre, 72 + at * 24, line) for at, line in enumerate(lines)),
    ]


def flow(
    left: tuple[int, int], right: tuple[int, int], y: int, names: list[str], *, forward: bool
) -> list[str]:
    """An arrow between two boxes, and beneath it what it carries."""
    start, end = left[0] + left[1] + 6, right[0] - 6
    tip, back = (end, end - 9) if forward else (start, start + 9)
    return [
        f'<path d="M{start} {y}H{end}M{back} {y - 5}L{tip} {y}L{back} {y + 5}" '
        'fill="none" stroke="#35507a" stroke-width="2"/>',
        *(text((start + end) // 2, y + (at + 1) * LINE, name) for at, name in enumerate(names)),
    ]


if __name__ == "__main__":
    PAGE.write_text(draw())
