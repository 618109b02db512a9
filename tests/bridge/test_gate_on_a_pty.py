"""The own-firmware driver with pyserial over a real pseudo-terminal, and the simulator as its own process."""

import asyncio
import itertools
import json
import os
import signal
import subprocess
import sys
import termios
import threading
import time
import tty
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import serial

from firmware_bridge import gate as values
from firmware_bridge.auth import derive_keys
from firmware_bridge.drivers.own import open_own_gate, read_keys
from firmware_bridge.gate import Direction, GateRelease, LinkStatus, Mode
from firmware_bridge.port import SerialPort
from firmware_bridge.simulator import ServedGate, SimulatedGate
from tests.doubles.bridge_pair import KEYS, nonce, passage
from tests.doubles.waiting import WAIT_S


def clock_ms():
    return time.monotonic_ns() // 1_000_000


def a_release(number, within_ms=3_000, open_ms=3_000):
    return GateRelease(passage(number), nonce(number), Direction.ENTRY, clock_ms() + within_ms, open_ms)


class Watched:
    """A gate whose events are read one at a time, each within bounded patience."""

    def __init__(self, path, keys=KEYS):
        challenges = itertools.count(time.monotonic_ns())
        self.gate = open_own_gate(
            str(path), keys, clock_ms=clock_ms, draw_challenge=lambda: next(challenges).to_bytes(8, "big")
        )
        self._events = self.gate.events()

    async def next(self):
        async with asyncio.timeout(WAIT_S):
            return await anext(self._events)

    async def until(self, kind):
        while not isinstance(event := await self.next(), kind):
            pass
        return event

    async def state(self, holds):
        async with asyncio.timeout(WAIT_S):
            while not holds(found := self.gate.state()):  # noqa: ASYNC110 - a state has no event to wait for
                await asyncio.sleep(0.005)
            return found


@asynccontextmanager
async def watched(path, keys=KEYS):
    opened = Watched(path, keys)
    try:
        yield opened
    finally:
        await opened._events.aclose()
        await opened.gate.close()


@pytest.fixture
def served():
    with ServedGate(SimulatedGate(KEYS)) as serving:
        yield serving
    assert serving.failure is None


async def test_a_release_over_a_real_pty_opens_and_the_passage_comes_back(served):
    async with watched(served.path) as host:
        assert await host.next() == values.LinkUp(1)
        for number in (1, 2):
            assert await host.gate.release(a_release(number)) == values.Accepted()
            state = await host.state(lambda found: found.mode is Mode.RELEASED)
            assert (state.entry_unlocked, state.exit_unlocked) == (True, False)
            served.do(SimulatedGate.walk_through)
            assert await host.next() == values.Passed(passage(number), Direction.ENTRY)
            await host.state(lambda found: found.mode is Mode.LOCKED)
        assert await host.gate.release(a_release(1)) == values.ReleaseRefused(values.RefusedBecause.REPEATED)


async def test_two_releases_at_once_open_for_one(served):
    async with watched(served.path) as host:
        await host.until(values.LinkUp)
        outcomes = await asyncio.gather(
            host.gate.release(a_release(1)), host.gate.release(a_release(2)), host.gate.release(a_release(2))
        )
        assert outcomes == [
            values.Accepted(),
            values.ReleaseRefused(values.RefusedBecause.BUSY),
            values.ReleaseRefused(values.RefusedBecause.BUSY),
        ]


async def test_unplug_in_the_middle_and_replug_needs_no_restart_and_tells_the_passage_once(served):
    async with watched(served.path) as host:
        await host.until(values.LinkUp)
        assert await host.gate.release(a_release(1)) == values.Accepted()

        def walk_and_pull(gate):
            gate.walk_through()
            gate.unplug()

        served.do(walk_and_pull)
        lost = await host.until(values.LinkLost)
        assert "plug it in again" in lost.why
        state = await host.state(
            lambda found: found.link is LinkStatus.NO_PORT and "not there" in found.trouble
        )
        assert (state.mode, state.fault, state.inputs) == (None, None, None)
        refused = await host.gate.release(a_release(2))
        assert refused == values.ReleaseRefused(values.RefusedBecause.LINK_DOWN)
        served.do(SimulatedGate.plug)
        assert await host.next() == values.LinkUp(1)
        assert await host.next() == values.Passed(passage(1), Direction.ENTRY)
        assert await host.gate.release(a_release(3)) == values.Accepted()
        served.do(SimulatedGate.walk_through)
        assert await host.next() == values.Passed(passage(3), Direction.ENTRY)


