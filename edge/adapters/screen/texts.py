"""The screen's words: one message file a language, complete or refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, TypeVar

import msgspec
from msgspec import Struct

from edge.adapters.screen.protocol import Refusal
from edge.capture.sample import Obstacle
from edge.decide.verdict import Lane, Reason
from edge.enact.display import EnrolNote, Prompt
from edge.errors import ConfigError

MESSAGES = Path(__file__).parent / "messages"

Key = TypeVar("Key", bound=str)

PluralCategory = Literal["zero", "one", "two", "few", "many", "other"]
"""The plural categories of Unicode CLDR."""


class PromptText(Struct, frozen=True, forbid_unknown_fields=True):
    """One state's sentence, and what to do about it."""

    title: str
    detail: str


class PageText(Struct, frozen=True, forbid_unknown_fields=True):
    """The words around the prompt. `{...}` marks what the page fills in."""

    not_me: str
    help: str
    other_way: str
    actions: str
    claim_label: str
    pin_label: str
    keypad: str
    letters: str
    digits: str
    delete: str
    enter: str
    language: str
    reason_label: str
    contest_label: str
    contest_detail: str
    enrol_again: str
    age: str
    age_unknown: str
    degraded_label: str
    photo_risk: str
    photo_risk_first_use: str
    connected: str
    lost_title: str
    lost_detail: str
    help_taken: str
    cancel: str
    done: str
    choices: str
    by_button: str
    by_smile: str
    by_nod: str
    by_watched: str
    begin: str
    withdraw: str
    withdraw_yes: str
    withdraw_no: str
    consent_label: str
    consent_yes: str
    consent_no: str
    age_yes: str
    age_no: str
    again: str
    print: str
    qr: str
    card_title: str
    card_keep: str
    step: str
    samples: str
    preview: str
    text_size: str
    sound_on: str
    sound_off: str
    cue_success: str
    cue_attention: str
    cue_refusal: str


class Messages(Struct, frozen=True, forbid_unknown_fields=True):
    """Everything the screen can say in one language."""

    language: str
    name: str
    direction: Literal["ltr", "rtl"]
    prompt: dict[Prompt, PromptText]
    hint: dict[Obstacle, str]
    reason: dict[Reason, str]
    lane: dict[Lane, str]
    refusal: dict[Refusal, str]
    note: dict[EnrolNote, str]
    tries_left: dict[PluralCategory, str]
    degraded: dict[str, str]
    page: PageText

    def missing(self) -> tuple[str, ...]:
        """Keys that a state of the kiosk may need and this file has no text for."""
        return (
            *_absent("prompt", Prompt, self.prompt),
            *_absent("hint", Obstacle, self.hint),
            *_absent("reason", Reason, self.reason),
            *_absent("lane", Lane, self.lane),
            *_absent("refusal", Refusal, self.refusal),
            *_absent("note", EnrolNote, self.note),
            *(() if self.tries_left.get("other") else ("tries_left.other",)),
        )


class Texts(Struct, frozen=True):
    """All languages, and the one that each new passage begins in."""

    default: str
    languages: dict[str, Messages]


def read_messages(path: Path) -> Messages:
    """One message file; ConfigError names the file and the key."""
    try:
        messages = msgspec.json.decode(path.read_bytes(), type=Messages)
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigError("screen.messages", path.name, f"a complete message file: {error}") from error
    if messages.language != path.stem:
        raise ConfigError("screen.messages", path.name, f"a file named {messages.language}.json")
    if missing := messages.missing():
        raise ConfigError("screen.messages", path.name, f"a text for {', '.join(missing)}")
    return messages


def read_texts(default: str, folder: Path = MESSAGES) -> Texts:
    """Every language in `folder`; ConfigError if `default` is not among them."""
    languages = {path.stem: read_messages(path) for path in sorted(folder.glob("*.json"))}
    if default not in languages:
        raise ConfigError("screen.language", default, f"one of {', '.join(languages) or 'no language found'}")
    return Texts(default, languages)


def _absent(table: str, keys: Iterable[Key], texts: Mapping[Key, object]) -> tuple[str, ...]:
    """`table.key` for each key without a text; an empty text is none."""
    return tuple(f"{table}.{key}" for key in keys if not texts.get(key))
