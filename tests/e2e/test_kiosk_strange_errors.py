"""An exception of a class that nobody listed, wherever a kiosk works, is told, and people go on passing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from edge.enact.display import NotMe
from edge.shell.settling import Settling
from firmware_bridge.link import GateLink
from tests.doubles.lane import FACES, Lane
from tests.doubles.waiting import eventually

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]


class StrangeError(Exception):
    """Of a class that nobody listed."""


PLACES: dict[str, Callable[[Lane], tuple[object, str]]] = {
    "sight": lambda lane: (lane.stage.kiosk.pipeline, "acquire"),
    "touches": lambda lane: (lane.stage.screen, "touch"),
    "clockwork": lambda lane: (Settling, "give_up_orphans"),
    "gate_events": lambda lane: (GateLink, "acknowledge"),
    "passage_steps": lambda lane: (lane.uplink.members, "resolve"),
}
"""What fails -> an object and its method in which it does, once."""


@pytest.mark.parametrize("name", PLACES)
async def test_a_strange_error_is_noted_and_the_next_member_passes(
    lane: Lane, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, method = PLACES[name](lane)
    real, left = getattr(place, method), [StrangeError("what nobody thought of")]

    def once(*given: Any, **named: Any) -> Any:
        if left:
            raise left.pop()
        return real(*given, **named)

    monkeypatch.setattr(place, method, once)
    lane.stage.screen.press(NotMe())  # a touch that changes nothing
    await lane.claims("birch")
    lane.floor.person(FACES["birch"])
    await eventually(lambda: not left and f"failed_{name}" in lane.notes, "the fault is noted")
    await eventually(lambda: lane.kiosk.is_waiting, "that passage is over, as it may be")
    await lane.calm()
    assert lane.uplink.supervisor.faults[name] == 1
    record = await lane.passes("birch")
    assert (record.verdict, record.identified_by) == ("grant", "face")
