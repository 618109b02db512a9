"""The operator's consent texts: a folder of `LANGUAGE.txt` files, and `consent.toml` with their version."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from edge.enact.display import CONSENT_MAX_CHARS
from edge.enact.enrolling import Consents
from edge.errors import ConfigError
from wire import fields as f
from wire.readable import unreadable

EXAMPLE = Path(__file__).parent / "consent_example"
OPTION = "enrol.consent_dir"
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Z]{2})?\Z")


class _Edition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: f.ConsentVersion


def read_consents(given: str) -> Consents:
    """The texts in a folder, or the shipped example; raises ConfigError naming the file and what it needs."""
    folder = EXAMPLE if given == "example" else Path(given)
    edition = folder / "consent.toml"
    try:
        version = msgspec.toml.decode(edition.read_bytes(), type=_Edition).version
    except OSError as error:
        raise ConfigError(
            OPTION, str(edition), f'a file with version = "2026-11": {error.strerror}'
        ) from error
    except msgspec.DecodeError as error:
        raise ConfigError(OPTION, str(edition), f'one line, version = "2026-11": {error}') from error
    texts = {path.stem: _read(path) for path in sorted(folder.glob("*.txt"))}
    if not texts:
        raise ConfigError(OPTION, str(folder), "at least one consent text, as en.txt")
    return Consents(version, texts)


def _read(path: Path) -> str:
    if _LANGUAGE.match(path.stem) is None:
        raise ConfigError(OPTION, str(path), "a text named by its language, as en.txt or pt-BR.txt")
    try:
        text = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(OPTION, str(path), f"a text in UTF-8: {error}") from error
    if text and (why := unreadable(text)) is not None:
        raise ConfigError(OPTION, str(path), f"a text that people can read; it {why}")
    if not 1 <= len(text) <= CONSENT_MAX_CHARS:
        raise ConfigError(OPTION, str(path), f"1 to {CONSENT_MAX_CHARS} characters; it has {len(text)}")
    return text
