"""Which licences of weights allow commercial use. Pure; a name not in the table counts as not allowing it."""

from __future__ import annotations

from typing import Final

COMMERCIAL: Final = frozenset(
    {
        *("0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "ISC", "MIT", "MIT-0", "Zlib"),
        *("CC0-1.0", "CC-BY-4.0", "CC-BY-SA-4.0", "CDLA-Permissive-2.0", "Unlicense"),
        *("GPL-2.0-only", "GPL-2.0-or-later", "GPL-3.0-only", "GPL-3.0-or-later", "MPL-2.0"),
        *("AGPL-3.0-only", "AGPL-3.0-or-later", "LGPL-3.0-only", "LGPL-3.0-or-later"),
    }
)
"""SPDX names whose text allows commercial use; what else they ask, the operator keeps."""


def allows_commerce(licence: str) -> bool:
    """True only for an SPDX name known to allow commercial use; `CC-BY-NC-4.0` and unknown names do not."""
    return licence in COMMERCIAL
