"""Reviewers and their words: cases over events and restrictions, and the signed rulings that settle them.

A case is opened by the member (or a reviewer) and settled by a reviewer's own key, who neither opened it nor
signed what it is about. A restriction is lifted by any one reviewer's. The operator's keys can do neither.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from central.errors import ConflictError, RefusedError
from central.rules.fleet import CLOCK_SLACK_MS
from wire import fields as f
from wire.canonical import canonical, joined
from wire.ids import KeyId, OperatorId, Purpose, RestrictionId, ReviewerId, SubjectId
from wire.readable import unreadable
from wire.signing import Signer, root_certified, verifies
from wire.values import Certificate, Role

CASES_MAX = 3
"""Open and closed cases about one event or restriction: endless disputes would never be ruled on."""
MEMBER = "member"
"""Stands for a member, who opens a case without a key."""
RESERVED_NAMES = frozenset({MEMBER, "operator", "central", "root"})
TARGET_MAX = 64
"""Characters of an event's id."""
_RULING = b"stile ruling v1"
_LIFTING = b"stile lifting v1"


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


class Lifting(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A reviewer's signed word that ends a restriction before its time; who signed it may lift it too."""

    restriction_id: f.RestrictionToken
    operator: f.Operator
    note: f.Text
    lifted_at_ms: f.InstantMs
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


def check_note(note: str, wanted: str) -> None:
    """Admit what somebody wrote for others to read; raises RefusedError with what is `wanted` of it."""
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
    check_note(case.note, f"say what is wrong in at most {f.TEXT_MAX} characters: a reviewer has to read it")
    return replace(case, number=len(earlier) + 1)


def ruling_bytes(ruling: Ruling) -> bytes:
    """The bytes a reviewer signs of a ruling, their certificate included."""
    return joined(_RULING, canonical(msgspec.structs.replace(ruling, signature=b"")))


def rule(
    case: Case, outcome: Outcome, *, note: str, reviewer: Signer, certificate: Certificate, at_ms: int
) -> Ruling:
    """Sign a ruling on a case with the reviewer's own key."""
    return ruling(
        case.matter,
        case.target,
        case.number,
        outcome,
        note=note,
        reviewer=reviewer,
        certificate=certificate,
        at_ms=at_ms,
    )


def ruling(
    matter: Matter,
    target: str,
    number: int,
    outcome: Outcome,
    *,
    note: str,
    reviewer: Signer,
    certificate: Certificate,
    at_ms: int,
) -> Ruling:
    """Sign a ruling on a case that is known by its place alone."""
    made = Ruling(
        matter=matter,
        target=target,
        number=number,
        operator=certificate.operator,
        outcome=outcome,
        note=note,
        ruled_at_ms=at_ms,
        reviewer=ReviewerId(certificate.name),
        certificate=certificate,
        signature=b"",
    )
    return msgspec.structs.replace(made, signature=reviewer.sign(ruling_bytes(made)))


def ruling_holds(ruling: Ruling, root_public_key: bytes, operator: OperatorId) -> bool:
    """Whether a reviewer of this operator, certified when they ruled, signed this ruling."""
    certificate = ruling.certificate
    return (
        ruling.operator == operator
        and certificate.name == ruling.reviewer
        and root_certified(certificate, Role.REVIEWER, root_public_key, operator, ruling.ruled_at_ms)
        and verifies(certificate.public_key, ruling.signature, ruling_bytes(ruling))
    )


def lifting_bytes(lifting: Lifting) -> bytes:
    """The bytes a reviewer signs of a lifting, their certificate included."""
    return joined(_LIFTING, canonical(msgspec.structs.replace(lifting, signature=b"")))


def lift(
    restriction: RestrictionId, *, note: str, reviewer: Signer, certificate: Certificate, at_ms: int
) -> Lifting:
    """Sign the end of a restriction with a reviewer's own key."""
    made = Lifting(
        restriction_id=restriction,
        operator=certificate.operator,
        note=note,
        lifted_at_ms=at_ms,
        reviewer=ReviewerId(certificate.name),
        certificate=certificate,
        signature=b"",
    )
    return msgspec.structs.replace(made, signature=reviewer.sign(lifting_bytes(made)))


def lifting_holds(lifting: Lifting, root_public_key: bytes, operator: OperatorId) -> bool:
    """Whether a reviewer of this operator, certified when they lifted it, signed this lifting."""
    certificate = lifting.certificate
    return (
        lifting.operator == operator
        and certificate.name == lifting.reviewer
        and root_certified(certificate, Role.REVIEWER, root_public_key, operator, lifting.lifted_at_ms)
        and verifies(certificate.public_key, lifting.signature, lifting_bytes(lifting))
    )


def check_dated_now(at_ms: int, now_ms: int) -> None:
    """Admit the instant that a reviewer's own machine gave a word of theirs; raises RefusedError."""
    if abs(at_ms - now_ms) > CLOCK_SLACK_MS:
        raise RefusedError("it is dated at another time: check the reviewer's clock, and sign again")


def settled(case: Case, ruling: Ruling, authors: Collection[str], at_ms: int) -> Case:
    """The case settled by a ruling that holds; `authors` signed what it is about. Raises as `admit_case`."""
    if (ruling.matter, ruling.target, ruling.number) != (case.matter, case.target, case.number):
        raise RefusedError("the ruling is on another case")
    if not case.open:
        raise ConflictError(case.matter, case.target, "is settled already: a new case needs a new ruling")
    check_dated_now(ruling.ruled_at_ms, at_ms)
    if ruling.reviewer in (case.opened_by, *authors):
        raise RefusedError(f"{ruling.reviewer!r} is a party to this case: another reviewer has to settle it")
    check_note(ruling.note, f"a ruling needs a reason of at most {f.TEXT_MAX} characters, for the member")
    return replace(case, settled_at_ms=at_ms, ruling=ruling)