async def test_a_port_that_is_not_there_is_a_state_and_the_gate_comes_up_when_it_appears(tmp_path):
    path = tmp_path / "gate"
    async with watched(path) as host:
        state = await host.state(lambda found: found.trouble is not None)
        assert state.link is LinkStatus.NO_PORT
        assert str(path) in state.trouble
        assert "/dev/serial/by-id" in state.trouble
        with ServedGate(SimulatedGate(KEYS), path):
            assert await host.until(values.LinkUp) == values.LinkUp(1)


async def test_a_port_that_is_a_folder_is_a_state_with_advice(tmp_path):
    async with watched(tmp_path) as host:
        state = await host.state(lambda found: found.trouble is not None)
        assert "check that it is a serial port" in state.trouble


async def test_a_port_used_by_another_program_is_left_alone(served):
    async with watched(served.path) as first:
        await first.until(values.LinkUp)
        async with watched(served.path) as second:
            state = await second.state(lambda found: found.trouble is not None)
            assert "in use by another program" in state.trouble
        assert first.gate.state().link is LinkStatus.UP


async def test_another_key_is_a_state_with_advice_and_the_gate_stays_safe(served):
    async with watched(served.path, derive_keys(bytes(32), "other")) as host:
        state = await host.state(lambda found: found.link is LinkStatus.MISMATCHED)
        assert "gate key" in state.trouble
        assert served.do(lambda gate: gate.mode) is Mode.SAFE


async def test_a_modem_on_the_port_is_named(tmp_path):
    master, slave = os.openpty()
    tty.setraw(slave)

    def answer():
        while os.read(master, 1_000):
            os.write(master, b"\r\nERROR\r\n")

    thread = threading.Thread(target=lambda: _until_closed(answer), daemon=True)
    thread.start()
    async with watched(os.ttyname(slave)) as host:
        state = await host.state(lambda found: found.trouble is not None)
        assert "modem" in state.trouble
    os.close(slave)
    thread.join(WAIT_S)
    assert not thread.is_alive()
    os.close(master)


def left_in(folder):
    return [path.name for path in folder.iterdir()] if folder.exists() else []


def _until_closed(answer):
    try:
        answer()
    except OSError:
        return


async def test_an_event_taken_but_not_dealt_with_comes_again_to_the_next_process(served):
    async with watched(served.path) as host:
        await host.until(values.LinkUp)
        await host.gate.release(a_release(1))
        served.do(SimulatedGate.walk_through)
        await host.until(values.Passed)
    async with watched(served.path) as host:
        assert await host.until(values.Passed) == values.Passed(passage(1), Direction.ENTRY)
        served.do(SimulatedGate.press_emergency)
        await host.until(values.EmergencyReleased)
    async with watched(served.path) as host:
        await host.until(values.LinkUp)
        assert await host.next() == values.EmergencyReleased()


async def test_fire_reaches_the_kiosk_and_a_release_is_then_refused(served):
    async with watched(served.path) as host:
        await host.until(values.LinkUp)
        served.do(lambda gate: gate.set_fire(True))
        assert await host.next() == values.FireReleased()
        state = await host.state(lambda found: found.mode is Mode.FREE)
        assert state.inputs.fire
        assert (state.entry_unlocked, state.exit_unlocked) == (True, True)
        assert await host.gate.release(a_release(1)) == values.ReleaseRefused(values.RefusedBecause.FREE)
        served.do(lambda gate: gate.set_fire(False))
        assert await host.next() == values.FreeEnded()


async def test_a_restart_of_the_controller_is_told_with_the_end_of_its_release(served):
    async with watched(served.path) as host:
        await host.until(values.LinkUp)
        await host.gate.release(a_release(1, open_ms=9_000))
        served.do(SimulatedGate.reboot)
        assert isinstance(await host.next(), values.LinkLost)
        assert await host.next() == values.Interrupted(passage(1), values.Cause.REBOOT)
        assert await host.next() == values.LinkUp(2)


async def test_closing_ends_the_events_and_leaves_no_release_waiting(served):
    host = Watched(served.path)
    await host.until(values.LinkUp)
    served.do(lambda gate: gate.drop_next(1_000))
    waiting = asyncio.create_task(host.gate.release(a_release(1)))
    await asyncio.sleep(0)
    await host.gate.close()
    async with asyncio.timeout(WAIT_S):
        assert await waiting == values.Unanswered()
        told = [event async for event in host._events]
    assert [type(event) for event in told] == [values.LinkLost]


class Listening:
    """A session that keeps what its port tells."""

    def __init__(self):
        self.opened = asyncio.Event()
        self.closed = asyncio.Event()
        self.error = None
        self.received = b""

    def port_opened(self):
        self.opened.set()

    def port_read(self, received):
        self.received += received

    def port_closed(self, error):
        self.error = error
        self.closed.set()


