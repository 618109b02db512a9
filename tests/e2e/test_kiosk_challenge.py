"""The challenge at a whole kiosk: the screen asks, a rendered head answers, the gate opens or does not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from edge.capture.sample import Image
from edge.confirm.liveness import CHALLENGE_TRIES
from edge.enact.display import NotMe, OtherWayAsked, Prompt
from edge.passage.state import Phase
from tests.doubles.actors import ASKING, actor
from tests.doubles.lane import CONFIRM, FACES, Lane, open_lane, staged
from tests.doubles.waiting import eventually
from wire.records import GateOutcome, PassRecord

pytestmark = pytest.mark.asyncio(loop_scope="module")

GESTURE_MIN_MS, PIN_MIN_MS = 2_000, 5_000
"""The least that may be configured."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def challenged_lane(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lane]:
    confirm = msgspec.structs.replace(CONFIRM, challenge="always", prompt_ms=20_000, challenge_ms=60_000)
    async with open_lane(tmp_path_factory.mktemp("challenged"), staged(confirm=confirm)) as lane:
        yield lane


@pytest_asyncio.fixture(loop_scope="module")
async def lane(challenged_lane: Lane) -> AsyncIterator[Lane]:
    await challenged_lane.calm()
    yield challenged_lane
    await challenged_lane.calm()


async def record_of(lane: Lane, name: str, paint: Callable[[int], Image]) -> PassRecord:
    await lane.claims(name)
    lane.floor.shows(paint)
    return await lane.settled()


async def test_who_does_what_the_screen_asks_passes_and_the_record_says_bona_fide(lane: Lane) -> None:
    record = await record_of(lane, "birch", await actor(lane, "birch"))
    assert (record.verdict, record.gate_outcome) == ("grant", GateOutcome.PASSED)
    assert record.circumstances.liveness == "bona_fide"
    asked = [prompt for prompt in dict.fromkeys(lane.prompts) if prompt in ASKING]
    assert len(asked) == 2


async def test_a_member_who_takes_another_way_out_of_a_challenge_passes_with_the_pin(lane: Lane) -> None:
    lane.person.pin = lane.member("birch").pin
    await lane.claims("birch")
    lane.floor.person(FACES["birch"])
    await eventually(lambda: any(prompt in ASKING for prompt in lane.prompts), "a gesture is asked for")
    lane.stage.screen.press(OtherWayAsked())
    record = await lane.settled()
    assert (record.verdict, record.gate_outcome) == ("grant", GateOutcome.PASSED)
    assert (record.circumstances.liveness, record.circumstances.second_factor) == ("undetermined", "good")


async def test_a_still_picture_of_the_member_opens_nothing(lane: Lane) -> None:
    await lane.claims("birch")
    lane.floor.person(FACES["birch"])
    await eventually(lambda: lane.kiosk.passage.phase is Phase.CHALLENGING, "the picture matches")
    # Waited out, as the gate's line would take a leap of the clock for its own silence.
    with lane.impatient(prompt_ms=GESTURE_MIN_MS, pin_ms=PIN_MIN_MS):
        await eventually(lambda: lane.prompts[-1] is Prompt.ENTER_PIN, "the PIN is asked for")
        record = await lane.settled()
    assert (record.verdict, record.gate_outcome) == ("step_up", GateOutcome.NOT_RELEASED)
    assert record.circumstances.liveness == "undetermined"


async def test_another_head_that_does_the_gestures_in_the_members_place_is_an_attack(lane: Lane) -> None:
    stranger = await actor(lane, "cedar")
    await lane.claims("birch")
    lane.floor.person(FACES["birch"])
    await eventually(lambda: any(prompt in ASKING for prompt in lane.prompts), "a gesture is asked for")
    lane.floor.shows(stranger)
    record = await lane.settled()
    assert (record.verdict, record.reasons, record.refer_to) == ("refer", ("attack",), "staff")
    assert record.circumstances.liveness == "attack"
    assert Prompt.WELCOME not in lane.prompts


async def test_who_calls_challenge_after_challenge_off_is_asked_for_the_pin_instead(lane: Lane) -> None:
    for _ in range(CHALLENGE_TRIES):
        await lane.claims("amber")
        lane.floor.person(FACES["amber"])
        await eventually(lambda: lane.kiosk.passage.phase is Phase.CHALLENGING, "a challenge begins")
        lane.stage.screen.press(NotMe())
        await eventually(lambda: lane.kiosk.passage.phase is not Phase.CHALLENGING, "it is called off")
    lane.shown.clear()
    lane.person.pin = lane.member("amber").pin
    await lane.claims("amber")
    lane.floor.person(FACES["amber"])
    record = await lane.settled()
    assert (record.verdict, record.circumstances.liveness) == ("grant", "undetermined")
    assert not any(prompt in ASKING for prompt in lane.prompts)


async def test_with_challenges_always_on_nothing_says_that_photographs_pass(lane: Lane) -> None:
    assert not {note for note in lane.notes if note.startswith("photo_risk")}
    notice = lane.stage.screen.notice
    assert (notice.photo_risk, notice.photo_risk_first_use) == (False, False)
    assert notice.mode == "turnstile"


async def test_on_claim_reuse_a_member_is_challenged_the_second_time_until_it_is_forgotten(
    tmp_path: Path,
) -> None:
    confirm = msgspec.structs.replace(CONFIRM, challenge="on_claim_reuse", reuse_s=600)
    async with open_lane(tmp_path, staged(confirm=confirm)) as lane:
        await eventually(lambda: lane.kiosk.is_waiting and lane.uplink.central_seen, "the kiosk is ready")
        assert "photo_risk_first_use" in lane.notes
        assert "photo_risk" not in lane.notes
        first = await lane.passes("birch")
        assert (first.verdict, first.circumstances.liveness) == ("grant", "not_asked")
        await lane.claims("birch")
        lane.floor.person(FACES["birch"])
        await eventually(lambda: lane.kiosk.passage.phase is Phase.CHALLENGING, "the reuse is challenged")
        lane.person.pin = lane.member("birch").pin
        lane.stage.screen.press(OtherWayAsked())
        assert (await lane.settled()).circumstances.liveness == "undetermined"
        lane.hours.pass_everywhere(601_000)
        third = await lane.passes("birch", pin=True)
        assert third.circumstances.liveness == "not_asked"
