"""A gate held free by the timetable: a real kiosk shell and driver before a simulated gate on a pty."""

import asyncio
import datetime
import itertools
import os
import time
from contextlib import asynccontextmanager
from dataclasses import replace

import msgspec
import pytest

from edge.adapters.gate.timetable import OPENED_BY, Timetable, zone_of
from edge.capture.tracking import TrackingConfig
from edge.config import parse_config
from edge.enact.display import Notice
from edge.enact.record import KioskIdentity
from edge.enact.schedule import ScheduleConfig
from edge.errors import ConfigError
from edge.shell.kiosk import Devices, Kiosk
from firmware_bridge.drivers.own import open_own_gate
from firmware_bridge.messages import Outputs
from firmware_bridge.simulator import ServedGate, SimulatedGate
from tests.doubles.attempt import RULES
from tests.doubles.bridge_pair import KEYS
from tests.doubles.waiting import eventually
from wire.ids import GateId, KioskId, Purpose
from wire.records import GateOutcome, IdentifiedBy
from wire.transport.supervision import Supervisor

ALWAYS = ScheduleConfig(("00:00-24:00",))


def utc_ms(*when):
    return round(datetime.datetime(*when, tzinfo=datetime.UTC).timestamp() * 1_000)


class Quiet:
    """Camera, screen, clock and records of a kiosk before which nobody claims; `sure` is its clock's."""

    def __init__(self):
        self.settled = []
        self.sure = True

    async def read(self):
        await asyncio.Event().wait()

    async def touch(self):
        await asyncio.Event().wait()

    def show(self, display, notice):
        self.shown = display

    def uptime_ms(self):
        return time.monotonic_ns() // 1_000_000

    def now_ms(self):
        return time.time_ns() // 1_000_000 if self.sure else None

    def estimate_ms(self):
        return time.time_ns() // 1_000_000

    async def unsettled(self):
        return ()

    async def begin(self, record):
        pass

    async def settle(self, record):
        self.settled.append(record)


@asynccontextmanager
async def held_free_before(served):
    quiet, nonces = Quiet(), itertools.count(1)
    gate = open_own_gate(
        str(served.path), KEYS, clock_ms=quiet.uptime_ms, draw_challenge=lambda: os.urandom(8)
    )
    kiosk = Kiosk(
        Devices(quiet, quiet, quiet, gate, quiet, quiet, quiet, quiet, quiet),
        replace(RULES, release=msgspec.structs.replace(RULES.release, open_ms=500)),
        TrackingConfig(),
        KioskIdentity(KioskId("gate-1"), GateId("gate-1"), Purpose("ride"), "b" * 32, "d" * 64),
        random_bytes=lambda size: next(nonces).to_bytes(size, "big"),
        supervisor=Supervisor(),
        notice=lambda: Notice(None, ()),
        central_answers=lambda: False,
    )
    running = [
        asyncio.create_task(kiosk.run()),
        asyncio.create_task(Timetable(ALWAYS, kiosk, quiet).run()),
    ]
    try:
        yield kiosk, quiet
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await gate.close()


async def test_one_after_the_other_walks_through_and_each_has_a_record_that_names_nobody():
    with ServedGate(SimulatedGate(KEYS, auto_walk_ms=50)) as served:
        async with held_free_before(served) as (_, quiet):
            await eventually(lambda: len(quiet.settled) >= 3)
        assert {record.gate_outcome for record in quiet.settled[:3]} == {GateOutcome.PASSED}
        for record in quiet.settled:
            assert (record.identified_by, record.staff) == (IdentifiedBy.STAFF, OPENED_BY)
            assert (record.subject, record.amount_minor) == (None, None)


async def test_with_nobody_there_each_release_ends_by_the_gates_own_clock_and_is_renewed():
    with ServedGate(SimulatedGate(KEYS)) as served:
        async with held_free_before(served) as (_, quiet):
            await eventually(lambda: len(quiet.settled) >= 2)
        assert {record.gate_outcome for record in quiet.settled[:2]} == {GateOutcome.TIMED_OUT}


@pytest.mark.parametrize("ends", ["the clock is unsure", "staff close the lane"])
async def test_it_ends_when_the_clock_is_unsure_or_staff_close_the_lane(ends):
    with ServedGate(SimulatedGate(KEYS)) as served:
        async with held_free_before(served) as (kiosk, quiet):
            await eventually(lambda: quiet.settled)
            if ends == "the clock is unsure":
                quiet.sure = False
            else:
                kiosk.close_lane(closed=True)
            await eventually(lambda: served.do(lambda gate: gate.unlocked) == Outputs(0) and kiosk.is_waiting)
            settled = len(quiet.settled)
            until_ms = quiet.uptime_ms() + 700
            await eventually(lambda: quiet.uptime_ms() > until_ms)
            assert (len(quiet.settled), served.do(lambda gate: gate.unlocked)) == (settled, Outputs(0))


class AClock:
    def __init__(self, now_ms):
        self._now_ms = now_ms

    def now_ms(self):
        return self._now_ms

    def uptime_ms(self):
        return 0


class ALane:
    lane_closed = False


@pytest.mark.parametrize(
    ("zone", "when", "held"),
    [
        ("UTC", (2026, 11, 23, 7, 0), True),  # a Monday
        ("UTC", (2026, 11, 23, 6, 59, 59), False),
        ("UTC", (2026, 11, 22, 7, 30), False),
        ("Europe/Berlin", (2026, 11, 23, 6, 0), True),
        ("Europe/Berlin", (2026, 11, 23, 8, 30), False),
        ("Europe/Berlin", (2026, 7, 20, 5, 0), True),  # summer time
        ("Europe/Berlin", (2026, 7, 20, 7, 30), False),
    ],
)
def test_the_times_are_those_of_the_gates_own_zone(zone, when, held):
    config = ScheduleConfig(("mon-fri 07:00-09:30",), zone)
    assert Timetable(config, ALane(), AClock(utc_ms(*when))).holds() is held


def test_a_zone_that_is_none_is_said():
    for name in ("Europe/Nowhere", "../etc/passwd", "Berlin time"):
        with pytest.raises(ValueError, match="as Europe/Berlin is one"):
            zone_of(name)


def test_a_time_that_cannot_be_read_stops_the_kiosk_with_line_and_key():
    text = '[kiosk]\nstate_dir = "/d"\n[gate]\nid = "g"\nport = "/p"\nkey_file = "/k"\n'
    with pytest.raises(ConfigError, match=r"kiosk\.toml:8: schedule\.times.*'7-9' is no time of the week"):
        parse_config(text + '[schedule]\ntimes = ["7-9"]\n', "kiosk.toml")
