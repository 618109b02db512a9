"""`stile doctor` says what is wrong and what to do about it; `stile kiosk` says its errors plainly."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge.adapters.storage.exclusive import held_alone
from firmware_bridge import port
from firmware_bridge.auth import derive_keys
from firmware_bridge.simulator import ServedGate, SimulatedGate
from scripts.cli.gate.app import write_gate_key
from scripts.cli.main import build

CONFIG = """\
[kiosk]
state_dir = "{folder}"

[gate]
id = "gate-1"
port = "{port}"
key_file = "{key_file}"

[camera]
device = 63

[broker]
host = "127.0.0.1"
port = 1
"""


def stile(*arguments: str) -> tuple[int, str, str]:
    outcome = CliRunner().invoke(build(), list(arguments))
    return outcome.exit_code, outcome.stdout, outcome.stderr


def findings(stdout: str) -> dict[str, dict[str, object]]:
    return {found["name"]: found for found in json.loads(stdout.splitlines()[-1])["findings"]}


@pytest.fixture
def kiosk_toml(tmp_path: Path) -> Path:
    file = tmp_path / "kiosk.toml"
    port, key_file = tmp_path / "no-such-port", tmp_path / "gate.key"
    write_gate_key(key_file)
    file.write_text(CONFIG.format(folder=tmp_path, port=port, key_file=key_file))
    return file


def test_a_machine_without_a_kiosk_is_fit_for_the_demo() -> None:
    code, stdout, _ = stile("doctor", "--json")
    found = findings(stdout)
    assert {"python", "pack", "disk", "clock", "broker", "serial"} == set(found)
    assert code == (0 if all(each["ok"] for each in found.values()) else 1)
    assert found["pack"]["ok"]
    assert found["broker"]["ok"]


def test_broker_gate_and_camera_that_are_not_there_are_named_with_a_remedy(kiosk_toml: Path) -> None:
    code, stdout, _ = stile("doctor", "--config", str(kiosk_toml), "--json")
    found = findings(stdout)
    assert code == 1
    for name in ("broker", "gate", "camera"):
        assert not found[name]["ok"]
        assert found[name]["remedy"]
    assert "127.0.0.1:1" in str(found["broker"]["found"])
    assert "no-such-port" in str(found["gate"]["found"])


@pytest.mark.parametrize(
    ("screen", "page"),
    [("", "http://127.0.0.1:8470/"), ('\n[screen]\nhost = "::1"\nport = 9000\n', "http://[::1]:9000/")],
)
def test_a_camera_in_the_browser_is_no_fault_and_the_page_to_open_is_named(
    kiosk_toml: Path, screen: str, page: str
) -> None:
    kiosk_toml.write_text(kiosk_toml.read_text().replace("device = 63", 'device = "browser"') + screen)
    camera = findings(stile("doctor", "--config", str(kiosk_toml), "--json")[1])["camera"]
    assert camera["ok"]
    assert page in str(camera["found"])
    assert "allow" in str(camera["remedy"])


def test_a_kiosk_that_has_no_gate_is_not_asked_for_one(tmp_path: Path) -> None:
    file = tmp_path / "kiosk.toml"
    file.write_text(f'[kiosk]\nstate_dir = "{tmp_path}"\nmode = "enrol"\n\n[camera]\ndevice = "browser"\n')
    found = findings(stile("doctor", "--config", str(file), "--json")[1])
    assert "gate" not in found
    assert found["camera"]["ok"]


def test_advice_that_names_a_section_is_shown_whole(
    kiosk_toml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    _, stdout, _ = stile("doctor", "--config", str(kiosk_toml))
    assert "start it, or correct [broker]; the kiosk goes on without it" in stdout


def test_gate_and_camera_that_the_kiosk_itself_uses_are_well(kiosk_toml: Path, tmp_path: Path) -> None:
    with held_alone(tmp_path):
        found = findings(stile("doctor", "--config", str(kiosk_toml), "--json")[1])
    for name in ("gate", "camera"):
        assert found[name]["ok"]
        assert f"in use by this kiosk, which runs as process {os.getpid()}" in str(found[name]["found"])
    assert not findings(stile("doctor", "--config", str(kiosk_toml), "--json")[1])["gate"]["ok"]


def test_a_gate_that_answers_is_well(kiosk_toml: Path, tmp_path: Path) -> None:
    key = bytes.fromhex((tmp_path / "gate.key").read_text())
    with ServedGate(SimulatedGate(derive_keys(key, "gate-1")), tmp_path / "no-such-port"):
        found = findings(stile("doctor", "--config", str(kiosk_toml), "--json")[1])
    assert found["gate"]["ok"]


def test_a_gate_named_by_a_port_that_may_change_is_told_the_name_that_stays(
    kiosk_toml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_id = tmp_path / "by-id"
    by_id.mkdir()
    monkeypatch.setattr(port, "BY_ID", by_id)
    key = bytes.fromhex((tmp_path / "gate.key").read_text())
    with ServedGate(SimulatedGate(derive_keys(key, "gate-1")), tmp_path / "no-such-port") as served:
        (by_id / "usb-gate").symlink_to(served.path.readlink())
        found = findings(stile("doctor", "--config", str(kiosk_toml), "--json")[1])
    assert found["gate"]["ok"]
    assert f'gate.port = "{by_id / "usb-gate"}"' in str(found["gate"]["remedy"])


def test_a_gate_with_another_key_is_told_from_one_that_is_silent(kiosk_toml: Path, tmp_path: Path) -> None:
    with ServedGate(SimulatedGate(derive_keys(bytes(32), "gate-1")), tmp_path / "no-such-port"):
        found = findings(stile("doctor", "--config", str(kiosk_toml), "--json")[1])
    assert not found["gate"]["ok"]
    assert "key" in str(found["gate"]["found"])


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "No such file"), ("ab" * 31, "31 bytes long"), ("zz" * 32, "hexadecimal"), ("é", "hexadecimal")],
)
def test_a_key_file_that_holds_no_gate_key_is_named_with_what_it_lacks(
    kiosk_toml: Path, tmp_path: Path, content: str | None, says: str
) -> None:
    key_file = tmp_path / "gate.key"
    if content is None:
        key_file.unlink()
    else:
        key_file.write_text(content, encoding="utf-8")
    found = findings(stile("doctor", "--config", str(kiosk_toml), "--json")[1])
    assert not found["gate"]["ok"]
    assert f'gate.key_file = "{key_file}"' in str(found["gate"]["found"])
    assert says in str(found["gate"]["found"])


@pytest.mark.parametrize("command", [("doctor",), ("kiosk", "run"), ("kiosk", "check")])
def test_a_configuration_with_an_unknown_key_ends_with_exit_code_2(
    command: tuple[str, ...], kiosk_toml: Path
) -> None:
    kiosk_toml.write_text(kiosk_toml.read_text() + "\n[release]\nopen_s = 5\n")
    code, _, stderr = stile(*command, "--config", str(kiosk_toml))
    assert code == 2
    assert "release.open_s" in stderr
    assert "open_ms" in stderr


def test_a_kiosk_that_is_not_paired_says_how_to_pair_it(kiosk_toml: Path) -> None:
    code, _, stderr = stile("kiosk", "run", "--config", str(kiosk_toml))
    assert code == 2
    assert "stile kiosk pair" in stderr


def test_pairing_with_a_central_that_is_not_there_says_so(kiosk_toml: Path) -> None:
    pairing = kiosk_toml.with_name("code")
    pairing.write_text("ABCD-EFGH-JKLM-N234\n")
    words = ("kiosk", "pair", "http://127.0.0.1:1")
    code, _, stderr = stile(*words, "--code-file", str(pairing), "--config", str(kiosk_toml))
    assert code == 1
    assert "central does not answer" in stderr


def test_a_pairing_code_on_the_command_line_is_told_where_it_goes(kiosk_toml: Path) -> None:
    words = ("kiosk", "pair", "http://127.0.0.1:1", "ABCD-EFGH-JKLM-N234", "--config", str(kiosk_toml))
    code, _, stderr = stile(*words)
    assert code == 2
    assert "a pairing code on a command line can be read by everybody on this machine" in stderr
    assert "--code-file FILE" in stderr


def test_a_good_configuration_is_said_to_be_good(kiosk_toml: Path) -> None:
    assert stile("kiosk", "check", "--config", str(kiosk_toml)) == (0, f"{kiosk_toml}: good\n", "")


def test_a_corrupt_pack_is_refused_naming_the_file(kiosk_toml: Path, tmp_path: Path) -> None:
    import shutil

    pack = tmp_path / "pack"
    shutil.copytree("models/packs/default", pack)
    (pack / "face_mesh.onnx").write_bytes(b"not a network")
    kiosk_toml.write_text(kiosk_toml.read_text() + f'\n[pack]\npath = "{pack}"\n')
    found = findings(stile("doctor", "--config", str(kiosk_toml), "--json")[1])
    assert not found["pack"]["ok"]
    assert "face_mesh.onnx" in str(found["pack"]["found"])


def test_a_gate_key_that_others_may_read_is_refused(kiosk_toml: Path, tmp_path: Path) -> None:
    (tmp_path / "gate.key").chmod(0o644)
    found = findings(stile("doctor", "--config", str(kiosk_toml), "--json")[1])
    assert not found["gate"]["ok"]
    assert "mode 600" in str(found["gate"]["found"])
