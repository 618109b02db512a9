"""The time of a scene follows whoever looks at it."""

from __future__ import annotations

import threading

from scripts.stage.scene_clock import LEAD_MS, SceneClock


class Hands:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now_ms = 0

    def __call__(self) -> int:
        return self.now_ms


def test_a_scene_is_as_fast_as_the_clock_while_the_kiosk_keeps_up() -> None:
    clock = Hands()
    scene = SceneClock(clock)
    for _ in range(100):
        clock.now_ms += 33
        scene.look()
    assert scene.now_ms() == 3300


def test_a_scene_goes_no_further_than_its_lead_until_the_kiosk_looks_again() -> None:
    clock = Hands()
    scene = SceneClock(clock)
    clock.now_ms = 10_000
    assert scene.now_ms() == LEAD_MS
    clock.now_ms = 20_000
    assert scene.now_ms() == LEAD_MS
    scene.look()
    assert scene.now_ms() == LEAD_MS
    clock.now_ms += 40
    assert scene.now_ms() == LEAD_MS + 40


def test_whoever_waits_for_the_scene_goes_on_once_the_kiosk_has_looked() -> None:
    clock = Hands()
    scene = SceneClock(clock)
    clock.now_ms = LEAD_MS
    waited = threading.Thread(target=scene.wait_s, args=(0.033,))
    waited.start()
    scene.look()
    clock.now_ms += 33
    scene.look()
    waited.join(30)
    assert not waited.is_alive()
    assert scene.now_ms() == LEAD_MS + 33
