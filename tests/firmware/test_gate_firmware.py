"""The C firmware itself: what it is built from, what it keeps, and the host's own driver talking to it."""

import asyncio
import itertools
import re
import shutil
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from random import Random

import pytest

from firmware_bridge import gate as values
from firmware_bridge import messages
from firmware_bridge.auth import derive_keys
from firmware_bridge.conformance.build import (
    SIMAVR_BOARD,
    BuildError,
    avr_size,
    host_compiler,
    portable_sources,
)
from firmware_bridge.conformance.header import FIRMWARE, HEADER, header_text
from firmware_bridge.conformance.rig import ConformanceRig
from firmware_bridge.conformance.scenarios import Scenario, run_scenario
from firmware_bridge.conformance.served import ServedFirmware
from firmware_bridge.conformance.targets import SteppedTarget
from firmware_bridge.drivers.own import open_own_gate
from firmware_bridge.gate import Direction, GateRelease, Mode
from firmware_bridge.messages import Inputs, Nonce, Outputs, PassageId
from tests.doubles.gate_firmware import KEYS, avr_build, has_file, host_build, simavr_runner

PATIENCE_S = 15.0
BOTH = Outputs.ENTRY_UNLOCKED | Outputs.EXIT_UNLOCKED

# Of the ATmega328P, and how much of its memory the deepest stack seen in simavr must have left alone.
AVR_FLASH, AVR_RAM, AVR_RESERVE = 32_768, 2_048, 64


def test_the_committed_header_is_what_the_table_says():
    assert HEADER.read_text() == header_text()


def test_the_header_says_the_numbers_of_the_table(tmp_path):
    host_build()
    program = tmp_path / "numbers.c"
    names = [row.name for row in messages.TABLE]
    prints = "".join(f'printf("%d %d\\n", GATE_{name}, GATE_{name}_SIZE);' for name in names)
    program.write_text(f'#include <stdio.h>\n#include "gate_protocol.h"\nint main(void) {{ {prints} }}\n')
    subprocess.run(
        [host_compiler(), f"-I{FIRMWARE}", "-Werror", "-o", tmp_path / "numbers", program], check=True
    )
    told = subprocess.run([tmp_path / "numbers"], check=True, capture_output=True, text=True).stdout
    assert [tuple(map(int, line.split())) for line in told.splitlines()] == [
        (row.code, row.layout.size) for row in messages.TABLE
    ]


def test_the_avr_build_fits_with_room_for_its_stack_and_uses_no_heap(tmp_path):
    elf = avr_build()
    assert avr_size(elf)["flash"] <= AVR_FLASH // 2
    left = tmp_path / "left"
    environment = {"GATE_FIRMWARE": str(elf), "GATE_STACK_LEFT": str(left)}
    target = SteppedTarget(simavr_runner(), tmp_path / "memory", environment=environment)
    # What goes deepest: frames checked and sent while interrupts come, keys kept, events told.
    steps = ("on PROVISIONING", "wait 80", "provision -> STORED", "off PROVISIONING", "restart", "up")
    steps += ("flood frames", "wait 300", "on FIRE", "wait 100", "flood off", "walk entry", "wait 300")
    assert run_scenario(Scenario("deep", (), steps), ConformanceRig(target, KEYS, Random(1))) is None
    target.close()
    assert AVR_RESERVE <= int(left.read_text()) <= AVR_RAM - avr_size(elf)["ram"]
    symbols = subprocess.run(["avr-nm", elf], check=True, capture_output=True, text=True).stdout
    assert not re.search(r"\b(malloc|calloc|realloc|free)\b", symbols)


def test_the_portable_sources_compile_for_a_cortex_m0():
    compiler = shutil.which("arm-none-eabi-gcc")
    if compiler is None or not has_file(compiler, "libc.a"):
        pytest.skip(
            "the ARM compiler or its C library is missing: "
            "sudo apt install gcc-arm-none-eabi libnewlib-arm-none-eabi"
        )
    for source in portable_sources():
        subprocess.run(
            [compiler, "-std=c99", "-mcpu=cortex-m0plus", "-mthumb", "-Os", "-Wall", "-Wextra", "-Werror",
             f"-I{FIRMWARE}", "-c", "-o", "/dev/null", str(source)], check=True,
        )  # fmt: skip


def test_the_gpl_runner_is_in_the_tests_and_nothing_of_the_product_names_simavr():
    assert SIMAVR_BOARD.is_relative_to(FIRMWARE.parent.parent / "tests")
    for path in FIRMWARE.rglob("*.[ch]"):
        assert "avr_" not in path.read_text().replace("avr_board", "") or "atmega328p" in str(path)


# --- what outlives a boot ---------------------------------------------------------------------------------

SLOTS, SLOT_SIZE = 64, 6


