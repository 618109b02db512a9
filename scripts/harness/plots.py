"""Lines over time as inline SVG, with the time of each fault shaded."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 900, 190
LEFT, RIGHT, TOP, BOTTOM = 60, 10, 24, 26
TICKS = 4


@dataclass(frozen=True, slots=True)
class Line:
    """Points of (seconds, value); a value of None is a gap."""

    label: str
    points: Sequence[tuple[float, float | None]]


def line_plot(title: str, unit: str, lines: Sequence[Line], spans: Sequence[tuple[float, float, str]]) -> str:
    """One plot; `spans` are shaded: from, until, what."""
    known = [(x, y) for line in lines for x, y in line.points if y is not None]
    most_x = max([x for x, _ in known] + [until for _, until, _ in spans] + [1.0])
    most_y = max([y for _, y in known] + [1.0]) * 1.05

    def at(x: float, y: float) -> tuple[float, float]:
        across = LEFT + x / most_x * (WIDTH - LEFT - RIGHT)
        return across, HEIGHT - BOTTOM - y / most_y * (HEIGHT - TOP - BOTTOM)

    parts = [f'<text x="{LEFT}" y="15" font-weight="bold">{html.escape(f"{title} {unit}".strip())}</text>']
    for begin, until, what in spans:
        (left, _), (right, _) = at(begin, 0), at(until, 0)
        parts.append(
            f'<rect x="{left:.1f}" y="{TOP}" width="{max(right - left, 1):.1f}" '
            f'height="{HEIGHT - TOP - BOTTOM}" fill="#fbe3d6"/>'
            f'<text x="{left + 3:.1f}" y="{TOP + 11}" fill="#a65">{html.escape(what)}</text>'
        )
    for tick in range(TICKS + 1):
        left, height = at(0, most_y * tick / TICKS)
        parts.append(
            f'<line x1="{left}" x2="{WIDTH - RIGHT}" y1="{height:.1f}" y2="{height:.1f}" stroke="#ddd"/>'
            f'<text x="{LEFT - 6}" y="{height + 4:.1f}" text-anchor="end">{most_y * tick / TICKS:.3g}</text>'
        )
        second = most_x * tick / TICKS
        across, _ = at(second, 0)
        parts.append(f'<text x="{across:.1f}" y="{HEIGHT - 8}" text-anchor="middle">{second:.3g} s</text>')
    for line in lines:
        for stretch in _stretches(line.points):
            drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*point) for point in stretch))
            parts.append(f'<polyline points="{drawn}" fill="none" stroke="#1668a7" stroke-width="1.6"/>')
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" font-size="11" role="img">{"".join(parts)}</svg>'


def _stretches(points: Sequence[tuple[float, float | None]]) -> list[list[tuple[float, float]]]:
    stretches: list[list[tuple[float, float]]] = [[]]
    for x, y in points:
        if y is None:
            stretches.append([])
        else:
            stretches[-1].append((x, y))
    return [stretch for stretch in stretches if stretch]
