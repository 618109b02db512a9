"""A whole enrolment kiosk beside a turnstile: enrol here, pass there, withdraw, and be nobody anywhere."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio

from central.service.withdrawals import Reach
from edge.adapters.central import enrolments as adapter
from edge.compare.claim import QrClaim, qr_text
from edge.compare.member import WithdrawnMember
from edge.enact.display import (
    AgreeByChosen,
    ClaimEntered,
    EnrolNote,
    Finished,
    NotMe,
    OtherWayAsked,
    PinEntered,
    Prompt,
    WithdrawAsked,
    WithdrawConfirmed,
)
from edge.enrolling.state import Step
from tests.doubles.enrol_desk import DESK, PIN, Desk, enrolled_as, open_desk_at, read_code
from tests.doubles.lane import Lane, open_lane
from tests.doubles.waiting import eventually
from wire.enrolment import EnrolReply
from wire.ids import ClaimId
from wire.requests import PinOutcome
from wire.rotation import rotation
from wire.values import AgreeBy, GalleryRow, Tombstone

pytestmark = pytest.mark.asyncio(loop_scope="module")

ENROLLED_FROM, SHOWN = ("obama.jpg", "obama2.jpg", "obama.jpg"), "obama3.jpg"
WINDOW_BYTES = 16
"""Four numbers of a template in a row: found nowhere by chance."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def one_lane(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lane]:
    async with open_lane(tmp_path_factory.mktemp("enrolling")) as lane:
        yield lane


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def one_desk(one_lane: Lane, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    folder = tmp_path_factory.mktemp("desk")
    async with open_desk_at(one_lane, folder, send_ms=1_000) as desk:
        yield desk


@pytest_asyncio.fixture(loop_scope="module")
async def lane(one_lane: Lane) -> Lane:
    await one_lane.calm()
    return one_lane


@pytest_asyncio.fixture(loop_scope="module")
async def desk(one_desk: Desk) -> AsyncIterator[Desk]:
    yield one_desk
    await one_desk.press(NotMe())
    one_desk.floor.nobody()
    await one_desk.until(Prompt.ENROL_WELCOME)


def subjects(lane: Lane) -> dict[str, object]:
    """What central has of everybody."""
    feeds = lane.stage.central.use_cases.feeds
    return {row.subject: row for row in feeds._gallery_rows(feeds._store.subjects_after("", 1000))}


def everything_written(*folders: Path) -> bytes:
    return b"".join(
        path.read_bytes() for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()
    )


def windows(vector: np.ndarray) -> list[bytes]:
    """Pieces of a template as it might lie about: as floats of four or eight bytes, or as half ones."""
    forms = [vector.astype(kind).tobytes() for kind in ("<f4", ">f4", "<f8", "<f2")]
    return [form[at : at + WINDOW_BYTES] for form in forms for at in range(0, len(form), WINDOW_BYTES)]


async def test_who_enrols_at_a_desk_passes_a_turnstile_and_then_withdraws(lane: Lane, desk: Desk):
    central = lane.stage.central.use_cases
    began_s = time.monotonic()
    desk.touches = 0
    amber = lane.member("amber").subject
    claim = await desk.enrols(*ENROLLED_FROM)
    print(f"enrolled by {desk.touches} touches, in {time.monotonic() - began_s:.1f} s of the machine")
    assert desk.opened.enrolments.in_doubt == frozenset()
    newcomer = enrolled_as(lane, claim)
    row = subjects(lane)[newcomer.subject]
    assert isinstance(row, GalleryRow)
    assert row.agree_by is AgreeBy.NOD
    assert row.template.images in range(3, 6)  # two pictures may need a sample more to agree
    # The same face is a member already: both are to claim, and neither was told of the other.
    assert {who for who, each in subjects(lane).items() if getattr(each, "claim_needed", False)} == {
        newcomer.subject,
        amber,
    }
    assert {display.prompt for display in desk.shown} & {Prompt.ENROL_REFUSED, Prompt.STAFF} == set()
    await desk.press(Finished())
    await desk.until(Prompt.ENROL_WELCOME)

    await eventually(lambda: lane.uplink.cache.member(newcomer.subject), "the turnstile knows the newcomer")
    lane.person.pin = newcomer.pin
    await lane.claims_with(newcomer)
    lane.floor.person(SHOWN)
    passed = await lane.settled()
    assert (passed.verdict, passed.subject, passed.gate_outcome) == ("grant", newcomer.subject, "passed")
    assert passed.identified_by == "face"

    await desk.press(WithdrawAsked())
    await desk.until(Prompt.WITHDRAW_CLAIM)
    desk.floor.code(qr_text(claim))
    await desk.until(Prompt.WITHDRAW_PIN)
    desk.floor.nobody()
    await desk.press(PinEntered(newcomer.pin))
    await desk.until(Prompt.WITHDRAW_CONFIRM)
    asked_s = time.monotonic()
    await desk.press(WithdrawConfirmed())
    await desk.until(Prompt.WITHDRAWN)
    await eventually(
        lambda: central.withdrawals.progress(newcomer.subject).count(Reach.REACHED) == 2,
        "turnstile and desk have said that they know",
    )
    print(f"both kiosks had said so {time.monotonic() - asked_s:.1f} s after the confirmation")
    # Whoever says so does know: nobody of that name is left here, nor there.
    for uplink in (lane.uplink, desk.opened.uplink):
        assert isinstance(await uplink.members.resolve(QrClaim(claim)), WithdrawnMember)
        assert isinstance(uplink.cache.member(newcomer.subject), Tombstone | None)
        assert newcomer.subject not in (await uplink.members.read_gallery()).subjects
        standing, _ = uplink.cache.standing_at(newcomer.subject)
        assert isinstance(standing, Tombstone | None)
    assert central.members.check_pin(newcomer.subject, newcomer.pin).outcome is PinOutcome.NO_PIN
    assert isinstance(subjects(lane)[newcomer.subject], Tombstone)
    assert not subjects(lane)[amber].claim_needed
    await lane.claims_with(newcomer)
    refused = await lane.settled()
    assert (refused.verdict, refused.reasons[0], refused.subject) == ("refer", "withdrawn", None)


async def test_no_template_pin_or_claim_is_found_in_the_clear_outside_the_kiosks_memory(
    lane: Lane, desk: Desk
):
    await desk.asks_for_a_face()
    desk.floor.person("astronaut.png")
    await desk.until(Prompt.ENROL_AGREE_BY)
    template = desk.opened.enroller.enrolment.template
    desk.floor.nobody()
    before = len(desk.overheard)
    await desk.press(AgreeByChosen(AgreeBy.SMILE))
    await desk.types_pin_twice()
    claim = desk.opened.enroller.enrolment.claim_id
    await desk.until(Prompt.ENROL_DONE)
    await eventually(lambda: template.subject in subjects(lane), "central has the newcomer")
    lane.stage.central.publish_heads()
    await eventually(lambda: desk.opened.uplink.cache.member(template.subject), "the desk has the row")

    vault = desk.opened.uplink.members.vault
    turned = [rotation(seed, template.vector.size) @ template.vector for seed in vault._seeds.values()]
    secrets = [piece for vector in (template.vector, *turned) for piece in windows(vector)]
    secrets += [PIN.encode(), claim.encode(), claim.upper().encode(), bytes.fromhex(claim)]
    # The lane's folder holds the turnstile's and central's files.
    written = everything_written(desk.folder, Path(lane.stage.config.kiosk.state_dir).parent)
    said = b"".join(desk.overheard)
    assert template.subject.encode() in written  # what is searched is where it would lie
    assert template.subject.encode() in b"".join(desk.overheard[before:])
    for place in (written, said):
        assert [secret for secret in secrets if secret in place] == []


async def test_who_would_rather_not_show_their_face_enrols_and_passes_with_their_pin(lane: Lane, desk: Desk):
    embedded = desk.opened.enroller.embedded_frames
    await desk.asks_for_a_face()
    await desk.press(OtherWayAsked())
    await desk.until(Prompt.ENROL_AGREE_BY)
    await desk.press(AgreeByChosen(AgreeBy.BUTTON))
    await desk.types_pin_twice()
    shown = await desk.until(Prompt.ENROL_DONE)
    newcomer = enrolled_as(lane, read_code(shown))
    assert subjects(lane)[newcomer.subject].template is None
    assert desk.opened.enroller.embedded_frames == embedded

    lane.person.pin = newcomer.pin
    await lane.claims_with(newcomer)
    passed = await lane.settled()
    assert (passed.verdict, passed.subject) == ("grant", newcomer.subject)
    assert lane.embedded == []


async def test_no_face_is_looked_at_before_consent_and_age(
    lane: Lane, desk: Desk, monkeypatch: pytest.MonkeyPatch
):
    embedded, looked, offered = desk.opened.enroller.embedded_frames, [], []
    find = desk.opened.pipeline.find
    preview = desk.opened.enroller._sampler._preview
    monkeypatch.setattr(preview, "offer", lambda _, face: offered.append((desk.step, face is not None)))
    desk.opened.pipeline.find = lambda frame: looked.append(desk.step) or find(frame)
    try:
        desk.floor.person("grace_hopper.jpg")
        for _ in range(2):
            until = desk.floor.painted + 10
            await eventually(lambda least=until: desk.floor.painted >= least, "ten frames go by")
            assert looked == []
            await desk.press(WithdrawAsked())
            await desk.until(Prompt.WITHDRAW_CLAIM)
            await desk.press(NotMe())
            await desk.until(Prompt.ENROL_WELCOME)
        await desk.asks_for_a_face()
        await eventually(lambda: desk.opened.enroller.embedded_frames > embedded, "a sample is taken")
        assert set(looked) == {Step.SAMPLES}
        # In the live picture nobody's face is clear but theirs, and that only now.
        assert {step for step, clear in offered if clear} == {Step.SAMPLES}
        await desk.until(Prompt.ENROL_AGREE_BY)
        await eventually(lambda: (Step.AGREE_BY, False) in offered, "they are covered again")
        assert {step for step, clear in offered if clear} == {Step.SAMPLES}
    finally:
        desk.opened.pipeline.find = find


async def test_who_cancels_before_it_is_sent_was_never_heard_of(lane: Lane, desk: Desk):
    before, said = subjects(lane).keys(), len(desk.overheard)
    await desk.asks_for_a_face()
    desk.floor.person("grace_hopper.jpg")
    await desk.until(Prompt.ENROL_AGREE_BY)
    await desk.press(AgreeByChosen(AgreeBy.SMILE))
    await desk.until(Prompt.ENROL_PIN)
    gone = desk.opened.enroller.enrolment.subject
    await desk.press(PinEntered(PIN), NotMe())
    await desk.until(Prompt.ENROL_WELCOME)
    assert desk.opened.enrolments.in_doubt == frozenset()
    assert subjects(lane).keys() == before
    assert gone.encode() not in b"".join(desk.overheard[said:])
    assert gone.encode() not in everything_written(desk.folder)


async def test_who_cancels_while_it_is_being_sent_is_enrolled_nowhere(lane: Lane, desk: Desk):
    for moment in range(3):  # sooner and later
        before = set(subjects(lane))
        await desk.asks_for_a_face()
        await desk.press(OtherWayAsked())
        await desk.until(Prompt.ENROL_AGREE_BY)
        await desk.press(AgreeByChosen(AgreeBy.SMILE))
        await desk.until(Prompt.ENROL_PIN)
        gone = desk.opened.enroller.enrolment.subject
        await desk.types_pin_twice()
        if moment == 1:
            sent = {Prompt.ENROL_SENDING, Prompt.ENROL_DONE}
            await eventually(lambda seen=sent: desk.showing in seen, "it is being sent")
        elif moment == 2:
            await desk.until(Prompt.ENROL_DONE)
        await desk.press(NotMe())
        await desk.until(Prompt.ENROL_WELCOME)

        def undone(gone=gone) -> bool:
            row = subjects(lane).get(gone)
            return isinstance(row, Tombstone | None) and not desk.opened.enrolments.in_doubt

        await eventually(undone, "nothing is left of them")
        assert set(subjects(lane)) - before <= {gone}


@pytest.fixture
def deafened(lane: Lane, monkeypatch: pytest.MonkeyPatch):
    """Central answers, and none of its answers to an enrolment arrives."""
    router = lane.stage.central.router
    signed = router.signed
    lost = []

    def losing(address, message, purpose=""):
        if isinstance(message, EnrolReply):
            lost.append(message)
            address = type(address)(address.kind, address.site, type(address.name)("nobody-1"))
        return signed(address, message, purpose)

    monkeypatch.setattr(router, "signed", losing)
    return lost


async def test_a_lost_answer_never_leaves_somebody_enrolled_who_does_not_know_it(
    lane: Lane, desk: Desk, deafened: list[EnrolReply]
):
    before = set(subjects(lane))
    await desk.asks_for_a_face()
    await desk.press(OtherWayAsked())
    await desk.until(Prompt.ENROL_AGREE_BY)
    await desk.press(AgreeByChosen(AgreeBy.SMILE))
    await desk.types_pin_twice()
    await desk.until(Prompt.ENROL_REFUSED)
    assert [reply.accepted for reply in deafened] == [True] * adapter.TRIES  # and enrolled once
    (newcomer,) = set(subjects(lane)) - before
    await eventually(lambda: isinstance(subjects(lane)[newcomer], Tombstone), "it is undone")
    await eventually(lambda: not desk.opened.enrolments.in_doubt, "there is no doubt any more")


async def test_a_kiosk_that_ends_before_the_code_was_shown_undoes_the_enrolment_at_its_next_start(
    lane: Lane, desk: Desk, deafened: list[EnrolReply]
):
    before = set(subjects(lane))
    await desk.asks_for_a_face()
    await desk.press(OtherWayAsked())
    await desk.until(Prompt.ENROL_AGREE_BY)
    await desk.press(AgreeByChosen(AgreeBy.SMILE))
    await desk.types_pin_twice()
    await eventually(lambda: deafened, "central has enrolled them")
    assert desk.step is Step.SENDING
    (newcomer,) = set(subjects(lane)) - before
    await desk.stop()
    assert newcomer.encode() in (desk.folder / adapter.DOUBT_FILE).read_bytes()
    assert not isinstance(subjects(lane)[newcomer], Tombstone)
    await desk.start()
    await eventually(lambda: isinstance(subjects(lane)[newcomer], Tombstone), "it is undone")
    await eventually(lambda: not desk.opened.enrolments.in_doubt, "there is no doubt any more")


async def test_a_wrong_pin_withdraws_nobody_and_the_right_one_does(lane: Lane, desk: Desk):
    cedar = lane.member("cedar")
    await desk.press(WithdrawAsked())
    await desk.until(Prompt.WITHDRAW_CLAIM)
    await desk.press(ClaimEntered(qr_text(ClaimId("0" * 32))))
    await eventually(lambda: desk.shown[-1].enrolment.note is EnrolNote.CODE_UNKNOWN, "the code is nobody's")
    await desk.press(ClaimEntered(qr_text(cedar.claim)))
    await desk.until(Prompt.WITHDRAW_PIN)
    await desk.press(PinEntered("00000000"))
    await desk.until(Prompt.WITHDRAW_CONFIRM)
    await desk.press(WithdrawConfirmed())
    await eventually(lambda: desk.shown[-1].tries_left == 4, "four tries are left")
    assert desk.showing is Prompt.WITHDRAW_PIN
    assert isinstance(subjects(lane)[cedar.subject], GalleryRow)
    await desk.press(PinEntered(cedar.pin))
    await desk.until(Prompt.WITHDRAW_CONFIRM)
    await desk.press(WithdrawConfirmed())
    await desk.until(Prompt.WITHDRAWN)
    assert isinstance(subjects(lane)[cedar.subject], Tombstone)


async def test_the_desk_says_that_its_consent_is_an_example(lane: Lane, desk: Desk):
    assert "consent_example" in desk.screen.notice.degraded
    assert desk.screen.notice.mode == "enrol"
    states = lane.stage.central.router.states
    await eventually(lambda: "consent_example" in states[DESK].notes, "central has heard it too")
