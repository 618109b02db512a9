"""The claims file of a replay: which image or frame claims to be whom."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from edge.errors import FixtureError


class Claims:
    """Claims by source, and which of them the recording used."""

    def __init__(self, claims: Mapping[str, str]) -> None:
        self._claims = dict(claims)
        self._used: set[str] = set()

    def of(self, source: str) -> str | None:
        """The claim of an image; of a frame `clip.mp4#12`, or else of its whole video `clip.mp4`."""
        for key in (source, source.rpartition("#")[0]):
            if key in self._claims:
                self._used.add(key)
                return self._claims[key]
        return None

    @property
    def used(self) -> int:
        """Lines that named something in the recording."""
        return len(self._used)

    @property
    def unused(self) -> int:
        """Lines that named nothing in the recording."""
        return len(self._claims) - len(self._used)


def read_claims(path: Path, root: Path) -> Claims:
    """CSV `source,claim` (a header is allowed) or JSON lines; sources relative to `root`, or absolute.

    Raises `FixtureError` naming the line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise FixtureError(f"{path}: cannot be read as a claims file: {error}") from error
    rows = _json_rows(text, path) if text.lstrip().startswith("{") else _csv_rows(text, path)
    claims: dict[str, str] = {}
    for number, source, claim in rows:
        if not source or not claim:
            raise FixtureError(f"{path}:{number}: give a source and a claim, as in ada/3.jpg,ada")
        key = Path(source)
        if key.is_absolute() and key.is_relative_to(root.absolute()):
            key = key.relative_to(root.absolute())
        claims[key.as_posix()] = claim
    if not claims:
        raise FixtureError(f"{path}: holds no claim; give lines such as ada/3.jpg,ada")
    return Claims(claims)


def _json_rows(text: str, path: Path) -> Iterator[tuple[int, str, str]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = msgspec.json.decode(line, type=dict[str, str])
            yield number, row["source"], row["claim"]
        except (msgspec.DecodeError, KeyError) as error:
            raise FixtureError(f'{path}:{number}: give {{"source": "…", "claim": "…"}} ({error})') from error


def _csv_rows(text: str, path: Path) -> Iterator[tuple[int, str, str]]:
    for number, line in enumerate(text.splitlines(), start=1):
        cells = [cell.strip() for cell in next(csv.reader([line]), [])]
        if not any(cells) or (number == 1 and cells == ["source", "claim"]):
            continue
        if len(cells) != 2:
            raise FixtureError(f"{path}:{number}: {len(cells)} columns; give source,claim")
        yield number, cells[0], cells[1]
