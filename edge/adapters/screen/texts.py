"""The screen's words: one message file a language, complete or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from msgspec import Struct

from edge.adapters.screen.protocol import Refusal
from edge.capture.sample import Obstacle
from edge.decide.verdict import Lane, Reason
from edge.enact.display import EnrolNote, Prompt
from edge.errors import ConfigError
from wire.texts import Tables, read_language, read_languages

MESSAGES = Path(__file__).parent / "messages"

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

    @property
    def tables(self) -> Tables:
        """What a state of the kiosk may need a text for."""
        return {
            "prompt": (Prompt, self.prompt),
            "hint": (Obstacle, self.hint),
            "reason": (Reason, self.reason),
            "lane": (Lane, self.lane),
            "refusal": (Refusal, self.refusal),
            "note": (EnrolNote, self.note),
            "tries_left": (("other",), self.tries_left),
        }


class Texts(Struct, frozen=True):
    """All languages, and the one that each new passage begins in."""

    default: str
    languages: dict[str, Messages]


def read_messages(path: Path) -> Messages:
    """One message file; ConfigError names the file and the key."""
    return read_language(path, Messages, _unusable)


def read_texts(default: str, folder: Path = MESSAGES) -> Texts:
    """Every language in `folder`; ConfigError if `default` is not among them."""
    languages = read_languages(folder, Messages, _unusable)
    if default not in languages:
        raise ConfigError("screen.language", default, f"one of {', '.join(languages) or 'no language found'}")
    return Texts(default, languages)


def _unusable(name: str, wanted: str) -> ConfigError:
    return ConfigError("screen.messages", name, wanted)
