"""One to many at a whole kiosk: who is searched for, who is not, and when nobody is any more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio

from edge.capture.detection import ZoneConfig
from edge.capture.sample import Frame
from edge.compare.bound import SearchConfig
from edge.enact.display import OtherWayAsked, Prompt
from edge.errors import ConfigError
from edge.modes.lane import open_kiosk
from edge.passage.state import Phase
from scripts.people.cast import MEMBERS
from scripts.stage.stage import Enrolled, enrol_member
from tests.doubles.actors import ASKING, actor
from tests.doubles.lane import CONFIRM, FACES, STRANGER, Lane, open_lane, staged
from tests.doubles.waiting import WAIT_S, eventually
from wire.records import GateOutcome

pytestmark = pytest.mark.asyncio(loop_scope="module")

START_MS = 600
MOST = 4
"""Members that may be searched: FMR at most 1e-4 each, three attempts a passage."""
MAX_FPIR = 3e-4 * MOST * 1.01
PASSING_FRAMES, ROUND_FRAMES = 6, 36
"""At thirty a second: 200 ms in the picture, and a second outside the zone."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def searching_lane(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lane]:
    confirm = msgspec.structs.replace(CONFIRM, prompt_ms=20_000, challenge_ms=60_000)
    search = SearchConfig("one_to_many", max_fpir=MAX_FPIR, start_ms=START_MS)
    folder = tmp_path_factory.mktemp("searching")
    async with open_lane(folder, staged(confirm=confirm, search=search)) as lane:
        yield lane


@pytest_asyncio.fixture(loop_scope="module")
async def lane(searching_lane: Lane) -> AsyncIterator[Lane]:
    await searching_lane.calm()
    await the_next_may_begin(searching_lane)
    searching_lane.shown.clear()
    yield searching_lane
    await searching_lane.calm()


async def the_next_may_begin(lane: Lane) -> None:
    """The zone has been empty long enough, and members are searched for."""
    kiosk = lane.kiosk
    await eventually(
        lambda: kiosk.passage.surroundings.searches and not kiosk.passage.approach.served,
        "the next face may begin",
    )


async def enrolled_again(lane: Lane, *, seed: int, expected: int) -> Enrolled:
    """The first member enrols once more, as somebody else; the kiosk's gallery has them."""
    stage = lane.stage
    images = stage.cast.enrolment_images(MEMBERS[0], seed)
    twin = await asyncio.to_thread(enrol_member, stage.central, stage.kiosk, MEMBERS[0], images)
    await gallery_is(lane, expected)
    return twin


async def gallery_is(lane: Lane, subjects: int) -> None:
    """Central tells its gallery, and the kiosk has surveyed it: so many members."""
    lane.stage.central.publish_heads()
    await eventually(
        lambda: (told := lane.uplink.reporter.state().search) and told.subjects == subjects,
        f"{subjects} members are surveyed",
    )


async def test_a_member_who_walks_up_without_a_code_passes_once_the_challenge_is_met(lane: Lane) -> None:
    birch = await actor(lane, "birch")
    await the_next_may_begin(lane)
    lane.floor.shows(birch)
    record = await lane.settled()
    assert (record.verdict, record.gate_outcome) == ("grant", GateOutcome.PASSED)
    assert (record.subject, record.identified_by) == (lane.member("birch").subject, "face")
    assert record.circumstances.liveness == "bona_fide"
    assert record.comparison.margin > record.comparison.margin_floor
    asked = [prompt for prompt in dict.fromkeys(lane.prompts) if prompt in ASKING]
    assert len(asked) == 2


async def test_a_stranger_is_asked_for_a_code_and_nothing_about_them_is_recorded(lane: Lane) -> None:
    lane.floor.person(STRANGER)
    async with asyncio.timeout(WAIT_S):
        record = (await lane.stage.reports.get()).record
    assert (record.verdict, record.refer_to, record.reasons) == ("refer", "other_way", ("no_match",))
    assert (record.subject, record.identified_by, record.comparison, record.standing) == (None,) * 4
    assert Prompt.CLAIM_NEEDED in lane.prompts
    # They stay: the same face begins nothing more, and nobody looks at it again.
    await eventually(lambda: lane.kiosk.is_waiting, "the outcome has left the screen")
    looked_at = len(lane.embedded)
    await lane.time_passes(3 * START_MS)
    await lane.seen(10)
    assert len(lane.embedded) == looked_at
    assert (lane.kiosk.is_waiting, lane.stage.reports.empty()) == (True, True)
    assert lane.prompts[-1] is Prompt.SHOW_CLAIM