def boots(memory, count):
    """Boot ids of that many boots with one memory, as WELCOME tells them."""
    found = []
    for _ in range(count):
        target = SteppedTarget(host_build(sanitized=False), memory)
        rig = ConformanceRig(target, KEYS, Random(1))
        assert run_scenario(Scenario("boot", (), ("greet",)), rig) is None
        target.close()
        found.append(rig.boot_id)
    return found


@pytest.fixture
def memory(tmp_path):
    path = tmp_path / "memory"
    target = SteppedTarget(host_build(sanitized=False), path)
    steps = ("on PROVISIONING", "wait 80", "provision -> STORED")
    assert run_scenario(Scenario("keys", (), steps), ConformanceRig(target, KEYS, Random(1))) is None
    target.close()
    return path


def slots(memory):
    kept = memory.read_bytes()
    return [kept[at : at + SLOT_SIZE] for at in range(0, SLOTS * SLOT_SIZE, SLOT_SIZE)]


def test_every_boot_has_a_higher_id_and_writes_another_slot(memory):
    before = slots(memory)
    assert boots(memory, SLOTS) == list(range(2, SLOTS + 2))
    changed = [old != new for old, new in zip(before, slots(memory), strict=True)]
    assert all(changed)


def test_a_boot_id_whose_writing_was_cut_short_is_never_given_again_lower(memory):
    boots(memory, 3)
    kept = bytearray(memory.read_bytes())
    # The next slot half written, as by a loss of power.
    kept[4 * SLOT_SIZE : 4 * SLOT_SIZE + 3] = b"\xff\xff\x00"
    memory.write_bytes(kept)
    assert boots(memory, 1) == [5]


def test_keys_that_were_half_written_are_no_keys(memory):
    kept = bytearray(memory.read_bytes())
    kept[SLOTS * SLOT_SIZE + 20] ^= 1
    memory.write_bytes(kept)
    target = SteppedTarget(host_build(sanitized=False), memory)
    rig = ConformanceRig(target, KEYS, Random(1))
    assert run_scenario(Scenario("no keys", (), ("greet",)), rig) is not None
    assert rig.heard == []
    fire = ("on FIRE", "wait 60", "unlocked both", "freed both within LIFE_SAFETY_MS of FIRE")
    assert run_scenario(Scenario("fire without keys", (), fire), rig) is None
    target.close()


def test_without_a_boot_id_to_give_the_port_stays_shut_and_fire_still_frees(memory):
    import binascii

    last = b"\xff\xff\xff\xff"
    kept = bytearray(memory.read_bytes())
    kept[:SLOT_SIZE] = last + binascii.crc_hqx(last, 0xFFFF).to_bytes(2, "little")
    memory.write_bytes(kept)
    target = SteppedTarget(host_build(sanitized=False), memory)
    rig = ConformanceRig(target, KEYS, Random(1))
    assert run_scenario(Scenario("shut", (), ("greet",)), rig) is not None
    assert rig.heard == []
    fire = ("on FIRE", "wait 60", "freed both within LIFE_SAFETY_MS of FIRE")
    assert run_scenario(Scenario("fire", (), fire), rig) is None
    target.close()


# --- the host's own driver --------------------------------------------------------------------------------


def passage(number):
    return PassageId(number.to_bytes(16, "big"))


def clock_ms():
    return time.monotonic_ns() // 1_000_000


@asynccontextmanager
async def driving(served, keys=KEYS):
    challenges = itertools.count(time.monotonic_ns())
    gate = open_own_gate(
        str(served.path), keys, clock_ms=clock_ms, draw_challenge=lambda: next(challenges).to_bytes(8, "big")
    )
    events = gate.events()
    try:
        yield gate, events
    finally:
        await events.aclose()
        await gate.close()


async def until(events, kind):
    async with asyncio.timeout(PATIENCE_S):
        async for event in events:
            if isinstance(event, kind):
                return event
    raise AssertionError("no such event")


async def state(gate, holds):
    async with asyncio.timeout(PATIENCE_S):
        while not holds(found := gate.state()):  # noqa: ASYNC110 - a state has no event to wait for
            await asyncio.sleep(0.005)
        return found


def a_release(number):
    return GateRelease(
        passage(number), Nonce(number.to_bytes(8, "big")), Direction.ENTRY, clock_ms() + 5_000, 5_000
    )


BUILDS = {
    "host": lambda: {"program": host_build()},
    "simavr": lambda: {"program": simavr_runner(), "environment": {"GATE_FIRMWARE": str(avr_build())}},
}


