"""What a passage asks of the kiosk, to be done in the order given.

A question names its passage and what it asks about; its answer names them again.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge.capture.sample import Probe
from edge.compare.claim import Claim
from edge.enact.charge import ChargeAsk
from edge.enact.display import PinEntered
from edge.enact.record import Account
from firmware_bridge.gate import GateRelease
from wire.ids import PassageId, SubjectId


@dataclass(frozen=True, slots=True)
class ResolveClaim:
    """Find out whose claim it is; answer with ClaimResolved."""

    passage: PassageId
    claim: Claim


@dataclass(frozen=True, slots=True, eq=False)
class Search:
    """Look for the probe in the gallery, within its bound; answer with Searched."""

    passage: PassageId
    probe: Probe


@dataclass(frozen=True, slots=True)
class FetchStanding:
    """Look the standing up; answer with StandingSeen.

    `proven`: asked after a good second factor. It may have changed while the PIN was typed, so an answer that
    was asked for before is not used then.
    """

    passage: PassageId
    subject: SubjectId
    proven: bool = False


@dataclass(frozen=True, slots=True)
class CheckPin:
    """Judge a PIN; answer with PinJudged."""

    passage: PassageId
    subject: SubjectId
    pin: PinEntered


@dataclass(frozen=True, slots=True)
class Begin:
    """Keep the decision durably before the gate opens on it, or central is asked for money."""

    account: Account


@dataclass(frozen=True, slots=True)
class OpenGate:
    """Release the gate; answer with GateAnswered once it has ended."""

    release: GateRelease


@dataclass(frozen=True, slots=True)
class TakeCharge:
    """Ask central to charge the member; answer with ChargeAnswered."""

    ask: ChargeAsk


@dataclass(frozen=True, slots=True)
class Settle:
    """Put the final record into the outbox; of a payment, answer with Kept."""

    account: Account


Effect = ResolveClaim | Search | FetchStanding | CheckPin | Begin | OpenGate | TakeCharge | Settle
