"""The pages' words: one message file a language, complete or refused; which of them a browser asks for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from msgspec import Struct

from central.errors import ConfigError
from wire.records import GateOutcome, IdentifiedBy
from wire.texts import Tables, read_languages
from wire.values import Tier

MESSAGES = Path(__file__).parent / "messages"
FALLBACK = "en"
ACCEPTED_MAX_CHARS = 200
"""The part of Accept-Language that is read; browsers send less than 60 characters."""

VERDICTS = ("grant", "step_up", "refer", "deny")
"""What a pass record calls them (`wire.records`)."""
STATES = (
    "in force",
    "contested",
    "struck",
    "lifted",
    "over",
    "ended by a contest nobody settled",
    "of a revoked reviewer",
)
"""What a restriction's history calls its state (`central.service.reviews`)."""


class _Words(Struct, frozen=True, forbid_unknown_fields=True):
    """Texts by name; `{...}` marks what a page fills in."""


class Common(_Words, frozen=True):
    """What several pages say."""

    site: str
    skip: str
    menu: str
    language: str
    next: str
    start: str
    code_label: str
    code_hint: str
    pin_label: str
    pin_hint: str
    problem: str
    points: str
    and_more: str


class Entry(_Words, frozen=True):
    """A page's name in the menu, its heading, and what it is for."""

    name: str
    title: str
    intro: str


class Home(Entry, frozen=True):
    """The first page."""

    scorecards: str
    scorecard: str
    another_way: str


class Contest(Entry, frozen=True):
    """Contesting a restriction."""

    code_label: str
    code_hint: str
    heading: str
    said: str
    purpose: str
    by: str
    state: str
    since: str
    until: str
    cases: str
    case: str
    case_open: str
    case_struck: str
    case_upheld: str
    note_label: str
    note_hint: str
    send: str
    sent: str
    decide_by: str


class Withdraw(Entry, frozen=True):
    """Withdrawing."""

    heading: str
    consequences: tuple[str, ...]
    confirm: str
    keep: str
    done: str
    done_detail: str
    heard: str
    heard_all: str
    look_again: str


class Why(Entry, frozen=True):
    """What is known of a member, and why they were asked for more."""

    heading: str
    standing: str
    score: str
    tier: str
    valid: str
    factors: str
    no_factors: str
    disputed: str
    restriction: str
    contest: str
    passages: str
    no_passages: str
    looked_at: str
    unknown_reason: str


class Receipts(Entry, frozen=True):
    """What was charged."""

    heading: str
    balance: str
    debt: str
    none: str
    fare: str
    payment: str
    refunded: str
    reversed: str


class Problem(_Words, frozen=True):
    """What went wrong, and what to do."""

    title: str
    detail: str


class Messages(Struct, frozen=True, forbid_unknown_fields=True):
    """Everything the pages can say in one language."""

    language: str
    name: str
    direction: Literal["ltr", "rtl"]
    common: Common
    home: Home
    contest: Contest
    withdraw: Withdraw
    why: Why
    receipts: Receipts
    problem: dict[str, Problem]
    state: dict[str, str]
    tier: dict[Tier, str]
    way: dict[IdentifiedBy, str]
    verdict: dict[str, str]
    gate: dict[GateOutcome, str]
    reason: dict[str, str]

    @property
    def tables(self) -> Tables:
        """What may have to be said."""
        return {
            "state": (STATES, self.state),
            "tier": (Tier, self.tier),
            "way": (IdentifiedBy, self.way),
            "verdict": (VERDICTS, self.verdict),
            "gate": ([each for each in GateOutcome if each is not GateOutcome.NOT_RELEASED], self.gate),
        }


def read_messages(folder: Path = MESSAGES) -> dict[str, Messages]:
    """Every language; raises ConfigError naming the file."""
    return read_languages(folder, Messages, _unusable)


def _unusable(name: str, wanted: str) -> ConfigError:
    return ConfigError("messages", name, None, wanted)


def chosen(asked: str | None, accepted: str, languages: Mapping[str, Messages]) -> Messages:
    """The language a person chose, or the first of `Accept-Language` there is, or English."""
    if asked is not None and asked in languages:
        return languages[asked]
    wanted = []
    for place, part in enumerate(accepted[:ACCEPTED_MAX_CHARS].split(",")):
        tag, _, rest = part.partition(";")
        try:
            weight = float(rest.strip().removeprefix("q=") or "1")
        except ValueError:
            continue
        language = tag.strip().lower().partition("-")[0]
        if weight > 0 and language in languages:
            wanted.append((-weight, place, language))
    return languages[min(wanted)[2] if wanted else FALLBACK]
