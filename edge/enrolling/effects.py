"""What an enrolment asks of the shell, in order."""

from __future__ import annotations

from dataclasses import dataclass, field

from edge.compare.claim import Claim
from edge.compare.gallery import Template
from edge.enact.enrolling import Application
from wire.ids import SubjectId


@dataclass(frozen=True, slots=True, eq=False)
class CheckClashes:
    """Look for members too much like this template; answered by `ClashesFound`."""

    template: Template


@dataclass(frozen=True, slots=True, eq=False)
class Send:
    """Ask central to enrol the newcomer; answered by `Answered`."""

    application: Application


@dataclass(frozen=True, slots=True)
class Settle:
    """The member is shown their code: what was sent stands."""

    subject: SubjectId


@dataclass(frozen=True, slots=True)
class Undo:
    """They left before that, or took it back: whatever of it reached central is withdrawn."""

    subject: SubjectId


@dataclass(frozen=True, slots=True)
class ResolveClaim:
    """Whose code is it? Answered by `ClaimFound`."""

    enrolment: SubjectId
    claim: Claim


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Withdraw a member by their PIN; answered by `WithdrawalJudged`."""

    enrolment: SubjectId
    subject: SubjectId
    pin: str = field(repr=False)


Effect = CheckClashes | Send | Settle | Undo | ResolveClaim | Withdraw
