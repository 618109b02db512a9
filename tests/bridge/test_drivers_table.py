"""What is said of the drivers is what they say themselves, and every yes has a test that is there."""

import importlib
import re
from dataclasses import fields
from pathlib import Path

import msgspec
import pytest

from edge.config import GateSection
from firmware_bridge.drivers.capabilities import CAPABILITIES, WITH_BEAMS, WITH_FLASH, capabilities_of
from firmware_bridge.drivers.wiring import GpioWiring, LcusWiring, ModbusWiring, OsdpWiring
from firmware_bridge.gate import GateCapabilities

ROOT = Path(__file__).parents[2]
GATES = (ROOT / "docs" / "gates.md").read_text()
REFERENCE = (ROOT / "docs" / "reference.md").read_text()
GUARANTEES = [field.name for field in fields(GateCapabilities)]
WIRINGS = {
    "modbus": ModbusWiring,
    "osdp": OsdpWiring,
    "lcus": LcusWiring,
    "gpio": GpioWiring,
}
PORTS = {"port": "/dev/serial/by-id/gate", "key_file": "gate.key"}


def told(driver, guarantee):
    """The word of the table for a driver as the code has it."""
    if getattr(CAPABILITIES[driver], guarantee):
        return "yes"
    if guarantee == "reports_passage" and driver in WITH_BEAMS:
        return "with beams"
    if guarantee == "closes_without_host" and driver in WITH_FLASH:
        return "with flash"
    return "no"


def table():
    """Guarantee -> driver -> word, as docs/gates.md has it."""
    head = next(line for line in GATES.splitlines() if line.startswith("| | own"))
    drivers = [cell.strip() for cell in head.strip("|").split("|")][1:]
    rows = re.findall(r"^\| `(\w+)`: [^|]+ \| (.+) \|$", GATES, re.MULTILINE)
    return {
        name: dict(zip(drivers, (cell.strip() for cell in cells.split("|")), strict=True))
        for name, cells in rows
    }


def proofs():
    """(driver, guarantee) -> the test that proves it."""
    rows = re.findall(r"^\| (\w+) \| `(\w+)` \| `([\w/.]+)::(\w+)` \|$", GATES, re.MULTILINE)
    return {(driver, guarantee): (file, test) for driver, guarantee, file, test in rows}


def test_the_documents_table_is_the_codes():
    assert table() == {name: {driver: told(driver, name) for driver in CAPABILITIES} for name in GUARANTEES}


def test_every_yes_names_a_test_and_no_other_cell_does():
    claimed = {(driver, name) for driver in CAPABILITIES for name in GUARANTEES if told(driver, name) != "no"}
    assert set(proofs()) == claimed


@pytest.mark.parametrize(("claim", "proof"), proofs().items())
def test_the_test_named_for_a_guarantee_is_there_and_runs_for_that_driver(claim, proof):
    file, name = proof
    found = getattr(importlib.import_module(file.removesuffix(".py").replace("/", ".")), name)
    marks = [mark for mark in getattr(found, "pytestmark", []) if mark.args[0] == "name"]
    for mark in marks:
        assert any(value.split("-")[0] == claim[0] for value in mark.args[1])


@pytest.mark.parametrize("driver", CAPABILITIES)
def test_only_what_is_wired_changes_what_a_driver_guarantees(driver):
    assert capabilities_of(driver) == CAPABILITIES[driver]
    wired = capabilities_of(driver, beams=True, flash=True)
    changed = {name for name in GUARANTEES if getattr(wired, name) != getattr(CAPABILITIES[driver], name)}
    assert changed == {name for name in GUARANTEES if told(driver, name).startswith("with ")}


@pytest.mark.parametrize(
    "key",
    [
        f"gate.{driver}.{field.name}"
        for driver, wiring in WIRINGS.items()
        for field in msgspec.structs.fields(wiring)
    ],
)
def test_every_key_of_a_drivers_section_is_documented(key):
    assert f"| `{key}` |" in REFERENCE


def test_the_reference_names_no_key_of_a_driver_that_is_not_there():
    named = set(re.findall(r"^\| `gate\.(\w+\.\w+)` \|", REFERENCE, re.MULTILINE))
    assert named == {
        f"{driver}.{field.name}"
        for driver, wiring in WIRINGS.items()
        for field in msgspec.structs.fields(wiring)
    }


@pytest.mark.parametrize("driver", CAPABILITIES)
@pytest.mark.parametrize("beams", [False, True])
def test_the_configuration_knows_whether_its_gate_reports_passages(driver, beams):
    wired = {
        "modbus": {"beam_a_input": 1, "beam_b_input": 2},
        "gpio": {"beam_a_line": 1, "beam_b_line": 2},
    }
    sections = {}
    if driver in WIRINGS:
        names = {field.name for field in msgspec.structs.fields(WIRINGS[driver])}
        required = {key: value for key, value in PORTS.items() if key in names}
        sections[driver] = WIRINGS[driver](**required, **(wired.get(driver, {}) if beams else {}))
    section = GateSection("north-1", driver=driver, **sections)
    assert section.wiring.beams is capabilities_of(driver, beams=beams).reports_passage