async def test_who_walks_past_or_stands_outside_the_zone_is_never_embedded(lane: Lane) -> None:
    before = lane.kiosk.embedded_frames, lane.uplink.outbox.backlog.last
    lane.floor.person(FACES["amber"])
    near = lane.floor[0]
    lane.floor.nobody()
    hall = lane.floor[0]
    far = lane.floor._figure(FACES["amber"]).onto(hall, 80, 150, 0.2, 0.0)
    faces = lane.stage.kiosk.pipeline.detect(Frame(far, 0, "far"))
    assert faces
    assert all(face.box.height < ZoneConfig().min_face_height_px for face in faces)
    seen = []

    def passing(index: int):
        seen.append(index % ROUND_FRAMES < PASSING_FRAMES)
        return near if seen[-1] else far

    lane.floor.shows(passing)
    await eventually(lambda: sum(seen) > 10 and len(seen) > 80, "they have passed several times")
    assert lane.embedded == []
    assert (lane.kiosk.embedded_frames, lane.uplink.outbox.backlog.last) == before
    assert lane.kiosk.is_waiting


async def test_who_holds_up_a_code_is_compared_with_that_member_alone(lane: Lane) -> None:
    lane.person.pin = lane.member("cedar").pin
    await lane.claims("cedar")
    lane.floor.person(FACES["cedar"])
    await eventually(lambda: lane.kiosk.passage.phase is Phase.CHALLENGING, "the face matches")
    lane.stage.screen.press(OtherWayAsked())
    record = await lane.settled()
    assert (record.verdict, record.subject) == ("grant", lane.member("cedar").subject)
    assert record.comparison.margin is None


async def test_members_who_are_alike_are_asked_to_claim_and_pass_with_their_code(lane: Lane) -> None:
    twin = await enrolled_again(lane, seed=11, expected=MOST)
    try:
        await the_next_may_begin(lane)
        lane.floor.person(FACES["amber"])
        record = await lane.settled()
        assert (record.reasons, record.subject) == (("ambiguous",), None)
        assert Prompt.CLAIM_NEEDED in lane.prompts
        lane.person.pin = twin.pin
        await lane.claims_with(twin)
        lane.floor.person(FACES["amber"])
        await eventually(lambda: lane.kiosk.passage.phase is Phase.CHALLENGING, "the face matches")
        lane.stage.screen.press(OtherWayAsked())
        record = await lane.settled()
        assert (record.verdict, record.subject) == ("grant", twin.subject)
    finally:
        lane.stage.central.use_cases.members.withdraw(twin.subject)
        await gallery_is(lane, MOST - 1)


async def test_state_says_that_members_are_searched_for_and_within_which_bound(lane: Lane) -> None:
    told = lane.uplink.reporter.state().search
    assert (told.offered, told.subjects, told.most_subjects) == (True, 3, MOST)
    assert told.fpir == pytest.approx(3e-4 * 3)
    assert told.max_fpir == MAX_FPIR
    assert not {note for note in lane.notes if note.startswith(("photo_risk", "search"))}


async def test_a_gallery_past_the_bound_is_searched_no_more_and_refused_at_the_next_start(
    searching_lane: Lane,
) -> None:
    lane = searching_lane  # and its kiosk ends with this test, which is the last
    await lane.calm()
    await the_next_may_begin(lane)
    for number in (1, 2):
        await enrolled_again(lane, seed=20 + number, expected=3 + number)
    assert lane.notes & {"search_over_bound", "search_fault"} == {"search_over_bound"}
    told = lane.uplink.reporter.state().search
    assert (told.offered, told.subjects) == (False, MOST + 1)
    assert told.fpir > told.max_fpir
    await eventually(lambda: "search" in lane.degraded, "the screen says so")
    await eventually(lambda: lane.prompts[-1] is Prompt.SHOW_CLAIM, "the screen asks for a code")
    lane.embedded.clear()  # of the enrolments
    lane.floor.person(FACES["birch"])
    await lane.time_passes(3 * START_MS)
    await lane.seen(10)
    assert (lane.embedded, lane.kiosk.is_waiting) == ([], True)
    record = await lane.passes_by_pin("birch")
    assert record.verdict == "grant"
    await lane.stage.stop_kiosk()
    with pytest.raises(ConfigError) as refused:
        async with open_kiosk(lane.stage.config):
            pass
    said = str(refused.value)
    assert said.startswith(f"search.max_fpir = {MAX_FPIR}: one to many among {MOST + 1} members could name")
    assert f"the largest gallery allowed is {MOST} members" in said
