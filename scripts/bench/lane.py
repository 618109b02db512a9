"""`stile bench --lane`: how many people a minute a turnstile takes, and how long each of them waits.

Everything is the product but the people: broker, central, kiosk, networks, and a simulated gate behind a
pseudo-terminal. People come every two seconds with their code in the hand; afterwards others go the other way
and type their PIN. What people do is stated in the report, in seconds; what the kiosk does is measured.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from central.errors import CentralError
from edge.capture.sample import Image
from edge.compare.claim import qr_text
from edge.confirm.liveness import ConfirmConfig
from edge.decide.verdict import Lane, Tier
from edge.enact.display import Display, OtherWayAsked, PinEntered, Prompt
from edge.errors import FixtureError, StileError
from edge.passage.state import Phase
from edge.shell.kiosk import PassReport
from models.errors import ModelsError
from scripts.bench.laps import Spread, too_busy
from scripts.output import EXIT_UNUSABLE, fail, tell_json
from scripts.people.cast import MEMBERS
from scripts.people.clip import STEP_UP_S, Scene, Studio
from scripts.stage.stage import Enrolled, Stage, Staging, open_stage
from wire.ids import PassageId
from wire.records import GateOutcome

PER_MINUTE = 30
PEOPLE, PIN_PEOPLE = 30, 8
"""A minute of people, and as many with a PIN as take another."""
SETS_OFF_S = 0.4
"""From "welcome" on the screen until the person is in the gate's first light beam, half a metre on."""
THROUGH_S = 0.6
"""From the first beam to behind the last: four strides of the simulated people."""
FOLLOWS_S = 0.5
"""From "welcome" until the next person moves up; they stand behind whoever is at the kiosk."""
PIN_BEGINS_S, PIN_DIGIT_S = 1.0, 0.5
"""From the PIN pad on the screen to the first digit, and for each digit and OK: unhurried."""
STANDS_S = 1.0
LOOKS_EVERY_S = 0.05
TURN_MAX_S = 30.0
"""How long one person may take before the bench gives up; every time-out of a passage is shorter."""
SEED = 7
SHOWN = {"amber": "obama3.jpg", "birch": "astronaut.png", "cedar": "grace_hopper.jpg"}
"""The picture each member passes with; only amber's is another than those of the enrolment."""
SAME_PHOTO = ("birch", "cedar")
REFUSED = {Prompt.OTHER_WAY, Prompt.STAFF, Prompt.DENIED, Prompt.OTHER_PAYMENT, Prompt.CLAIM_NEEDED}


@dataclass(slots=True)
class Turn:
    """One person's turn; instants are the kiosk's monotonic milliseconds."""

    arrived_ms: int
    at_kiosk_ms: int
    claimed_ms: int = 0
    released_ms: int = 0
    lane_held_ms: int = 0
    windows: int = 0
    lane_shown: Lane | None = None
    refused: bool = False