@pytest.mark.parametrize("build", BUILDS.values(), ids=BUILDS)
async def test_the_kiosks_driver_passes_a_person_through_the_firmware_on_a_real_pty(build):
    with ServedFirmware(KEYS, **build()) as served:
        async with driving(served) as (gate, events):
            assert (await until(events, values.LinkUp)).boot_id == 2
            assert await gate.release(a_release(1)) == values.Accepted()
            await state(gate, lambda found: found.mode is Mode.RELEASED and found.entry_unlocked)
            await asyncio.to_thread(served.walk_through)
            assert await until(events, values.Passed) == values.Passed(passage(1), Direction.ENTRY)
            assert await gate.release(a_release(1)) == values.ReleaseRefused(values.RefusedBecause.REPEATED)
            await asyncio.to_thread(served.set_inputs, Inputs.FIRE)
            await until(events, values.FireReleased)
            assert await gate.release(a_release(2)) == values.ReleaseRefused(values.RefusedBecause.FREE)
            wires = await asyncio.to_thread(served.wires)
            assert wires.contacts == BOTH


NEW_KEY = bytes(range(64, 96))


def provisioned(served, key_file):
    return subprocess.run(
        [sys.executable, "-c", "from scripts.cli.main import main; main()", "gate", "provision", served.path,
         "--key-file", key_file, "--gate-id", "gate-1"], capture_output=True, text=True, timeout=60,
    )  # fmt: skip


async def test_a_kiosk_with_another_key_is_told_so_and_the_gate_stays_safe():
    with ServedFirmware(KEYS, program=host_build()) as served:
        async with driving(served, derive_keys(NEW_KEY, "gate-1")) as (gate, _):
            found = await state(gate, lambda found: found.link is values.LinkStatus.MISMATCHED)
            assert "another key" in found.trouble
            assert not (await asyncio.to_thread(served.wires)).contacts


@pytest.fixture
def of_another_release(tmp_path):
    folder = tmp_path / "firmware"
    shutil.copytree(FIRMWARE, folder)
    header = folder / "gate_protocol.h"
    header.write_text(re.sub(r"(PROTOCOL_HASH \{)0x..", r"\g<1>0x00", header.read_text()))
    assert header.read_text() != HEADER.read_text()
    sources = [*folder.glob("*.c"), *(folder / "boards" / "host").glob("*.c")]
    program = tmp_path / "gate"
    host_build()
    flags = ["-std=c99", "-D_XOPEN_SOURCE=700", f"-I{folder}", f"-I{folder}/boards/host"]
    subprocess.run([host_compiler(), *flags, "-o", program, *sources], check=True)
    return program


async def test_firmware_of_another_release_is_told_so_and_stays_safe(of_another_release):
    with ServedFirmware(KEYS, program=of_another_release) as served:
        async with driving(served) as (gate, _):
            found = await state(gate, lambda found: found.link is values.LinkStatus.MISMATCHED)
            assert "flash the firmware" in found.trouble
            refused = await gate.release(a_release(1))
            assert refused == values.ReleaseRefused(values.RefusedBecause.LINK_DOWN)
            assert not (await asyncio.to_thread(served.wires)).contacts


def test_a_port_name_that_is_taken_is_said(tmp_path):
    (tmp_path / "port").touch()
    with pytest.raises(BuildError, match="port there already"):
        ServedFirmware(KEYS, program=host_build(), path=tmp_path / "port").__enter__()


async def test_a_technician_brings_new_keys_with_the_jumper_and_not_without(tmp_path):
    key_file = tmp_path / "gate.key"
    key_file.touch(0o600)
    key_file.write_text(NEW_KEY.hex() + "\n")
    with ServedFirmware(KEYS, program=host_build()) as served:
        refused = await asyncio.to_thread(provisioned, served, key_file)
        assert (refused.returncode, "jumper is not fitted" in refused.stderr) == (1, True)
        await asyncio.to_thread(served.set_inputs, Inputs.PROVISIONING)
        taken = await asyncio.to_thread(provisioned, served, key_file)
        assert (taken.returncode, "restart the controller" in taken.stdout) == (0, True)
        await asyncio.to_thread(served.set_inputs, off=Inputs.PROVISIONING)
        await asyncio.to_thread(served.restart)
        async with driving(served, derive_keys(NEW_KEY, "gate-1")) as (gate, events):
            await until(events, values.LinkUp)
            assert await gate.release(a_release(1)) == values.Accepted()


async def test_the_driver_finds_the_firmware_again_after_its_watchdog_restarted_it():
    with ServedFirmware(KEYS, program=host_build()) as served:
        async with driving(served) as (gate, events):
            await until(events, values.LinkUp)
            assert await gate.release(a_release(1)) == values.Accepted()
            await asyncio.to_thread(served.stop_clock)
            interrupted = await until(events, values.Interrupted)
            assert (interrupted.passage_id, interrupted.cause) == (passage(1), values.Cause.REBOOT)
            await state(gate, lambda found: found.mode is Mode.LOCKED and not found.entry_unlocked)
