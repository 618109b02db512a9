"""What the screen shows: one value, derived from a passage, that every screen can render."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from edge.capture.sample import Obstacle
from edge.decide.verdict import Lane, Reason


class Prompt(StrEnum):
    """The one plain sentence on the screen; its text is in the screen's message files."""

    STARTING = "starting"
    SHOW_CLAIM = "show_claim"  # nobody is in a passage: hold up your code, or use another way
    LOOK_OR_CLAIM = (
        "look_or_claim"  # the same where members are also searched for: look, or hold up your code
    )
    LOOK_HERE = "look_here"  # no usable face yet; `hint` says what to do about it
    HOLD_STILL = "hold_still"
    TURN_LEFT = "turn_left"  # the four gestures of a challenge; left and right are the member's own
    TURN_RIGHT = "turn_right"
    LOOK_UP = "look_up"
    NOD = "nod"
    ENTER_CLAIM = "enter_claim"
    ENTER_PIN = "enter_pin"
    CHECKING = "checking"
    WELCOME = "welcome"
    THANKS = "thanks"
    CLAIM_NEEDED = "claim_needed"  # a face alone did not do: hold up your code
    OTHER_WAY = "other_way"
    OTHER_PAYMENT = "other_payment"
    STAFF = "staff"
    DENIED = "denied"
    GATE_FREE = "gate_free"
    GATE_FAULT = "gate_fault"
    LANE_CLOSED = "lane_closed"


@dataclass(frozen=True, slots=True)
class Display:
    """One state of the screen; a field that does not apply is empty.

    `hint` is why the last frame could not be used; `lane` is shown with WELCOME, `tries_left` with ENTER_PIN
    after a wrong PIN, `restriction_reason` and `contest_code` with DENIED. `enrol_again` invites a member
    who has no template of the recipe in use, or of the next one, with ENTER_PIN and WELCOME.
    """

    prompt: Prompt
    hint: Obstacle | None = None
    lane: Lane | None = None
    reasons: tuple[Reason, ...] = ()
    tries_left: int | None = None
    restriction_reason: str = ""
    contest_code: str = ""
    enrol_again: bool = False


@dataclass(frozen=True, slots=True)
class Notice:
    """What stays on the screen whatever the prompt: how old the cache is, and what is degraded.

    `photo_risk`: no passage is tested for photographs; `photo_risk_first_use`: a member's first is not.
    """

    standing_age_s: int | None
    degraded: tuple[str, ...] = ()
    photo_risk: bool = False
    photo_risk_first_use: bool = False


@dataclass(frozen=True, slots=True)
class ClaimEntered:
    """The member typed or scanned a claim into the screen; not yet parsed."""

    text: str


@dataclass(frozen=True, slots=True)
class PinEntered:
    """The member typed a PIN; never logged, never stored, hence not in the repr."""

    pin: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class OtherWayAsked:
    """The member wants to pass without a face."""


@dataclass(frozen=True, slots=True)
class NotMe:
    """The person cancels: this passage is not theirs."""


@dataclass(frozen=True, slots=True)
class HelpAsked:
    """The person calls for staff."""


Touch = ClaimEntered | PinEntered | OtherWayAsked | NotMe | HelpAsked