class Hall:
    """A reel without an end: nobody, or whoever stands there; painted once a frame of each scene."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._empty = studio.empty()
        self._scene: Scene | None = None
        self._began: int | None = None
        self._painted: Callable[[str, int], Image] = cache(self._paint)
        self._scenes: dict[str, Scene] = {}

    def __len__(self) -> int:
        """Longer than any bench."""
        return 1 << 40

    def __getitem__(self, index: int) -> Image:
        """What is before the camera at this frame."""
        scene = self._scene
        if scene is None:
            return self._painted(self._empty.name, index % len(self._empty))
        if self._began is None:
            self._began = index
        return self._painted(scene.name, _to_the_end(index - self._began, len(scene), self._stands))

    def prepare(self, scenes: Sequence[Scene]) -> None:
        """Paint every frame beforehand, so that painting takes nothing from the kiosk."""
        for scene in (self._empty, *scenes):
            self._scenes[scene.name] = scene
            for index in range(len(scene)):
                self._painted(scene.name, index)

    def enter(self, scene: Scene) -> None:
        """Somebody steps up."""
        self._began, self._scene = None, scene

    def leave(self) -> None:
        """They are out of the picture."""
        self._scene = None

    @property
    def _stands(self) -> int:
        return self._studio.format.frames(STANDS_S)

    def _paint(self, name: str, index: int) -> Image:
        return self._scenes[name][index]


def _to_the_end(offset: int, length: int, stands: int) -> int:
    """The frame of a scene whose last `stands` frames go to and fro for as long as it takes."""
    if offset < length:
        return offset
    at = (offset - length) % (2 * stands - 2)
    return length - 1 - min(at, 2 * stands - 2 - at)


class People:
    """Those who use a lane one after the other, each as soon as the one before leaves room."""

    def __init__(self, stage: Stage, hall: Hall, *, by_pin: bool) -> None:
        self._stage, self._hall, self._by_pin = stage, hall, by_pin
        self._turn: Turn | None = None
        self._member: Enrolled | None = None
        self._answered = asyncio.Event()
        self._answered_in: PassageId | None = None
        self._doing: set[asyncio.Task[None]] = set()

    async def come(self, people: int, per_minute: int) -> list[Turn]:
        """So many people, one each `60 / per_minute` seconds or as soon as there is room; their turns.

        Raises `FixtureError` when the kiosk answers nobody.
        """
        members = list(self._stage.enrolled.values())
        began_ms, turns = self._now_ms(), []
        self._stage.screen.on_show = self._see
        try:
            for number in range(people):
                arrives_ms = began_ms + number * 60_000 // per_minute
                await asyncio.sleep(max(0, arrives_ms - self._now_ms()) / 1000)
                async with asyncio.timeout(TURN_MAX_S):
                    turns.append(await self._take(members[number % len(members)], arrives_ms))
            for turn in turns:
                async with asyncio.timeout(TURN_MAX_S):
                    _complete(turn, await self._stage.reports.get())
        except TimeoutError as error:
            if self._stage.kiosk.serving.done():
                self._stage.kiosk.serving.result()
            raise FixtureError(
                f"person {len(turns) + 1} had no answer within {TURN_MAX_S:.0f} s: {too_busy()}"
            ) from error
        finally:
            self._stage.screen.on_show = lambda _: None
            for task in self._doing:
                task.cancel()
        return turns

    async def _take(self, member: Enrolled, arrived_ms: int) -> Turn:
        self._turn, self._member = Turn(arrived_ms, self._now_ms()), member
        self._answered.clear()
        if self._by_pin:
            await self._screen_is_free()
            self._stage.screen.press(OtherWayAsked())
        self._hall.enter(_scene(self._stage, member))
        await self._answered.wait()
        await asyncio.sleep(FOLLOWS_S)
        self._hall.leave()
        return self._turn

    async def _screen_is_free(self) -> None:
        """Until the screen has done with the person before: a button pressed sooner would be theirs."""
        kiosk = self._stage.kiosk.kiosk
        while kiosk.passage.phase not in {Phase.WAITING, Phase.SETTLED}:  # noqa: ASYNC110 - as a person looks
            await asyncio.sleep(LOOKS_EVERY_S)

    def _see(self, display: Display) -> None:
        """What the person at the kiosk does about what it shows."""
        turn, passage = self._turn, self._stage.kiosk.kiosk.passage
        if turn is None or self._member is None or passage.passage_id == self._answered_in:
            return
        if display.prompt is Prompt.ENTER_PIN and self._by_pin and passage.tries_left is None:
            keys_s = PIN_BEGINS_S + PIN_DIGIT_S * (len(self._member.pin) + 1)
            self._after(keys_s, partial(self._stage.screen.press, PinEntered(self._member.pin)))
        elif display.prompt is Prompt.WELCOME:
            self._after(SETS_OFF_S, self._stage.gate.walk_through)
        elif display.prompt not in REFUSED and not (display.prompt is Prompt.ENTER_PIN and not self._by_pin):
            return
        else:
            turn.refused = True
        if display.prompt is not Prompt.ENTER_PIN or not self._by_pin:
            turn.claimed_ms, turn.windows = passage.started_ms, passage.face.windows_compared
            turn.lane_shown, self._answered_in = display.lane, passage.passage_id
            self._answered.set()

    def _after(self, wait_s: float, act: Callable[[], object]) -> None:
        async def later() -> None:
            await asyncio.sleep(wait_s)
            act()

        task = asyncio.create_task(later())
        self._doing.add(task)
        task.add_done_callback(self._doing.discard)

    def _now_ms(self) -> int:
        return self._stage.kiosk.uplink.clock.uptime_ms()


def _complete(turn: Turn, report: PassReport) -> None:
    """What only the settled passage says."""
    record = report.record
    turn.refused = turn.refused or record.gate_outcome is not GateOutcome.PASSED
    turn.released_ms = report.released_ms or 0
    turn.lane_held_ms = record.settled_at_ms - record.started_at_ms


def _scene(stage: Stage, member: Enrolled) -> Scene:
    """The member stepping up with their code; the same one each time."""
    name = member.member.name
    portrait = stage.cast.portrait(SHOWN[name])
    return stage.studio.step_up(portrait, qr_text(member.claim), STANDS_S, f"{name} steps up")


def summed_up(turns: list[Turn]) -> dict[str, Any]:
    """Counts, waiting times and throughput of one way through the lane."""
    passed = [turn for turn in turns if not turn.refused]
    report: dict[str, Any] = {
        "people": len(turns),
        "passed": len(passed),
        "refused": len(turns) - len(passed),
        "retried": sum(turn.windows > 1 for turn in passed),
    }
    if passed:
        spans = {
            "claim_to_release": [turn.released_ms - turn.claimed_ms for turn in passed],
            "arrival_to_release": [turn.released_ms - turn.arrived_ms for turn in passed],
            "lane_held": [turn.lane_held_ms for turn in passed],
            "queued": [turn.at_kiosk_ms - turn.arrived_ms for turn in passed],
        }
        report |= {name: Spread.of(laps_ms).as_json() for name, laps_ms in spans.items()}
    if len(passed) > 1:
        apart_ms = (passed[-1].released_ms - passed[0].released_ms) / (len(passed) - 1)
        report["per_minute"] = round(60_000 / apart_ms, 1)
    return report


LANE = Staging(confirm=ConfirmConfig(challenge="never"))


async def measure_lane(
    folder: Path, people: int, per_minute: int, pin_people: int, lane: Staging = LANE
) -> dict[str, Any]:
    """The report of a lane in an empty folder: three ways of coming, one after the other."""
    members = tuple(
        replace(member, tier=Tier.STANDARD) if member.tier is Tier.ASSISTED else member for member in MEMBERS
    )
    staging = replace(lane, members=members)
    async with open_stage(folder, SEED, staging) as stage:
        hall = Hall(stage.studio)
        await asyncio.to_thread(hall.prepare, [_scene(stage, each) for each in stage.enrolled.values()])
        stage.camera.play(hall)
        face = await People(stage, hall, by_pin=False).come(people, per_minute)
        queue = await People(stage, hall, by_pin=False).come(people, 60)
        pin = await People(stage, hall, by_pin=True).come(pin_people, per_minute)
        records = await stage.receipted()
    return {
        "wanted_per_minute": per_minute,
        "frames": staging.confirm.frames,
        "challenge": staging.confirm.challenge,
        "same_photo": list(SAME_PHOTO),
        "people_s": {
            "step_up": STEP_UP_S,
            "set_off": SETS_OFF_S,
            "through": THROUGH_S,
            "next_follows": FOLLOWS_S,
            "pin_begins": PIN_BEGINS_S,
            "pin_digit": PIN_DIGIT_S,
        },
        "face": summed_up(face),
        "face_queue": summed_up(queue),
        "other_way": summed_up(pin),
        "lanes_shown_before_the_gate": _lanes_shown([*face, *queue, *pin]),
        "records_at_central": records,
    }


def _lanes_shown(turns: list[Turn]) -> dict[str, int]:
    """How often which lane was on the screen with the release, before the person set off for the gate."""
    return Counter(str(turn.lane_shown) for turn in turns if not turn.refused)


def tell_lane(people: int, per_minute: int, *, as_json: bool) -> None:
    """Measure and say what was found."""
    pin_people = max(2, people * PIN_PEOPLE // PEOPLE)
    about_s = people * 60 // per_minute + people * 3 // 2 + pin_people * 7 + 10
    try:
        with (
            Console(stderr=True).status(f"people at a gate, some {about_s} s"),
            tempfile.TemporaryDirectory(prefix="stile-lane-") as folder,
        ):
            report = asyncio.run(measure_lane(Path(folder), people, per_minute, pin_people))
    except (StileError, CentralError, ModelsError) as error:
        fail(error, EXIT_UNUSABLE)
    if as_json:
        tell_json({"lane": report})
        return
    Console().print(_table(report))


def _table(report: dict[str, Any]) -> Table:
    stated = ", ".join(
        f"{name.replace('_', ' ')} {seconds} s" for name, seconds in report["people_s"].items()
    )
    table = Table(
        "way", "people", "passed", "refused", "retried", "a minute",
        "claim to release, ms", "arrival to release, ms",
        title=f"A lane: {report['wanted_per_minute']} people a minute wanted; stated: {stated}",
    )  # fmt: skip
    for way in ("face", "face_queue", "other_way"):
        found = report[way]
        waits = (
            f"{found[span]['p50_ms']:.0f} (p95 {found[span]['p95_ms']:.0f})" if span in found else "-"
            for span in ("claim_to_release", "arrival_to_release")
        )
        counts = (str(found[name]) for name in ("people", "passed", "refused", "retried"))
        table.add_row(way.replace("_", " "), *counts, str(found.get("per_minute", "-")), *waits)
    return table
