"""What a technician finds on the line in place of a gate: a sentence, a shut gate, no release. On a pty."""

import asyncio
import itertools
import os
import random
import select
import threading
import time
import tty
from contextlib import asynccontextmanager, contextmanager

import pytest

from firmware_bridge import frame
from firmware_bridge import gate as values
from firmware_bridge.auth import derive_keys, seal
from firmware_bridge.drivers.own import open_own_gate
from firmware_bridge.frame import Heading, LineFrame
from firmware_bridge.gate import Direction, GateRelease, LinkStatus, Mode
from firmware_bridge.messages import Outputs
from firmware_bridge.port import open_line
from firmware_bridge.simulator import ServedGate, SimulatedGate
from tests.doubles.bridge_pair import KEYS, nonce, passage
from tests.doubles.waiting import WAIT_S

SEED = 20_251_123
SPEAKS_EVERY_S = 0.02


def clock_ms():
    return time.monotonic_ns() // 1_000_000


@asynccontextmanager
async def driving(path):
    challenges = itertools.count(time.monotonic_ns())
    gate = open_own_gate(
        str(path), KEYS, clock_ms=clock_ms, draw_challenge=lambda: next(challenges).to_bytes(8, "big")
    )
    try:
        yield gate
    finally:
        await gate.close()


async def state_of(gate, holds):
    async with asyncio.timeout(WAIT_S):
        while not holds(found := gate.state()):  # noqa: ASYNC110 - a state has no event to wait for
            await asyncio.sleep(0.005)
        return found


class Stranger:
    """A device on a pty that is no gate: answers what it reads, and speaks unasked, until closed."""

    def __init__(self, answer=lambda heard: b"", unasked=lambda: b""):
        self._answer, self._unasked = answer, unasked
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.path = os.ttyname(self._slave)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive()
        os.close(self._master)
        os.close(self._slave)

    def _serve(self):
        while not self._stop.is_set():
            ready, _, _ = select.select([self._master], [], [], SPEAKS_EVERY_S)
            said = self._answer(os.read(self._master, 4_096)) if ready else self._unasked()
            if said and select.select([], [self._master], [], 0)[1]:
                os.write(self._master, said)


def status_frame(version=1):
    before, frame.PROTOCOL_VERSION = frame.PROTOCOL_VERSION, version
    try:
        return frame.encode(seal(LineFrame(Heading.TO_HOST, 1, 1, 0x82, b""), KEYS))
    finally:
        frame.PROTOCOL_VERSION = before


@contextmanager
def a_modem():
    with Stranger(answer=lambda heard: b"\r\nERROR\r\n") as stranger:
        yield stranger.path, None


@contextmanager
def garbage_without_end():
    dice = random.Random(SEED)
    with Stranger(unasked=lambda: dice.randbytes(40), answer=lambda heard: dice.randbytes(40)) as stranger:
        yield stranger.path, None


@contextmanager
def half_frames_only():
    whole = status_frame()
    with Stranger(unasked=lambda: whole[: len(whole) // 2]) as stranger:
        yield stranger.path, None


@contextmanager
def firmware_of_another_protocol_version():
    with Stranger(unasked=lambda: status_frame(version=2)) as stranger:
        yield stranger.path, None


@contextmanager
def nothing_at_all():
    with Stranger() as stranger:
        yield stranger.path, None


@contextmanager
def a_gate_with(keys=KEYS, **options):
    with ServedGate(SimulatedGate(keys, **options)) as served:
        yield served.path, served


def a_gate_with_another_key():
    return a_gate_with(derive_keys(bytes(range(32)), "another gate"))


def a_gate_without_keys():
    return a_gate_with(None)


def firmware_of_another_release():
    return a_gate_with(protocol_hash=b"another!")


@contextmanager
def a_gate_held_by_another_program():
    with a_gate_with() as (path, served), open_line(str(path)):
        yield path, served


@contextmanager
def a_port_that_is_not_there():
    yield "/dev/no-such-gate", None


LINES = [
    (a_modem, LinkStatus.GREETING, "this port may belong to a modem"),
    (garbage_without_end, LinkStatus.GREETING, "its speed may not be 250000 baud"),
    (half_frames_only, LinkStatus.GREETING, "not in the gate protocol"),
    (nothing_at_all, LinkStatus.GREETING, "check the controller's power and cable"),
    (a_gate_without_keys, LinkStatus.GREETING, "check the controller's power and cable"),
    (a_gate_with_another_key, LinkStatus.MISMATCHED, "check the gate key and gate id"),
    (firmware_of_another_release, LinkStatus.MISMATCHED, "flash the firmware that came with this release"),
    (firmware_of_another_protocol_version, LinkStatus.MISMATCHED, "flash the firmware that came with"),
    (a_gate_held_by_another_program, LinkStatus.NO_PORT, "only one may talk to a gate"),
    (a_port_that_is_not_there, LinkStatus.NO_PORT, "plug the controller in"),
]


async def met(line):
    """What driver and gate say once the driver has made up its mind."""
    with line() as (path, served):
        async with driving(path) as gate:
            found = await state_of(gate, lambda found: found.trouble is not None)
            assert str(path) in found.trouble
            release = GateRelease(passage(1), nonce(1), Direction.ENTRY, clock_ms() + 3_000, 3_000)
            outcome = await gate.release(release)
        shut = served and served.do(lambda simulated: (simulated.mode, simulated.unlocked))
        return found, outcome, shut


@pytest.fixture(scope="module")
def told():
    """All lines at once: a driver takes two seconds to be sure that nothing useful comes."""

    async def all_of_them():
        return await asyncio.gather(*(met(line) for line, *_ in LINES))

    found = asyncio.run(all_of_them())
    return dict(zip((line for line, *_ in LINES), found, strict=True))


@pytest.mark.parametrize(("line", "status", "says"), LINES, ids=[line.__name__ for line, *_ in LINES])
def test_a_bad_line_is_a_sentence_a_shut_gate_and_no_release(told, line, status, says):
    found, outcome, shut = told[line]
    assert (found.link, found.mode, found.inputs) == (status, None, None)
    assert says in found.trouble
    # What is refused here is charged to nobody: a fare is charged when the gate reports the passage.
    assert outcome == values.ReleaseRefused(values.RefusedBecause.LINK_DOWN)
    assert shut in (None, (Mode.SAFE, Outputs(0)))


async def test_a_bootloaders_garbage_and_half_a_frame_before_the_first_keep_no_gate_from_coming_up():
    simulated = SimulatedGate(KEYS)
    noise = random.Random(SEED).randbytes(300) + b"Arduino bootloader\r\n" + status_frame()[:20]
    simulated.to_host.garble(noise, 0)
    with ServedGate(simulated) as served:
        async with driving(served.path) as gate:
            found = await state_of(gate, lambda found: found.link is LinkStatus.UP)
            assert sum(found.ignored.values()) > 0
            release = GateRelease(passage(1), nonce(1), Direction.ENTRY, clock_ms() + 3_000, 3_000)
            assert await gate.release(release) == values.Accepted()


@pytest.mark.parametrize("kept", range(1, len(status_frame()), 5))
def test_a_frame_cut_off_anywhere_costs_itself_and_not_the_next(kept):
    reader = frame.FrameReader()
    whole = status_frame()
    cut = [*reader.feed(whole[:kept]), *reader.feed(whole)]
    assert sum(isinstance(arrived, LineFrame) for arrived in cut) == 1
    assert isinstance(cut[-1], LineFrame)
    assert len(cut) <= 2
