"""The port itself: names that stay, cables pulled, lines kept low, one master."""

import asyncio
import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
import time

import pytest
import serial

from firmware_bridge import gate as values
from firmware_bridge import port as port_module
from firmware_bridge.drivers.own import open_own_gate
from firmware_bridge.errors import PortUnavailableError
from firmware_bridge.gate import LinkStatus
from firmware_bridge.port import advice, open_line, stable_name, stable_names
from firmware_bridge.simulator import ServedGate, SimulatedGate
from tests.doubles.bridge_pair import KEYS
from tests.doubles.waiting import WAIT_S


@pytest.fixture
def by_id(tmp_path, monkeypatch):
    folder = tmp_path / "by-id"
    folder.mkdir()
    monkeypatch.setattr(port_module, "BY_ID", folder)
    return folder


def a_gate(path):
    return open_own_gate(
        str(path),
        KEYS,
        clock_ms=lambda: time.monotonic_ns() // 1_000_000,
        draw_challenge=lambda: os.urandom(8),
    )


async def until(events, kind):
    async with asyncio.timeout(WAIT_S):
        while not isinstance(event := await anext(events), kind):
            pass
        return event


async def test_a_by_id_name_is_followed_to_whatever_device_it_is_after_re_plugging(by_id):
    name = by_id / "usb-Arduino_Uno_123-if00"
    with ServedGate(SimulatedGate(KEYS), name) as served:
        before = name.readlink()
        # While somebody holds it the device's number is not given again: as when ttyUSB0 returns as ttyUSB1.
        held = os.open(before, os.O_RDWR | os.O_NOCTTY)
        gate = a_gate(name)
        events = gate.events()
        await until(events, values.LinkUp)
        served.do(SimulatedGate.unplug)
        await until(events, values.LinkLost)
        assert not name.is_symlink()
        served.do(SimulatedGate.plug)
        await until(events, values.LinkUp)
        assert name.readlink() != before
        assert gate.state().link is LinkStatus.UP
        await events.aclose()
        await gate.close()
        os.close(held)


async def test_pulled_and_plugged_again_and_again_it_comes_back_each_time(by_id):
    name = by_id / "usb-gate"
    with ServedGate(SimulatedGate(KEYS), name) as served:
        gate = a_gate(name)
        events = gate.events()
        for _ in range(3):
            await until(events, values.LinkUp)
            served.do(SimulatedGate.unplug)
            lost = await until(events, values.LinkLost)
            assert "plug it in again" in lost.why
            served.do(SimulatedGate.plug)
        await until(events, values.LinkUp)
        await events.aclose()
        await gate.close()


def test_a_port_named_otherwise_has_a_by_id_name_to_suggest(by_id):
    master, slave = pty.openpty()
    device = os.ttyname(slave)
    assert stable_name(device) is None
    (by_id / "usb-gate").symlink_to(device)
    (by_id / "usb-another").symlink_to("/dev/null")
    assert stable_name(device) == str(by_id / "usb-gate")
    assert stable_name(str(by_id / "usb-gate")) is None
    assert stable_name("/dev/no-such-port") is None
    assert stable_names() == (str(by_id / "usb-another"), str(by_id / "usb-gate"))
    os.close(slave)
    os.close(master)


def test_a_port_that_is_not_there_names_those_that_are(by_id):
    assert "nothing there now" in advice(FileNotFoundError(2, "none"))
    (by_id / "usb-gate").symlink_to("/dev/null")
    assert str(by_id / "usb-gate") in advice(FileNotFoundError(2, "none"))


def test_without_the_folder_no_port_has_a_stable_name(tmp_path, monkeypatch):
    monkeypatch.setattr(port_module, "BY_ID", tmp_path / "none")
    assert (stable_names(), stable_name("/dev/null")) == ((), None)


def test_dtr_and_rts_are_asked_to_be_low_and_never_high_and_low_latency_is_asked_for(monkeypatch):
    asked = []
    really = fcntl.ioctl

    def noted(device, request, *rest):
        asked.append((request, *rest))
        return really(device, request, *rest)

    monkeypatch.setattr(serial.serialposix.fcntl, "ioctl", noted)
    master, slave = pty.openpty()
    with open_line(os.ttyname(slave)) as line:
        assert (line.dtr, line.rts) == (False, False)
    lowered = {struct.unpack("I", rest[0])[0] for request, *rest in asked if request == termios.TIOCMBIC}
    assert termios.TIOCM_DTR in lowered
    assert not [request for request, *_ in asked if request in (termios.TIOCMBIS, termios.TIOCMSET)]
    assert [request for request, *_ in asked if request == termios.TIOCGSERIAL]
    os.close(slave)
    os.close(master)


def test_a_port_can_be_opened_by_one_master_only():
    master, slave = pty.openpty()
    with open_line(os.ttyname(slave)), pytest.raises(PortUnavailableError, match="only one may talk"):
        open_line(os.ttyname(slave))
    os.close(slave)
    os.close(master)


@pytest.mark.parametrize("command", ["provision", "conform", "console"])
def test_a_tool_beside_a_running_kiosk_is_told_so_and_changes_nothing(command, tmp_path):
    key = tmp_path / "gate.key"
    key.touch(0o600)
    key.write_text("00" * 32)
    with ServedGate(SimulatedGate(KEYS)) as served, open_line(str(served.path)):
        arguments = {
            "provision": ["provision", served.path, "--key-file", key],
            "conform": ["conform", "--target", served.path, "--key-file", key],
            "console": ["console", served.path, "--key-file", key, "--for-s", "1", "--json"],
        }[command]
        ran = subprocess.run(
            [sys.executable, "-c", "from scripts.cli.main import main; main()", "gate", *map(str, arguments)],
            capture_output=True, text=True, timeout=WAIT_S, check=False,
        )  # fmt: skip
        assert "in use by another program" in ran.stdout + ran.stderr
        assert ran.returncode == (0 if command == "console" else 2)
        assert served.do(lambda gate: gate.boot_id) == 1
