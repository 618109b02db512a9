"""What a kiosk offers to its live picture: nobody's face before an interaction, then the member's own."""

from __future__ import annotations

import pytest

from edge.capture.sample import Box, Frame
from edge.passage.state import Phase
from tests.doubles.lane import FACES, STRANGER, Lane
from tests.doubles.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Sheet:
    """A preview that notes what it is offered, and at what point of the passage."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self.offers: list[tuple[Phase, Box | None]] = []

    def offer(self, frame: Frame, face: Box | None) -> None:
        assert frame.image.ndim == 3
        self.offers.append((self._lane.kiosk.passage.phase, face))

    @property
    def faces(self) -> list[Box]:
        return [face for _, face in self.offers if face is not None]


async def test_the_preview_shows_the_face_that_is_compared_and_no_other(
    lane: Lane, monkeypatch: pytest.MonkeyPatch
):
    sheet = Sheet(lane)
    monkeypatch.setattr(lane.kiosk._watch, "_preview", sheet)
    lane.floor.person(FACES["birch"])
    await lane.seen(10)
    await eventually(lambda: len(sheet.offers) >= 5, "the preview is offered frames")
    assert {phase for phase, _ in sheet.offers} == {Phase.WAITING}
    assert sheet.faces == []

    await lane.claims("birch")
    lane.floor.person_before_another(FACES["birch"], STRANGER)
    await lane.settled()
    await lane.seen(5)
    assert len(sheet.faces) >= 2
    assert set(sheet.faces) <= set(lane.embedded)
    assert {phase for phase, face in sheet.offers if face is not None} <= set(Phase) - {Phase.WAITING}