async def test_a_device_that_never_reads_closes_the_port_instead_of_growing_its_backlog():
    master, slave = os.openpty()
    tty.setraw(slave)
    session = Listening()
    port = SerialPort(os.ttyname(slave), session)
    port.start()
    async with asyncio.timeout(WAIT_S):
        await session.opened.wait()
        while not session.closed.is_set():
            port.write(bytes(4_096))
            await asyncio.sleep(0)
    assert "does not read" in str(session.error)
    await port.close()
    os.close(slave)
    os.close(master)


@pytest.mark.parametrize("where", ["opening", "reading", "a timer"])
async def test_an_error_of_a_class_nobody_listed_ends_one_life_of_the_port_and_it_opens_again(
    where, monkeypatch, caplog
):
    master, slave = os.openpty()
    tty.setraw(slave)
    strange = [termios.error(5, "Input/output error") if where == "opening" else ArithmeticError("strange")]

    def fail():
        if strange:
            raise strange.pop()

    class Session(Listening):
        lives = 0

        def port_opened(self):
            self.lives += 1
            super().port_opened()

        def port_read(self, received):
            fail()
            super().port_read(received)

    flush = termios.tcflush
    if where == "opening":
        monkeypatch.setattr(termios, "tcflush", lambda *given: (fail(), flush(*given))[1])
    session = Session()
    port = SerialPort(os.ttyname(slave), session)
    port.start()
    async with asyncio.timeout(WAIT_S):
        await session.opened.wait()
        if where == "reading":
            os.write(master, b"what it chokes on")
        elif where == "a timer":
            port.call(fail)
        await session.closed.wait()
        while b"well" not in session.received:
            os.write(master, b"well")
            await asyncio.sleep(0.05)
    assert session.lives == (1 if where == "opening" else 2)
    await port.close()
    os.close(slave)
    os.close(master)


def test_plain_pyserial_sees_the_gate_speak_unasked(served):
    with serial.Serial(str(served.path), 250_000, timeout=WAIT_S, exclusive=True) as port:
        assert port.read_until(b"\x00", 1) == b"\x00"


def stile_gate(*arguments, **options):
    program = [sys.executable, "-c", "from scripts.cli.gate.app import app; app()", *map(str, arguments)]
    return subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


async def test_stile_gate_simulate_serves_a_gate_from_its_own_process(tmp_path):
    serving = stile_gate("simulate", "--json", "--auto-walk-ms", 50)
    try:
        row = json.loads(await asyncio.to_thread(serving.stdout.readline))
        keys = read_keys(Path(row["key_file"]), row["gate_id"])
        async with watched(row["port"], keys) as host:
            await host.until(values.LinkUp)
            assert await host.gate.release(a_release(1)) == values.Accepted()
            assert await host.next() == values.Passed(passage(1), Direction.ENTRY)
        arguments = ("console", row["port"], "--key-file", row["key_file"], "--for-s", 1, "--json")
        showing = stile_gate(*arguments)
        out, errors = await asyncio.to_thread(showing.communicate, timeout=WAIT_S)
        assert (showing.returncode, errors.strip()) == (0, "")
        shown = json.loads(out.splitlines()[-1])
        assert (shown["link"], shown["state"], shown["fault"]) == ("up", "locked", "none")
    finally:
        serving.send_signal(signal.SIGTERM)
        _, errors = serving.communicate(timeout=WAIT_S)
    assert (serving.returncode, errors) == (0, "")
    assert left_in(Path(row["port"]).parent) == []


def test_simulate_never_takes_the_place_of_a_file_that_is_there(tmp_path):
    path = tmp_path / "device"
    path.write_text("mine")
    serving = stile_gate("simulate", "--port", path)
    _, errors = serving.communicate(timeout=WAIT_S)
    assert serving.returncode == 2
    assert "name a path that is free" in errors
    assert path.read_text() == "mine"


@pytest.mark.parametrize(
    ("text", "says"), [("not hex", "not hexadecimal"), ("00ff", "2 bytes long"), (None, "No such file")]
)
def test_a_bad_key_file_ends_the_command_with_code_2_and_a_sentence(tmp_path, text, says):
    path = tmp_path / "gate.key"
    if text is not None:
        path.write_text(text)
        path.chmod(0o600)
    showing = stile_gate("console", "/dev/null", "--key-file", path)
    _, errors = showing.communicate(timeout=WAIT_S)
    assert showing.returncode == 2
    assert says in errors
