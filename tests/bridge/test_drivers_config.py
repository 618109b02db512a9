"""Section `gate` of the kiosk's configuration, and the one place that opens what it says."""

import pytest

from edge.config import parse_config
from edge.errors import ConfigError
from edge.modes.probes import probe_gate
from firmware_bridge.simulator.boards.cable import Cable
from firmware_bridge.simulator.boards.lcus import LcusDevice
from firmware_bridge.simulator.boards.modbus import ModbusDevice
from firmware_bridge.simulator.boards.osdp import OsdpDevice
from tests.doubles.driver_rigs import SCBK
from tests.doubles.waiting import WAIT_S

KIOSK = '[kiosk]\nstate_dir = "var/kiosk"\n\n'
OWN = 'port = "/dev/gate"\nkey_file = "gate.key"\n'
BEAMS = "beam_a_input = 0\nbeam_b_input = 1\n"
LCUS = 'driver = "lcus"\n[gate.lcus]\nport = "/dev/relay"\n'
MODBUS = 'driver = "modbus"\n[gate.modbus]\nport = "/dev/relay"\n'
OSDP = 'driver = "osdp"\n[gate.osdp]\nport = "/dev/reader"\nkey_file = "scbk"\n'
FARE = '[release]\nfare = "on_passage"\n'


def config(text):
    return parse_config(f'{KIOSK}[gate]\nid = "north-1"\n{text}', "kiosk.toml")


def complaint(text):
    with pytest.raises(ConfigError) as raised:
        config(text)
    return str(raised.value)


def test_without_a_driver_it_is_stiles_own_controller():
    assert config(OWN).gate.driver == "own"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            'key_file = "gate.key"\n',
            'kiosk.toml:4: gate.port is missing, and gate.driver = "own" needs it',
        ),
        ('port = "/dev/gate"\n', "gate.key_file is missing, and"),
        (
            'driver = "lcus"\n',
            'kiosk.toml:6: gate.driver is "lcus", but [gate.lcus] is missing. Add it.',
        ),
        (
            OWN + LCUS,
            'kiosk.toml:6: gate.port is only read when gate.driver = "own", but it is "lcus"',
        ),
        (
            OWN + '[gate.lcus]\nport = "/dev/relay"\n',
            'kiosk.toml:8: [gate.lcus] is only read when gate.driver = "lcus", but it is "own". '
            "Change gate.driver, or delete the section.",
        ),
        (
            LCUS + "[gate.gpio]\nentry_line = 4\n",
            '[gate.gpio] is only read when gate.driver = "gpio", but',
        ),
        ('driver = "parport"\n', 'kiosk.toml:6: gate.driver = "parport": Invalid enum value'),
        (LCUS + "chanel = 1\n", "kiosk.toml:9: gate.lcus.chanel = 1: there is no such key; did you mean"),
        (LCUS + "entry_channel = 0\n", "kiosk.toml:9: gate.lcus.entry_channel = 0: Expected `int` >= 1"),
        (MODBUS + "unit = 248\n", "kiosk.toml:9: gate.modbus.unit = 248: Expected `int` <= 247"),
        (MODBUS + "baud = 300\n", "kiosk.toml:9: gate.modbus.baud = 300: Invalid enum value"),
        (
            'driver = "osdp"\n[gate.osdp]\nport = "/dev/reader"\n',
            "toml:7: gate.osdp.key_file is missing",
        ),
        ('driver = "gpio"\n[gate.gpio]\n', "[gate.gpio] wires no relay: give one"),
        (
            LCUS + '[release]\ndirection = "exit"\n',
            'release.direction = "exit": section gate.lcus has no relay',
        ),
    ],
)
def test_what_does_not_fit_the_driver_is_named_with_its_line(text, said):
    assert said in complaint(text)


@pytest.mark.parametrize("text", [LCUS, OSDP, MODBUS, MODBUS + "beam_a_input = 0\n"])
def test_a_fare_on_passage_is_refused_with_a_gate_that_cannot_report_it(text):
    driver = text.split('"')[1]
    assert complaint(text + FARE).endswith(
        f'release.fare = "on_passage": needs a gate that reports passages, which gate.driver = "{driver}" '
        'as it is wired cannot: give "none", wire both beams to a driver that reads them (modbus, gpio), '
        'or use gate.driver = "own"; docs/gates.md'
    )


@pytest.mark.parametrize(
    "text",
    [
        OWN,
        MODBUS + BEAMS,
        'driver = "gpio"\n[gate.gpio]\nentry_line = 4\nbeam_a_line = 5\nbeam_b_line = 6\n',
    ],
)
def test_a_fare_on_passage_starts_with_a_gate_that_reports_it(text):
    assert config(text + FARE).release.fare == "on_passage"


@pytest.mark.parametrize("text", [LCUS, OSDP, MODBUS])
def test_without_such_a_fare_any_gate_will_do(text):
    assert config(text).release.fare == "none"


@pytest.mark.parametrize("driver", ["lcus", "modbus", "osdp"])
async def test_a_kiosk_reaches_the_gate_that_its_configuration_names(driver, tmp_path):
    with Cable() as cable:
        text = {"lcus": LCUS, "modbus": MODBUS, "osdp": OSDP}[driver]
        key_file = tmp_path / "scbk"
        key_file.write_text(SCBK.hex())
        key_file.chmod(0o600)
        text = text.replace("/dev/relay", str(cable.path)).replace("/dev/reader", str(cable.path))
        chosen = config(text.replace('"scbk"', f'"{key_file}"'))
        match driver:
            case "lcus":
                with LcusDevice(cable):
                    assert await probe_gate(chosen, WAIT_S) == ""
            case "modbus":
                async with ModbusDevice(cable):
                    assert await probe_gate(chosen, WAIT_S) == ""
            case "osdp":
                with OsdpDevice(cable, SCBK):
                    assert await probe_gate(chosen, WAIT_S) == ""


async def test_a_gate_that_is_not_there_is_said_with_its_name(tmp_path):
    chosen = config(LCUS.replace("/dev/relay", str(tmp_path / "relay")))
    assert f"serial port {tmp_path}/relay: not there" in await probe_gate(chosen, 0.1)


async def test_a_key_file_that_cannot_be_used_names_its_option():
    with pytest.raises(ConfigError, match=r'gate\.osdp\.key_file = "scbk"'):
        await probe_gate(config(OSDP), WAIT_S)
