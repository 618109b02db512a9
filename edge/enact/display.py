"""What the screen shows: one value, derived from a passage, that every screen can render."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from edge.capture.sample import Obstacle
from edge.decide.verdict import Lane, Reason
from wire.values import AgreeBy

KioskMode = Literal["turnstile", "pay", "enrol"]
"""What a kiosk is for: `kiosk.mode`."""
CONSENT_MAX_CHARS = 4_096
"""The longest consent text that is shown; two minutes of reading."""
QR_ROWS_MAX = 185
"""Modules on a side of the largest QR code (ISO/IEC 18004: 177), and four of quiet zone on each."""


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

    NO_CHECKOUT = "no_checkout"  # a till has asked for nothing yet
    AGREE = "agree"  # the amount, and three equal ways to agree; `agree_by` is the one watched for
    PAYING = "paying"
    PAID = "paid"  # with the receipt's QR
    NOT_CHARGED = "not_charged"

    ENROL_WELCOME = "enrol_welcome"  # nobody is enrolling: begin in one of `enrolment.languages`, or withdraw
    ENROL_CONSENT = "enrol_consent"
    ENROL_AGE = "enrol_age"
    ENROL_SAMPLES = "enrol_samples"  # `hint` says why the last frame was no sample
    ENROL_AGREE_BY = "enrol_agree_by"  # how the member will agree to payments
    ENROL_PIN = "enrol_pin"
    ENROL_PIN_AGAIN = "enrol_pin_again"
    ENROL_SENDING = "enrol_sending"
    ENROL_DONE = "enrol_done"  # with the claim's QR and the card to print
    ENROL_UNDER_AGE = "enrol_under_age"
    ENROL_REFUSED = "enrol_refused"
    ENROL_AGAIN = "enrol_again"  # the samples were not alike: take them again
    WITHDRAW_CLAIM = "withdraw_claim"
    WITHDRAW_PIN = "withdraw_pin"
    WITHDRAW_CONFIRM = "withdraw_confirm"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class CheckoutShown:
    """What a till asks for: who gets the money, and how much in minor units of an ISO 4217 currency."""

    merchant: str
    amount_minor: int
    currency: str
    reference: str


class EnrolNote(StrEnum):
    """Why the last thing somebody typed or showed did not do; its text is in the message files."""

    PIN_GUESSED_FIRST = "pin_guessed_first"  # 1111, 1234: others try these before any other
    PINS_DIFFER = "pins_differ"
    CODE_UNKNOWN = "code_unknown"  # nobody's: of another place, or not yet known here


@dataclass(frozen=True, slots=True)
class EnrolmentShown:
    """How far an enrolment is: `step` of `steps`, counted from one; samples taken of those wanted.

    `consent_text` (at most `CONSENT_MAX_CHARS`) is in the language the enrolment began in; `languages` are
    those that there is a consent text in. `minimum_age`: years from which people consent for themselves.
    """

    step: int
    steps: int
    samples: int = 0
    samples_wanted: int = 0
    consent_version: str = ""
    consent_text: str = ""
    languages: tuple[str, ...] = ()
    minimum_age: int = 0
    note: EnrolNote | None = None


@dataclass(frozen=True, slots=True)
class Display:
    """One state of the screen; a field that does not apply is empty.

    `hint` is why the last frame could not be used; `lane` is shown with WELCOME, `tries_left` with ENTER_PIN
    after a wrong PIN, `restriction_reason` and `contest_code` with DENIED. `enrol_again` invites a member
    who has no template of the recipe in use, or of the next one, with ENTER_PIN and WELCOME.

    `checkout` is shown with every prompt while one is open. `qr_rows` are a QR code's rows of "0" and "1",
    its quiet zone included (at most `QR_ROWS_MAX`); `qr_text` is what a receipt's says, to be read out;
    `card_name` is whose card it is to be printed on: the operator's name.
    """

    prompt: Prompt
    hint: Obstacle | None = None
    lane: Lane | None = None
    reasons: tuple[Reason, ...] = ()
    tries_left: int | None = None
    restriction_reason: str = ""
    contest_code: str = ""
    enrol_again: bool = False
    checkout: CheckoutShown | None = None
    agree_by: AgreeBy | None = None
    enrolment: EnrolmentShown | None = None
    # A claim's QR lets its bearer claim to be the member: in no log, hence not in the repr.
    qr_rows: tuple[str, ...] = field(default=(), repr=False)
    qr_text: str = field(default="", repr=False)
    card_name: str = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """What stays on the screen whatever the prompt: how old the cache is, and what is degraded.

    `photo_risk`: no passage is tested for photographs; `photo_risk_first_use`: a member's first is not.
    `mode`: which of the three screens this is.
    """

    standing_age_s: int | None
    degraded: tuple[str, ...] = ()
    photo_risk: bool = False
    photo_risk_first_use: bool = False
    mode: KioskMode = "turnstile"


@dataclass(frozen=True, slots=True)
class ClaimEntered:
    """The member typed or scanned a claim into the screen; not yet parsed, and not in the repr."""

    text: str = field(repr=False)


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


@dataclass(frozen=True, slots=True)
class Agreed:
    """The member pressed the button that agrees to the amount shown."""


@dataclass(frozen=True, slots=True)
class AgreeByChosen:
    """The member wants to agree so: to this payment (AGREE), or from now on (ENROL_AGREE_BY)."""

    by: AgreeBy


@dataclass(frozen=True, slots=True)
class EnrolBegun:
    """Somebody wants to enrol and to read the consent in this language, an ISO 639 code.

    It comes again while the consent is shown if they choose another language.
    """

    language: str


@dataclass(frozen=True, slots=True)
class ConsentAnswered:
    """The answer to the consent text that is shown."""

    given: bool


@dataclass(frozen=True, slots=True)
class AgeAnswered:
    """Whether the person says that they have reached the age of consent."""

    of_age: bool


@dataclass(frozen=True, slots=True)
class WithdrawAsked:
    """A member wants to leave, and everything kept about their face gone."""


@dataclass(frozen=True, slots=True)
class WithdrawConfirmed:
    """They are sure."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The person has what they came for: the next one may come."""


@dataclass(frozen=True, slots=True)
class SamplesAgain:
    """The person is ready for another set of samples."""


PassTouch = ClaimEntered | PinEntered | OtherWayAsked | NotMe | HelpAsked
"""What any screen may send."""
PayTouch = Agreed | AgreeByChosen | Finished
"""What the pay screen may send besides."""
EnrolTouch = (
    AgreeByChosen
    | EnrolBegun
    | ConsentAnswered
    | AgeAnswered
    | WithdrawAsked
    | WithdrawConfirmed
    | Finished
    | SamplesAgain
)
"""What the enrolment screen may send besides."""
Touch = PassTouch | PayTouch | EnrolTouch
