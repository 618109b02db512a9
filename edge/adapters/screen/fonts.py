"""The fonts that the kiosk's pages are set in, shipped so that every machine shows the same."""

from __future__ import annotations

from pathlib import Path

STATIC = Path(__file__).parent / "static"


def font_files() -> dict[str, tuple[str, bytes]]:
    """The style sheet that names the fonts and their files, by path: content type and bytes."""
    fonts = {
        f"/fonts/{path.name}": ("font/woff2", path.read_bytes()) for path in STATIC.glob("fonts/*.woff2")
    }
    return {"/fonts.css": ("text/css; charset=utf-8", (STATIC / "fonts.css").read_bytes())} | dict(
        sorted(fonts.items())
    )
