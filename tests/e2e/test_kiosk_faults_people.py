"""People who want nothing, people who are not who they claim, and members who left."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from central.app import load_config
from central.rules.restriction import Terms
from central.trial import add_reviewer, issue_restriction
from edge.capture.detection import ZoneConfig
from edge.capture.sample import Frame
from edge.compare.claim import qr_text
from edge.decide.verdict import RestrictionState
from edge.enact.display import NotMe, OtherWayAsked, Prompt
from edge.passage.advance import RECLAIM_MS
from scripts.people.cast import MEMBERS
from scripts.stage.stage import OPERATOR, PURPOSE, enrol_member
from tests.doubles.lane import FACES, STRANGER, Lane
from tests.doubles.waiting import WAIT_S, eventually
from wire.ids import OperatorId, Purpose, ReasonCode, ReviewerId
from wire.records import GateOutcome
from wire.signing import DAY_MS

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_nobody_is_recognised_who_claims_nothing(lane: Lane):
    before = lane.kiosk.embedded_frames, lane.uplink.outbox.backlog.last
    lane.floor.person(FACES["amber"])
    await lane.seen(60)
    face = lane.stage.kiosk.pipeline.find(Frame(lane.floor[0], 0, "floor"))
    assert face.box.height > ZoneConfig().min_face_height_px
    assert lane.embedded == []
    assert (lane.kiosk.embedded_frames, lane.uplink.outbox.backlog.last) == before
    assert lane.stage.reports.empty()
    assert lane.kiosk.is_waiting


async def test_only_the_face_in_the_zone_is_embedded_when_two_are_in_the_picture(lane: Lane):
    lane.floor.person_before_another(FACES["birch"], STRANGER)
    faces = lane.stage.kiosk.pipeline.detect(Frame(lane.floor[0], 0, "floor"))
    assert len(faces) == 2
    near, far = sorted((face.box for face in faces), key=lambda box: -box.height)
    assert far.height < ZoneConfig().min_face_height_px < near.height

    await lane.claims("birch")
    lane.floor.person_before_another(FACES["birch"], STRANGER)
    record = await lane.settled()
    assert (record.verdict, record.subject) == ("grant", lane.member("birch").subject)
    assert len(lane.embedded) >= 3
    assert all(box.iou(near) > 0.3 for box in lane.embedded)
    assert all(box.iou(far) == 0 for box in lane.embedded)


async def test_whoever_leaves_the_picture_before_they_are_known_leaves_no_name(lane: Lane):
    with lane.impatient():
        await lane.claims("amber")
        lane.floor.nobody()
        record = await lane.settled()
    assert (record.verdict, record.refer_to, record.reasons) == (
        "refer",
        "other_way",
        ("failure_to_acquire",),
    )
    assert (record.subject, record.comparison, record.standing) == (None, None, None)


async def test_a_passage_called_off_leaves_no_record(lane: Lane):
    last = lane.uplink.outbox.backlog.last
    await lane.claims("birch")
    lane.stage.screen.press(NotMe())
    await eventually(lambda: lane.kiosk.is_waiting, "the kiosk is free again")
    assert lane.uplink.outbox.backlog.last == last
    assert lane.stage.reports.empty()


async def test_a_stranger_with_a_members_code_is_shown_another_way(lane: Lane):
    record = await lane.passes("cedar", shown=STRANGER)
    assert (record.verdict, record.refer_to, record.reasons) == ("refer", "other_way", ("no_match",))
    assert record.subject is None
    assert record.comparison.similarity < record.comparison.threshold
    assert Prompt.OTHER_WAY in lane.prompts


async def test_a_code_held_up_all_the_while_is_one_passage_and_opens_nothing(lane: Lane):
    cedar = lane.member("cedar")
    opened = len(lane.gate(lambda gate: gate.history))
    await lane.may_claim(cedar)
    for held_ms in (RECLAIM_MS + 300, 0):
        lane.floor.person_with_code(STRANGER, qr_text(cedar.claim))
        async with asyncio.timeout(WAIT_S):
            report = await lane.stage.reports.get()
        lane.reports.append(report)
        assert report.record.reasons == ("no_match",)
        # Longer than a code that is out of sight must stay away: it is in sight, so nothing begins.
        await lane.time_passes(held_ms)
        await eventually(lambda: lane.kiosk.is_waiting, "the outcome has left the screen")
        assert lane.stage.reports.empty()
        await lane.may_claim(cedar)
    assert len(lane.gate(lambda gate: gate.history)) == opened


async def test_a_member_who_withdrew_is_referred_to_staff_and_not_looked_at(lane: Lane):
    stage = lane.stage
    images = stage.cast.enrolment_images(MEMBERS[1], 11)
    leaver = await asyncio.to_thread(enrol_member, stage.central, stage.kiosk, MEMBERS[1], images)
    stage.central.publish_heads()
    await eventually(lambda: lane.uplink.cache.member(leaver.subject), "the kiosk has the new member")
    lane.stage.enrolled["leaver"] = leaver
    try:
        assert (await lane.passes("leaver", shown=FACES["birch"])).subject == leaver.subject
        stage.central.use_cases.members.withdraw(leaver.subject)
        stage.central.publish_heads()
        await eventually(lambda: len(lane.uplink.members.gallery()) == len(MEMBERS), "the template is gone")
        lane.embedded.clear()
        record = await lane.passes("leaver", shown=FACES["birch"])
    finally:
        del lane.stage.enrolled["leaver"]
    assert (record.verdict, record.refer_to, record.reasons) == ("refer", "staff", ("withdrawn",))
    assert (record.subject, record.comparison) == (None, None)
    assert lane.embedded == []


async def test_a_member_passes_by_code_and_pin_with_no_face(lane: Lane):
    record = await lane.passes_by_pin("birch")
    assert (record.verdict, record.identified_by, record.comparison) == ("grant", "claim+pin", None)
    assert record.gate_outcome is GateOutcome.PASSED
    assert lane.embedded == []


async def test_a_wrong_pin_opens_nothing(lane: Lane):
    birch = lane.member("birch")
    wrong = f"{(int(birch.pin) + 1) % 10**6:06}"
    await lane.may_claim(birch)
    lane.person.pin = wrong
    lane.stage.screen.press(OtherWayAsked())
    await eventually(lambda: lane.kiosk.passage.without_face, "the other way is offered")
    lane.floor.code(qr_text(birch.claim))
    await eventually(lambda: lane.shown and lane.shown[-1].tries_left is not None, "the PIN was wrong")
    assert lane.shown[-1].prompt is Prompt.ENTER_PIN
    assert lane.gate(lambda gate: gate.open_passage) is None
    lane.stage.screen.press(NotMe())
    await eventually(lambda: lane.kiosk.is_waiting, "the kiosk is free again")


async def test_a_reviewers_restriction_denies_and_a_revoked_reviewers_does_not(lane: Lane):
    _, bea = lane.stage._reviewers
    config = load_config(Path(lane.stage.config.kiosk.state_dir).parent / "central" / "central.toml")
    vera = await asyncio.to_thread(add_reviewer, config, ReviewerId("vera"))
    amber, use_cases = lane.member("amber"), lane.stage.central.use_cases
    now_ms = use_cases.context.now_ms()
    why = (ReasonCode("staff_assaulted"), "Incident 12", now_ms + DAY_MS)
    made = issue_restriction(
        use_cases, Terms(amber.subject, OperatorId(OPERATOR), Purpose(PURPOSE), *why), (bea, vera)
    )
    await lane.stage._told(amber.subject, RestrictionState.VERIFIED)
    record = await lane.passes("amber")
    assert (record.verdict, record.reasons[0], record.restriction) == (
        "deny",
        "restriction",
        made.restriction_id,
    )
    assert (record.contest_code, record.gate_outcome) == (made.contest_code, GateOutcome.NOT_RELEASED)

    use_cases.reviews.revoke(ReviewerId("vera"))
    await lane.stage._told(amber.subject, RestrictionState.NONE)
    record = await lane.passes("amber")
    assert (record.verdict, record.restriction) == ("grant", None)
