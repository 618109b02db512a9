"""Enrolling at a kiosk: its section of the config, the consent that is shown, what is sent and answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from edge.compare.gallery import Template
from wire.ids import ClaimId, SubjectId
from wire.values import IMAGES_MAX, AgreeBy


class EnrolConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Section `enrol`: the consent texts, who may consent, how many samples, and how long each step may take.

    `consent_dir`: `example`, or the operator's own folder. `minimum_age`: years from which people consent for
    themselves. `sample_gap_ms`: samples are moments at least so far apart. `patience`: how many times the
    usual time people have for each step. `send_ms`: for central to answer, three times over.
    """

    consent_dir: Annotated[str, Meta(min_length=1, max_length=1024)] = "example"
    minimum_age: Annotated[int, Meta(ge=0, le=99)] = 16
    samples_least: Annotated[int, Meta(ge=2, le=IMAGES_MAX)] = 3
    samples_most: Annotated[int, Meta(ge=2, le=IMAGES_MAX)] = 5
    sample_gap_ms: Annotated[int, Meta(ge=100, le=5_000)] = 600
    patience: Annotated[float, Meta(ge=1, le=3)] = 1.0
    send_ms: Annotated[int, Meta(ge=500, le=30_000)] = 5_000

    @property
    def answer_ms(self) -> int:
        """How long each question waits."""
        return round(60_000 * self.patience)

    @property
    def consent_ms(self) -> int:
        """How long the consent may be read."""
        return round(300_000 * self.patience)

    @property
    def samples_ms(self) -> int:
        """How long all samples may take."""
        return round(60_000 * self.patience)

    @property
    def card_ms(self) -> int:
        """How long the new member's code stays on the screen."""
        return round(120_000 * self.patience)


@dataclass(frozen=True, slots=True)
class Consents:
    """The operator's consent texts by language, all of one version."""

    version: str
    texts: Mapping[str, str]

    @property
    def is_example(self) -> bool:
        """Whether it is the shipped example, which is nobody's consent to anything."""
        return self.version.startswith("example")


@dataclass(frozen=True, slots=True)
class Application:
    """A newcomer, whole, as central is asked to enrol them; `consented_ms` is monotonic."""

    subject: SubjectId
    claim_id: ClaimId = field(repr=False)
    pin: str = field(repr=False)
    template: Template | None = field(repr=False)
    agree_by: AgreeBy
    consent_version: str
    consent_language: str
    consented_ms: int
    claim_needed: tuple[SubjectId, ...]


class EnrolAnswer(StrEnum):
    """What became of an application."""

    ENROLLED = "enrolled"
    REFUSED = "refused"
    SILENT = "silent"  # whether central has it is not known


class WithdrawAnswer(StrEnum):
    """What became of a withdrawal."""

    WITHDRAWN = "withdrawn"
    WRONG_PIN = "wrong_pin"
    LOCKED = "locked"  # too many wrong ones, for now or until staff unlock it
    NO_PIN = "no_pin"
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class WithdrawJudgement:
    """What became of a withdrawal, and how many tries are left."""

    answer: WithdrawAnswer
    tries_left: int | None = None
