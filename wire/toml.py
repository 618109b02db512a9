"""A value as TOML writes it, for messages about configuration."""

from __future__ import annotations

import json


def as_toml(value: object) -> str | None:
    """`"text"`, `3`, `true` or `["a"]`, as it stands in the file; None for a section, and for nothing."""
    if value is None or isinstance(value, dict):
        return None
    return json.dumps(value, ensure_ascii=False, default=str)
