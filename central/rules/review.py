"""Reviewers and their words: cases over events and restrictions, and the signed rulings that settle them.

A case is opened by the member (or a reviewer) and settled by a reviewer's own key, who neither opened it nor
signed what it is about. The operator's keys can do neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from central.errors import ConflictError, RefusedError
from central.rules.fleet import CLOCK_SLACK_MS
from wire import fields as f
from wire.canonical import canonical, joined
from wire.ids import KeyId, Purpose, ReviewerId, SubjectId
from wire.readable import unreadable
from wire.signing import Signer, certificate_holds, verifies
from wire.values import Certificate, Role

CASES_MAX = 3
"""Open and closed cases about one event or restriction: endless disputes would never be ruled on."""
MEMBER = "member"
"""Stands for a member, who opens a case without a key."""
RESERVED_NAMES = frozenset({MEMBER, "operator", "central", "root"})
TARGET_MAX = 64
"""Characters of an event's id."""
_RULING = b"stile ruling v1"


class Matter(StrEnum):
    """What a case is about."""

    EVENT = "event"
    RESTRICTION = "restriction"


class Outcome(StrEnum):
    """How a reviewer settles a case."""

    UPHELD = "upheld"  # it counts, or binds, as before
    STRUCK = "struck"  # it never counts, or binds, again


@dataclass(frozen=True, slots=True)
class Reviewer:
    """A person who may sign restrictions and rulings, and the key they do it with."""

    reviewer: ReviewerId
    key_id: KeyId
    certificate: Certificate
    added_at_ms: int
    revoked_at_ms: int | None = None


class Ruling(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A reviewer's signed word that settles one case."""

    matter: Matter
    target: Annotated[str, Meta(min_length=1, max_length=TARGET_MAX)]
    number: Annotated[int, Meta(ge=1, le=CASES_MAX)]
    operator: f.Operator
    outcome: Outcome
    note: f.Text
    ruled_at_ms: f.InstantMs
    reviewer: f.Reviewer
    certificate: Certificate
    signature: f.SignatureBytes


@dataclass(frozen=True, slots=True)
class Case:
    """A dispute over an event or a contest of a restriction; `number` counts those about one target."""

    matter: Matter
    target: str
    number: int
    subject: SubjectId
    purpose: Purpose
    opened_at_ms: int
    opened_by: str
    note: str
    settled_at_ms: int | None = None
    ruling: Ruling | None = None

    @property
    def open(self) -> bool:
        """Whether no reviewer has settled it yet."""
        return self.ruling is None


def check_name(reviewer: ReviewerId) -> None:
    """Admit a reviewer's name; raises RefusedError for one that histories use for somebody else."""
    if reviewer in RESERVED_NAMES:
        raise RefusedError(f"{reviewer!r} means somebody else in histories: give the reviewer another name")


def _check_note(note: str, wanted: str) -> None:
    if not note.strip() or len(note) > f.TEXT_MAX:
        raise RefusedError(wanted)
    if (why := unreadable(note)) is not None:
        raise RefusedError(f"the note {why}")


def admit_case(case: Case, earlier: Sequence[Case]) -> Case:
    """The case with its number among those about its target; raises ConflictError or RefusedError."""
    if any(each.open for each in earlier):
        raise ConflictError(case.matter, case.target, "is under review already: wait for the ruling")
    if len(earlier) >= CASES_MAX:
        raise RefusedError(f"the {case.matter} was reviewed {CASES_MAX} times: that is final")
    _check_note(case.note, f"say what is wrong in at most {f.TEXT_MAX} characters: a reviewer has to read it")
    return replace(case, number=len(earlier) + 1)


def ruling_bytes(ruling: Ruling) -> bytes:
    """The bytes a reviewer signs of a ruling, their certificate included."""
    return joined(_RULING, canonical(msgspec.structs.replace(ruling, signature=b"")))


def rule(
    case: Case, outcome: Outcome, *, note: str, reviewer: Signer, certificate: Certificate, at_ms: int
) -> Ruling:
    """Sign a ruling on a case with the reviewer's own key."""
    ruling = Ruling(
        matter=case.matter,
        target=case.target,
        number=case.number,
        operator=certificate.operator,
        outcome=outcome,
        note=note,
        ruled_at_ms=at_ms,
        reviewer=ReviewerId(certificate.name),
        certificate=certificate,
        signature=b"",
    )
    return msgspec.structs.replace(ruling, signature=reviewer.sign(ruling_bytes(ruling)))


def ruling_holds(ruling: Ruling, root_public_key: bytes, operator: str) -> bool:
    """Whether a reviewer of this operator, certified when they ruled, signed this ruling."""
    certificate = ruling.certificate
    return (
        ruling.operator == operator
        and certificate.role is Role.REVIEWER
        and certificate.name == ruling.reviewer
        and certificate_holds(certificate, root_public_key, ruling.operator, ruling.ruled_at_ms)
        and verifies(certificate.public_key, ruling.signature, ruling_bytes(ruling))
    )


def settled(case: Case, ruling: Ruling, author: ReviewerId | None, at_ms: int) -> Case:
    """The case settled by a ruling that holds; `author` signed what it is about. Raises as `admit_case`."""
    if (ruling.matter, ruling.target, ruling.number) != (case.matter, case.target, case.number):
        raise RefusedError("the ruling is on another case")
    if not case.open:
        raise ConflictError(case.matter, case.target, "is settled already: a new case needs a new ruling")
    if abs(ruling.ruled_at_ms - at_ms) > CLOCK_SLACK_MS:
        raise RefusedError("the ruling is dated at another time: check the reviewer's clock, and sign again")
    if ruling.reviewer in (case.opened_by, author):
        raise RefusedError(f"{ruling.reviewer!r} is a party to this case: another reviewer has to settle it")
    _check_note(ruling.note, f"a ruling needs a reason of at most {f.TEXT_MAX} characters, for the member")
    return replace(case, settled_at_ms=at_ms, ruling=ruling)
