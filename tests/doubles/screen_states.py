"""Every prompt with what it is shown with, as the browser tests show it."""

from __future__ import annotations

from typing import Any

import segno

from edge.adapters.screen.texts import MESSAGES
from edge.capture.sample import Obstacle
from edge.decide.verdict import Lane, Reason
from edge.enact.display import (
    CheckoutShown,
    Display,
    EnrolmentShown,
    HelpAsked,
    NotMe,
    OtherWayAsked,
    Prompt,
    Touch,
)
from wire.values import AgreeBy

LANGUAGES = tuple(sorted(path.stem for path in MESSAGES.glob("*.json")))
CHECKOUT = CheckoutShown("Café on the Quay", 123_450, "EUR", "Table 7")
CLAIM = "STILE:" + "0123456789ABCDEF" * 2
RECEIPT = "merchant: Café on the Quay\nfor: Table 7\namount: 1234.50 EUR\nagreed by: smile\npaid: charged"
CONSENT = "\n\n".join(
    f"Paragraph {number}. " + "We measure your face, and keep no picture. " * 6 for number in range(12)
)
STEPS = (
    Prompt.ENROL_CONSENT,
    Prompt.ENROL_AGE,
    Prompt.ENROL_SAMPLES,
    Prompt.ENROL_AGREE_BY,
    Prompt.ENROL_PIN,
    Prompt.ENROL_PIN_AGAIN,
    Prompt.ENROL_DONE,
)


def qr_rows(text: str) -> tuple[str, ...]:
    """A QR code as the kiosk gives it to its page."""
    return tuple("".join("01"[dark > 0] for dark in row) for row in segno.make(text).matrix_iter(border=4))


def step(number: int, **fields: Any) -> EnrolmentShown:
    """An enrolment that is so far."""
    wanted = 5 if number == 3 else 0
    return EnrolmentShown(
        number, len(STEPS), samples=2, samples_wanted=wanted, languages=LANGUAGES, minimum_age=16, **fields
    )


def always_offered(prompt: Prompt) -> dict[str, Touch]:
    """The buttons that stay, by name, in English; what enrolling has no use for is not there."""
    enrolling = prompt.startswith(("enrol_", "withdraw"))
    offered: dict[str, Touch] = {"Cancel" if enrolling else "Not me": NotMe(), "Help": HelpAsked()}
    if not enrolling or prompt in {Prompt.ENROL_SAMPLES, Prompt.ENROL_AGAIN}:
        offered["Another way"] = OtherWayAsked()
    return offered


STATES: dict[Prompt, Display] = {prompt: Display(prompt) for prompt in Prompt} | {
    Prompt.LOOK_HERE: Display(Prompt.LOOK_HERE, hint=Obstacle.TOO_SMALL),
    Prompt.ENTER_PIN: Display(Prompt.ENTER_PIN, reasons=(Reason.TIER_ASSISTED,), tries_left=3),
    Prompt.WELCOME: Display(Prompt.WELCOME, lane=Lane.PRIORITY, reasons=(Reason.TIER_PRIORITY,)),
    Prompt.OTHER_WAY: Display(Prompt.OTHER_WAY, reasons=(Reason.NO_MATCH,)),
    Prompt.OTHER_PAYMENT: Display(Prompt.OTHER_PAYMENT, reasons=(Reason.ABOVE_LIMIT, Reason.CENTRAL_SILENT)),
    Prompt.STAFF: Display(Prompt.STAFF, reasons=(Reason.SECOND_FACTOR_EXHAUSTED,)),
    Prompt.DENIED: Display(
        Prompt.DENIED,
        reasons=(Reason.RESTRICTION,),
        restriction_reason="Fares left unpaid on three journeys; until 31 December.",
        contest_code="K7QF-29XM",
    ),
    Prompt.GATE_FREE: Display(Prompt.GATE_FREE, reasons=(Reason.EMERGENCY,)),
    Prompt.GATE_FAULT: Display(Prompt.GATE_FAULT, reasons=(Reason.GATE_FAULT,)),
    Prompt.LANE_CLOSED: Display(Prompt.LANE_CLOSED, reasons=(Reason.LANE_CLOSED,)),
    Prompt.AGREE: Display(Prompt.AGREE, checkout=CHECKOUT, agree_by=AgreeBy.SMILE),
    Prompt.PAYING: Display(Prompt.PAYING, checkout=CHECKOUT),
    Prompt.PAID: Display(Prompt.PAID, checkout=CHECKOUT, qr_rows=qr_rows(RECEIPT), qr_text=RECEIPT),
    Prompt.NOT_CHARGED: Display(Prompt.NOT_CHARGED, checkout=CHECKOUT, reasons=(Reason.ABOVE_LIMIT,)),
    **{prompt: Display(prompt, enrolment=step(number)) for number, prompt in enumerate(STEPS, 1)},
    Prompt.ENROL_WELCOME: Display(Prompt.ENROL_WELCOME, enrolment=step(0)),
    Prompt.ENROL_CONSENT: Display(Prompt.ENROL_CONSENT, enrolment=step(1, consent_text=CONSENT)),
    Prompt.ENROL_DONE: Display(
        Prompt.ENROL_DONE, enrolment=step(7), qr_rows=qr_rows(CLAIM), card_name="Metro of the North"
    ),
}
