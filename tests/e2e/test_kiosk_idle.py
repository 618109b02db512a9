"""While nobody is there a whole kiosk looks at few frames, and the next person waits for nothing."""

from __future__ import annotations

import itertools

import pytest

from edge.capture.idle import AWAKE_MS, LOOK_EVERY_MS
from edge.capture.sample import Frame
from tests.doubles.lane import FACES, Lane
from tests.doubles.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

LOOKS = 6


async def test_an_idle_kiosk_looks_at_few_frames_embeds_nobody_and_reads_the_next_code(
    lane: Lane, monkeypatch: pytest.MonkeyPatch
):
    looked_ms: list[int] = []
    reader = lane.kiosk._devices.claims
    read = reader.read

    def noted(frame: Frame):
        looked_ms.append(frame.captured_at_ms)
        return read(frame)

    still = [lane.floor[0], lane.floor[0].copy()]
    still[1][0, 0] ^= 1  # a camera that repeats one picture is taken for a hung one
    lane.floor.shows(lambda index: still[index % 2])
    await lane.time_passes(2 * AWAKE_MS)
    monkeypatch.setattr(reader, "read", noted)
    await eventually(lambda: len(looked_ms) >= LOOKS, "it still looks now and then")
    gaps_ms = [after - before for before, after in itertools.pairwise(looked_ms)]
    assert min(gaps_ms) >= LOOK_EVERY_MS
    assert lane.embedded == []

    # And the next person's code begins a passage, as ever.
    await lane.claims("birch")
    lane.floor.person(FACES["birch"])
    await lane.settled()
