"""QR codes as the screen draws them."""

from __future__ import annotations

import segno

QUIET_MODULES = 4
"""Around a QR code (ISO/IEC 18004, 9.1)."""


def qr_rows(text: str) -> tuple[str, ...]:
    """Rows of "0" and "1", quiet zone included; error correction M."""
    modules = segno.make(text, error="m", micro=False).matrix_iter(border=QUIET_MODULES)
    return tuple("".join("1" if dark else "0" for dark in row) for row in modules)
