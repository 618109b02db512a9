"""Write the digits of `wire.currency` into the screen's money.js: `python -m scripts.lab.money_page`."""

from __future__ import annotations

import re
from pathlib import Path

import edge
from wire.currency import THOUSANDTHS, WHOLE

PAGE = Path(edge.__file__).parent / "adapters/screen/static/money.js"


def written(page: str) -> str:
    """The page's module with today's currencies in place of those it has."""
    for name, currencies in (("WHOLE", WHOLE), ("THOUSANDTHS", THOUSANDTHS)):
        codes = " ".join(sorted(currencies))
        page = re.sub(rf'const {name} = new Set\("[A-Z ]*"', f'const {name} = new Set("{codes}"', page)
    return page


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text("utf-8")), "utf-8")
