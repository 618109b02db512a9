"""`stile bench --lane`: what it reports, and that people really went through; no figure is asserted."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from scripts.bench.lane import Turn, measure_lane, summed_up
from scripts.stage.stage import Staging
from tests.doubles.lane import CONFIRM, PATIENT, RELEASE

PEOPLE, PIN_PEOPLE = 2, 1


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict:
    import asyncio

    folder: Path = tmp_path_factory.mktemp("lane")
    confirm = msgspec.structs.replace(CONFIRM, challenge="never")
    release = msgspec.structs.replace(RELEASE, linger_ms=2_500)
    lane = Staging(confirm=confirm, tracking=PATIENT, release=release)
    return asyncio.run(measure_lane(folder, PEOPLE, 60, PIN_PEOPLE, lane))


def test_everybody_goes_through_by_face_and_by_the_other_way_and_is_recorded_once(report: dict) -> None:
    assert report["challenge"] == "never"
    assert report["frames"] == 3
    for way, people in (("face", PEOPLE), ("face_queue", PEOPLE), ("other_way", PIN_PEOPLE)):
        assert report[way]["people"] == people
        assert report[way]["passed"] + report[way]["refused"] == people
        assert report[way]["passed"] == people, report
    assert report["records_at_central"] == 2 * PEOPLE + PIN_PEOPLE


def test_the_lane_of_each_is_on_the_screen_before_they_set_off_for_the_gate(report: dict) -> None:
    # Of those who come, amber is the first each time and has priority.
    assert report["lanes_shown_before_the_gate"] == {"priority": 3, "standard": 2}


def test_who_types_a_pin_holds_the_lane_for_as_long_as_typing_takes(report: dict) -> None:
    people = report["people_s"]
    typing_ms = 1000 * (people["pin_begins"] + 7 * people["pin_digit"])
    assert report["other_way"]["claim_to_release"]["min_ms"] >= typing_ms
    for way in ("face", "other_way"):
        waited, held = report[way]["claim_to_release"], report[way]["lane_held"]
        assert held["min_ms"] > waited["min_ms"], "the walk through the gate belongs to it"


def test_who_was_refused_is_counted_and_waits_for_nothing() -> None:
    passed = [Turn(0, 10, 100, 250, 900, 1), Turn(2000, 2010, 2100, 2300, 950, 2)]
    refused = Turn(4000, 4000, 4100, 0, 0, 3, None, refused=True)
    report = summed_up([*passed, refused])
    assert {name: report[name] for name in ("people", "passed", "refused", "retried")} == {
        "people": 3, "passed": 2, "refused": 1, "retried": 1,
    }  # fmt: skip
    assert report["claim_to_release"]["repeats"] == 2
    assert report["claim_to_release"]["min_ms"] == 150
    assert report["per_minute"] == round(60_000 / 2050, 1)
    assert "per_minute" not in summed_up([refused])
