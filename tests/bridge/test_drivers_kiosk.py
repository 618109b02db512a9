"""A kiosk before a gate that is not ours: what becomes of its records, and of a fare it cannot charge."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace

import msgspec
import pytest

from edge.capture.tracking import TrackingConfig
from edge.decide.verdict import GateState
from edge.enact.display import Notice
from edge.enact.record import KioskIdentity
from edge.shell.kiosk import Devices, Kiosk
from tests.doubles.attempt import RULES
from tests.doubles.driver_rigs import OPEN_MS, rig
from tests.doubles.waiting import eventually
from tests.doubles.wire_samples import pass_record
from wire.ids import GateId, KioskId, PassageId, Purpose
from wire.records import GateOutcome
from wire.transport.supervision import Supervisor


class Quiet:
    """Camera, screen, clock and records of a kiosk before which nobody stands."""

    def __init__(self, clock, kept=()):
        self.clock, self.kept, self.settled = clock, kept, []

    async def read(self):
        await asyncio.Event().wait()

    async def touch(self):
        await asyncio.Event().wait()

    def show(self, display, notice):
        self.shown = display

    def uptime_ms(self):
        return self.clock()

    def now_ms(self):
        return None

    def estimate_ms(self):
        return self.clock()

    async def unsettled(self):
        return self.kept

    async def settle(self, record):
        self.settled.append(record)


@asynccontextmanager
async def kiosk_before(lane, quiet, **release):
    devices = Devices(quiet, quiet, quiet, lane.gate, quiet, quiet, quiet, quiet, quiet)
    rules = replace(RULES, release=msgspec.structs.replace(RULES.release, **release))
    kiosk = Kiosk(
        devices,
        rules,
        TrackingConfig(),
        KioskIdentity(KioskId("gate-1"), GateId("gate-1"), Purpose("ride"), "b" * 32, "d" * 64),
        random_bytes=lambda size: b"\x07" * size,
        supervisor=Supervisor(),
        notice=lambda: Notice(None, ()),
        central_answers=lambda: False,
    )
    running = asyncio.create_task(kiosk.run())
    yield kiosk
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@pytest.mark.parametrize(
    ("name", "outcome"), [("lcus", GateOutcome.UNOBSERVED), ("gpio", GateOutcome.TIMED_OUT)]
)
async def test_a_release_at_a_gate_that_cannot_tell_is_recorded_as_that(name, outcome, tmp_path):
    async with rig(name, tmp_path) as lane:
        await eventually(lambda: lane.gate.state().mode is not None)
        release = lane.release(1)
        kept = pass_record(
            KioskId("gate-1"),
            1,
            passage=PassageId(release.passage_id.hex()),
            gate_outcome=GateOutcome.AWAITED,
        )
        quiet = Quiet(lane.clock, (kept,))
        async with kiosk_before(lane, quiet):
            await lane.gate.release(release)
            await lane.until_unlocked(release.direction)
            lane.pass_time(OPEN_MS)
            await eventually(lambda: quiet.settled)
        assert quiet.settled == [msgspec.structs.replace(kept, gate_outcome=outcome)]


@pytest.mark.parametrize(
    ("name", "fare", "state"),
    [
        ("lcus", "on_passage", GateState.NO_PASSAGE_REPORT),
        ("lcus", "none", GateState.READY),
        ("gpio", "on_passage", GateState.READY),
    ],
)
async def test_with_a_fare_on_passage_a_gate_that_cannot_report_it_is_not_ready(name, fare, state, tmp_path):
    async with rig(name, tmp_path) as lane:
        await eventually(lambda: lane.gate.state().mode is not None)
        async with kiosk_before(lane, Quiet(lane.clock), fare=fare) as kiosk:
            await eventually(lambda: kiosk.passage.surroundings.gate is state)
