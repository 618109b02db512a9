"""A passage that pays, on a simulated clock: agreed, charged once, or not at all."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.decide.standing import ABSENT
from edge.decide.verdict import (
    Age,
    Elsewhere,
    GateState,
    Grant,
    Payment,
    Reason,
    Refer,
    StepUp,
    decide,
)
from edge.enact.charge import ChargeAnswer, payment_of
from edge.enact.display import (
    AgreeByChosen,
    Agreed,
    Display,
    Finished,
    HelpAsked,
    NotMe,
    OtherWayAsked,
    Prompt,
)
from edge.enact.record import circumstances_of
from edge.passage.display import display
from edge.passage.effects import Begin, OpenGate, Settle, TakeCharge
from edge.passage.observations import (
    ChargeAnswered,
    ClaimSeen,
    Kept,
    StaffReleases,
    Tick,
)
from edge.passage.state import Phase, new_passage, wants_claim, wants_gestures
from tests.doubles.attempt import (
    CLAIM,
    KNOWN,
    OTHER,
    PASSAGE,
    RULES,
    Attempt,
    face,
    looked_up,
)
from tests.doubles.examples import examples
from tests.doubles.paying import DUE, PAY, PAYS, agreeing, around, nod, view
from wire.ids import RecordId
from wire.records import ChargeOutcome
from wire.values import AgreeBy


def outcome(attempt: Attempt) -> tuple[ChargeOutcome, AgreeBy | None, str | None]:
    charge = attempt.record.charge
    assert charge is not None
    return charge.outcome, charge.agreed_by, charge.reason


def test_nothing_begins_before_a_till_asks_for_something() -> None:
    attempt = Attempt(rules=PAYS).tell(around(due=None), ClaimSeen(CLAIM), OtherWayAsked())
    assert attempt.passage.phase is Phase.WAITING
    assert not attempt.passage.without_face
    assert not wants_claim(attempt.passage)
    assert display(attempt.passage).prompt is Prompt.NO_CHECKOUT
    assert wants_claim(attempt.tell(around()).passage)
    assert display(attempt.passage).checkout.amount_minor == 250


def test_a_kiosk_that_takes_money_never_speaks_of_a_gate_when_its_disk_takes_no_record() -> None:
    unkept = replace(around(due=None), gate=GateState.FAULT)
    attempt = Attempt(new_passage(PASSAGE, b"12345678"), PAYS).tell(unkept)
    assert display(attempt.passage) == Display(Prompt.STAFF)
    attempt = Attempt(new_passage(PASSAGE, b"12345678"), PAYS).tell(around())
    attempt.tell(ClaimSeen(CLAIM), replace(unkept, due=DUE))
    attempt.tell(
        KNOWN,
        looked_up(view()),
        face(),
        face(),
        face(),
    )
    assert attempt.passage.verdict.reasons == (Reason.GATE_FAULT,)
    shown = display(attempt.passage)
    assert (shown.prompt, shown.reasons) == (Prompt.STAFF, ())


def test_a_member_agrees_is_charged_by_central_and_sees_it_only_once_it_is_kept() -> None:
    attempt = agreeing()
    assert display(attempt.passage).prompt is Prompt.AGREE
    assert not attempt.did(Begin)
    attempt.tell(Agreed())
    assert [type(effect) for effect in attempt.effects[-2:]] == [Begin, TakeCharge]
    (kept,) = attempt.did(Begin)
    assert kept.account.charge.outcome is ChargeOutcome.AWAITED
    assert attempt.did(TakeCharge)[0].ask.passage == attempt.passage.passage_id
    attempt.tell(ChargeAnswered(PASSAGE, ChargeAnswer.CHARGED, "charged"))
    assert display(attempt.passage).prompt is Prompt.PAYING
    assert outcome(attempt) == (ChargeOutcome.CAPTURED, AgreeBy.BUTTON, None)
    attempt.tell(Kept(attempt.record))
    shown = display(attempt.passage)
    assert (shown.prompt, attempt.passage.phase) == (Prompt.PAID, Phase.SETTLED)
    assert "amount: 2.50 EUR" in shown.qr_text
    assert f"record: {'3' * 32}" in shown.qr_text
    assert len(shown.qr_rows) == len(shown.qr_rows[0]) > 30
    assert not attempt.did(OpenGate)


def test_central_says_no_and_nothing_is_charged() -> None:
    attempt = agreeing().tell(Agreed(), ChargeAnswered(PASSAGE, ChargeAnswer.DECLINED, "declined"))
    assert outcome(attempt) == (ChargeOutcome.NOT_CHARGED, AgreeBy.BUTTON, "declined")
    assert display(attempt.passage).prompt is Prompt.NOT_CHARGED


@pytest.mark.parametrize("central", [True, False])
def test_a_silent_central_is_decided_again_and_taken_within_the_allowance(central: bool) -> None:
    attempt = agreeing(central=central).tell(Agreed())
    if central:
        attempt.tell(ChargeAnswered(PASSAGE, ChargeAnswer.SILENT))
    else:
        assert not attempt.did(TakeCharge)
    assert outcome(attempt) == (ChargeOutcome.OFFLINE, AgreeBy.BUTTON, None)
    assert isinstance(attempt.effects[-2], Begin)
    assert attempt.record.circumstances.central_answers is False
    assert decide(circumstances_of(attempt.record)) == attempt.passage.verdict
    assert display(attempt.tell(Kept(attempt.record)).passage).prompt is Prompt.PAID


def test_a_silent_central_and_a_spent_allowance_is_another_payment() -> None:
    attempt = agreeing(spent=800).tell(Agreed(), ChargeAnswered(PASSAGE, ChargeAnswer.SILENT))
    assert attempt.passage.verdict == Refer(
        Elsewhere.OTHER_PAYMENT, (Reason.ABOVE_LIMIT, Reason.CENTRAL_SILENT)
    )
    assert outcome(attempt) == (ChargeOutcome.NOT_CHARGED, AgreeBy.BUTTON, None)
    assert attempt.record.standing.offline_spent_minor == 800


def test_another_currency_or_more_than_the_limit_asks_for_the_pin() -> None:
    for seen in (view(currency="USD"), view(limit=249, offline=249), view(Age.STALE, offline=249)):
        assert agreeing(seen).passage.verdict == StepUp((Reason.ABOVE_LIMIT,))
    assert agreeing(ABSENT).passage.verdict == StepUp((Reason.STANDING_ABSENT,))
    assert isinstance(agreeing(view(offline=249), central=False).passage.verdict, Refer)


@pytest.mark.parametrize(
    ("told", "reason"),
    [(NotMe(), "called_off"), (HelpAsked(), "called_off"), (around(due=None), "checkout_closed")],
)
def test_before_they_agree_anybody_may_call_it_off_and_central_is_not_asked(told, reason: str) -> None:
    attempt = agreeing().tell(told)
    assert outcome(attempt) == (ChargeOutcome.NOT_CHARGED, None, reason)
    assert not attempt.did(TakeCharge)


def test_who_does_not_agree_in_time_is_not_charged() -> None:
    attempt = agreeing().wait(PAY.agree_ms)
    assert outcome(attempt) == (ChargeOutcome.NOT_CHARGED, None, "not_agreed")


def test_once_agreed_nothing_calls_it_off_and_a_second_touch_charges_nothing_more() -> None:
    attempt = agreeing().tell(Agreed(), Agreed(), NotMe(), OtherWayAsked(), HelpAsked(), around(due=None))
    assert attempt.passage.phase is Phase.PAYING
    assert len(attempt.did(TakeCharge)) == 1
    charged = ChargeAnswered(PASSAGE, ChargeAnswer.CHARGED)
    attempt.tell(charged, charged, ChargeAnswered(PASSAGE, ChargeAnswer.DECLINED, "declined"))
    assert len(attempt.did(Settle)) == 1


def test_a_decision_that_is_not_kept_charges_nobody() -> None:
    for answer, reason in (
        (ChargeAnswer.NOT_KEPT, "not_kept"),
        (ChargeAnswer.CHECKOUT_CLOSED, "checkout_closed"),
    ):
        attempt = agreeing().tell(Agreed(), ChargeAnswered(PASSAGE, answer))
        assert outcome(attempt) == (ChargeOutcome.NOT_CHARGED, AgreeBy.BUTTON, reason)
    offline = agreeing(central=False).tell(Agreed())
    offline.effects.clear()
    assert (
        outcome(offline.tell(ChargeAnswered(PASSAGE, ChargeAnswer.CHECKOUT_CLOSED)))[0]
        is ChargeOutcome.NOT_CHARGED
    )


def test_a_receipt_goes_when_it_is_finished_or_another_is_to_pay() -> None:
    def paid() -> Attempt:
        attempt = agreeing().tell(Agreed(), ChargeAnswered(PASSAGE, ChargeAnswer.CHARGED), around(due=None))
        return attempt.tell(Kept(attempt.record))

    assert paid().passage.deadline_ms - paid().now_ms == PAY.receipt_ms
    done = paid().tell(Finished())
    assert done.passage.deadline_ms <= done.now_ms
    next_one = paid().tell(around(due=replace(DUE, checkout=RecordId("d" * 32))))
    assert next_one.passage.deadline_ms - next_one.now_ms == RULES.release.linger_ms


def test_staff_cannot_have_a_gate_released_that_is_not_there() -> None:
    attempt = Attempt(rules=PAYS).tell(around(), StaffReleases("ada", "entry", 200_000))
    assert attempt.passage.phase is Phase.WAITING


def test_who_chose_to_nod_agrees_by_two_nods_and_by_the_button_too() -> None:
    attempt = agreeing(by=AgreeBy.NOD)
    assert display(attempt.passage).agree_by is AgreeBy.NOD
    assert wants_gestures(attempt.passage)
    assert nod(attempt).passage.money.agreed_by is None
    assert nod(attempt).passage.money.agreed_by is AgreeBy.NOD
    assert attempt.did(TakeCharge)
    assert agreeing(by=AgreeBy.NOD).tell(Agreed()).passage.money.agreed_by is AgreeBy.BUTTON


def test_somebody_elses_nods_are_nobodys_agreement() -> None:
    attempt = agreeing(by=AgreeBy.NOD)
    for _ in range(4):
        nod(attempt, OTHER)
    assert attempt.passage.money.agreed_by is None
    assert not attempt.did(TakeCharge)


def test_the_way_to_agree_can_be_changed_on_the_screen_and_without_a_face_there_is_the_button() -> None:
    attempt = agreeing().tell(AgreeByChosen(AgreeBy.SMILE))
    assert display(attempt.passage).agree_by is AgreeBy.SMILE
    assert display(attempt.tell(OtherWayAsked()).passage).agree_by is AgreeBy.BUTTON
    attempt.passage = replace(attempt.passage, without_face=True)
    assert not wants_gestures(attempt.tell(AgreeByChosen(AgreeBy.NOD)).passage)


AMOUNTS = st.integers(0, 10_000)


@settings(max_examples=examples(500), deadline=None)
@given(
    amount=AMOUNTS,
    limit=AMOUNTS,
    offline=AMOUNTS,
    spent=AMOUNTS,
    age=st.sampled_from(Age),
    central=st.booleans(),
    currency=st.sampled_from(["EUR", "USD"]),
)
def test_what_may_be_paid_is_never_more_than_what_was_signed_at_that_age(
    *, amount: int, limit: int, offline: int, spent: int, age: Age, central: bool, currency: str
) -> None:
    due = replace(DUE, amount_minor=amount)
    found = payment_of(due, view(age, limit, offline, currency), central_answers=central, spent_minor=spent)
    within = amount + spent <= offline or (amount <= limit and age is Age.FRESH and central)
    assert found is (Payment.WITHIN if within and currency == "EUR" else Payment.ABOVE)


TOLD = st.sampled_from(
    [
        Agreed(),
        NotMe(),
        HelpAsked(),
        OtherWayAsked(),
        Finished(),
        Tick(),
        around(due=None),
        around(),
        around(central=False),
        ChargeAnswered(PASSAGE, ChargeAnswer.CHARGED, "charged"),
        ChargeAnswered(PASSAGE, ChargeAnswer.DECLINED, "declined"),
        ChargeAnswered(PASSAGE, ChargeAnswer.SILENT),
        AgreeByChosen(AgreeBy.NOD),
    ]
)


@settings(max_examples=examples(300), deadline=None)
@given(st.lists(st.tuples(TOLD, st.integers(0, 30_000)), max_size=15))
def test_whatever_happens_nobody_is_charged_twice_or_without_agreeing(story) -> None:
    attempt = agreeing()
    for told, later_ms in story:
        attempt.now_ms += later_ms
        attempt.tell(told)
        assert display(attempt.passage)
    assert len(attempt.did(TakeCharge)) <= 1
    assert len(attempt.did(Settle)) <= 1
    for settle in attempt.did(Settle):
        record = attempt.record
        assert record.charge.outcome is not ChargeOutcome.AWAITED
        assert decide(circumstances_of(record)) == settle.account.verdict
        if record.charge.outcome is not ChargeOutcome.NOT_CHARGED:
            assert isinstance(settle.account.verdict, Grant)
            assert record.charge.agreed_by is not None
            assert attempt.did(Begin)
