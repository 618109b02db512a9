"""The operator's root as people keep it: offline under a passphrase, or beside a trial; renewed, and lost."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from central.adapters.sealed_keys import open_sealed
from central.rules.authority import CentralRequest, Credentials
from scripts.cli.main import build
from tests.doubles.desk import PASSPHRASE, Desk, review, run, told
from wire import environment
from wire.environment import utc_ms
from wire.signing import DAY_MS


@pytest.fixture
def passphrase(tmp_path: Path) -> str:
    file = tmp_path / "root-passphrase"
    file.touch(mode=0o600)
    file.write_text(f"{PASSPHRASE}\n")
    return str(file)


def init(folder: Path, *words: str, site: str = "north") -> Path:
    made = run("init", str(folder), "--operator", "metro", "--site", site, *words)
    assert made.exit_code == 0, made.output
    return folder / "central.toml"


@pytest.fixture
def stick(tmp_path: Path) -> Path:
    """A medium that is taken away."""
    (tmp_path / "stick").mkdir()
    return tmp_path / "stick" / "root.json"


@pytest.fixture
def site(tmp_path: Path, stick: Path, passphrase: str) -> Path:
    return init(tmp_path / "north", "--root", str(stick), "--root-passphrase-file", passphrase)


def state(config: Path) -> dict[str, object]:
    found = run("state", "--config", str(config), "--json")
    assert found.exit_code == 0, found.output
    return json.loads(found.stdout)


def test_central_runs_and_certifies_kiosks_without_the_root(site: Path, stick: Path):
    keys = {path.name for path in (site.parent / "keys").iterdir()}
    assert not any("root" in name for name in keys)
    stick.unlink()
    assert told(site, "kiosk", "add", "gate-1")["pairing_code"]
    assert state(site)["root"] == "offline"
    assert "root: offline" in run("state", "--config", str(site)).stdout


def test_the_roots_file_opens_with_its_passphrase_and_no_other(stick: Path, site: Path, tmp_path: Path):
    assert stick.stat().st_mode & 0o777 == 0o600
    wrong = tmp_path / "wrong"
    wrong.touch(mode=0o600)
    wrong.write_text("another passphrase")
    asked = ("root", "check", "--config", str(site), "--root", str(stick), "--root-passphrase-file")
    refused = run(*asked, str(wrong))
    assert (refused.exit_code, "does not open with this passphrase" in refused.stderr) == (2, True)
    found = run(*asked, str(tmp_path / "root-passphrase"))
    assert (found.exit_code, "opens, and is this one" in found.stdout) == (0, True)


def test_a_passphrase_is_the_same_however_its_letters_are_composed(tmp_path: Path):
    file, key = tmp_path / "passphrase", tmp_path / "ada.key"
    file.touch(mode=0o600)
    file.write_text("Gr\u00fc\u00dfe vom S\u00fcdtor")
    whose = ("--operator", "metro", "--key", str(key), "--passphrase-file", str(file))
    assert review("request", "ada", *whose).exit_code == 0
    assert open_sealed(key, "reviewer", "Gru\u0308\u00dfe vom Su\u0308dtor").public_key


def test_a_root_that_is_not_this_ones_is_said_to_be_another(site: Path, tmp_path: Path, passphrase: str):
    other = tmp_path / "other.json"
    made = run("root", "init", str(other), "--operator", "metro", "--root-passphrase-file", passphrase)
    assert made.exit_code == 0, made.output
    found = run(
        "root", "check", "--config", str(site), "--root", str(other), "--root-passphrase-file", passphrase
    )
    assert (found.exit_code, "ANOTHER root" in found.stdout) == (1, True)


def test_one_root_certifies_every_site_of_its_operator_and_no_other_operators(
    site: Path, stick: Path, tmp_path: Path, passphrase: str
):
    words = ("--root", str(stick), "--root-passphrase-file", passphrase)
    south = init(tmp_path / "south", *words, site="south")
    assert state(site)["root_public_key"] == state(south)["root_public_key"]
    bus = run("init", str(tmp_path / "bus"), "--operator", "bus", "--site", "east", *words)
    assert (bus.exit_code, "is the root of operator 'metro'" in bus.stderr) == (1, True)
    assert not (tmp_path / "bus").exists()
    (south.parent / "keys" / "central.credentials.json").write_bytes(
        (site.parent / "keys" / "central.credentials.json").read_bytes()
    )
    swapped = run("state", "--config", str(south))
    assert (swapped.exit_code, "certifies another central key" in swapped.stderr) == (2, True)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((), 2, "--root FILE"),
        (("--root", "root.json"), 1, "--root-passphrase-file FILE, or --trial"),
        (("--root", "root.json", "--trial"), 2, "or --trial"),
    ],
)
def test_without_a_terminal_init_needs_a_passphrase_file_or_a_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], code: int, said: str
):
    monkeypatch.chdir(tmp_path)
    refused = run("init", "central", "--operator", "metro", "--site", "north", *words)
    assert (refused.exit_code, said in refused.stderr) == (code, True), refused.output
    assert list(tmp_path.iterdir()) == [], "nothing was written"


def test_a_short_passphrase_and_one_that_others_may_read_make_no_root(tmp_path: Path):
    file = tmp_path / "passphrase"
    file.write_text("short")
    for mode, said in ((0o600, "at least 12 characters"), (0o644, "chmod 600")):
        file.chmod(mode)
        words = ("root", "init", str(tmp_path / "root.json"), "--operator", "metro")
        refused = run(*words, "--root-passphrase-file", str(file))
        assert said in refused.stderr
        assert not (tmp_path / "root.json").exists()


def test_state_and_doctor_say_that_a_trials_root_lies_beside_central(tmp_path: Path, site: Path):
    trial = init(tmp_path / "trial", "--trial")
    assert state(trial)["root"] == "trial, beside central"
    for config, ok in ((trial, False), (site, True)):
        found = CliRunner().invoke(build(["doctor"]), ["doctor", "--central", str(config), "--json"])
        by_name = {each["name"]: each for each in json.loads(found.stdout.splitlines()[-1])["findings"]}
        assert by_name["root"]["ok"] is ok
        assert bool(by_name["root"]["remedy"]) is not ok
        assert by_name["certificates"]["ok"] is True


def test_credentials_are_renewed_from_the_request_that_central_keeps(
    site: Path, stick: Path, passphrase: str
):
    keys = site.parent / "keys"
    held = keys / "central.credentials.json"
    before = msgspec.json.decode(held.read_bytes(), type=Credentials)
    request = keys / "central.request.json"
    signed = run("root", "sign", str(stick), str(request), "--root-passphrase-file", passphrase)
    assert signed.exit_code == 0, signed.output
    after = msgspec.json.decode(held.read_bytes(), type=Credentials)
    assert (after.root_public_key, after.central.public_key) == (
        before.root_public_key,
        before.central.public_key,
    )
    assert after.central.not_after_ms > before.central.not_after_ms
    assert run("root", "check", "--config", str(site)).exit_code == 0


def test_the_root_signs_no_request_that_its_keys_did_not_and_no_reviewer_for_longer_than_90_days(
    site: Path, stick: Path, passphrase: str, tmp_path: Path
):
    request = site.parent / "keys" / "central.request.json"
    asked = msgspec.json.decode(request.read_bytes(), type=CentralRequest)
    bent = tmp_path / "bent.request.json"
    bent.write_bytes(msgspec.json.encode(msgspec.structs.replace(asked, public_key=b"k" * 32)))
    refused = run("root", "sign", str(stick), str(bent), "--root-passphrase-file", passphrase)
    assert (refused.exit_code, "not signed by the keys it names" in refused.stderr) == (1, True)
    key = tmp_path / "ada.key"
    whose = ("--operator", "metro", "--key", str(key), "--passphrase-file", passphrase)
    assert review("request", "ada", *whose).exit_code == 0
    asked_for = str(key.with_suffix(".request.json"))
    longer = run("root", "sign", str(stick), asked_for, "--root-passphrase-file", passphrase, "--days", "91")
    assert (longer.exit_code, "lasts 1 to 90 days, not 91" in longer.stderr) == (1, True)
    assert not list(tmp_path.glob("*.c*.json")), "nothing was signed"


def draft(site: Path, desk: Desk, text: str = "Incident 12") -> tuple[str, Path]:
    member = told(site, "subject", "add", "--consent", "2026-11")["subject"]
    file, _ = desk.draft(member, text)
    return member, file


@pytest.fixture
def desk(site: Path, stick: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(site, tmp_path, root=stick)


def test_a_reviewer_sees_reason_end_and_subject_from_the_bytes_before_signing(site: Path, desk: Desk):
    member, file = draft(site, desk, "Vorfall 12, Südtor")
    shown = review("show", str(file)).stdout
    for said in (member, "staff_assaulted: Vorfall 12, Südtor", "until", "UTC"):
        assert said in shown
    declined = CliRunner().invoke(
        build(["reviewer"]), ["reviewer", "sign", str(file), *desk.own("ada")], input="n\n"
    )
    assert (declined.exit_code, member in declined.stdout) == (1, True)
    assert "signed by" not in review("show", str(file)).stdout
    assert review("sign", str(file), *desk.own("ada"), "--yes").exit_code == 0
    assert "signed by ada" in review("show", str(file)).stdout


def test_the_second_signature_is_another_reviewers_over_the_same_bytes(site: Path, desk: Desk):
    _, file = draft(site, desk)
    assert review("sign", str(file), *desk.own("ada"), "--yes").exit_code == 0
    again = review("sign", str(file), *desk.own("ada"), "--yes")
    assert (again.exit_code, "another reviewer's" in again.stderr) == (1, True)
    few = run("restriction", "add", str(file), "--config", str(site))
    assert (few.exit_code, "not signed by 2 reviewers" in few.stderr) == (1, True)
    once = file.read_text()
    file.write_text(once.replace("Incident 12", "Incident 13"))
    bent = review("sign", str(file), *desk.own("bea"), "--yes")
    assert (bent.exit_code, "not over what this says" in bent.stderr) == (1, True)
    file.write_text(once)
    assert review("sign", str(file), *desk.own("bea"), "--yes").exit_code == 0
    third = review("sign", str(file), *desk.own("cas"), "--yes")
    assert (third.exit_code, "all its signatures" in third.stderr) == (1, True)
    assert run("restriction", "add", str(file), "--config", str(site)).exit_code == 0


def test_a_reason_that_a_terminal_would_not_show_as_it_is_is_not_signed(site: Path, desk: Desk):
    _, file = draft(site, desk)
    for hidden in (r"\u001b[2Jfine", r"12\u202e", r"a\nb"):
        text = file.read_text().replace("Incident 12", hidden)
        (bent := desk.file()).write_text(text)
        refused = review("sign", str(bent), *desk.own("ada"), "--yes")
        assert (refused.exit_code, "not shown" in refused.stderr) == (1, True), refused.output
        assert bent.read_text() == text


def test_a_reviewers_key_opens_with_its_passphrase_and_signs_with_its_own_certificate_alone(
    site: Path, desk: Desk
):
    _, file = draft(site, desk)
    desk.hire("ada")
    desk.hire("bea")
    other = review(
        "sign", str(file), *desk.own("ada"), "--certificate", str(desk.certificate("bea")), "--yes"
    )
    assert (other.exit_code, "is not the certificate of" in other.stderr) == (2, True)
    desk.passphrase.write_text("another passphrase")
    wrong = review("sign", str(file), *desk.own("ada"), "--yes")
    assert (wrong.exit_code, "does not open with this passphrase" in wrong.stderr) == (2, True)
    root = review("sign", str(file), "--key", str(desk.root), *desk.own("ada")[2:], "--yes")
    assert (root.exit_code, "is the key file of a root" in root.stderr) == (2, True)


def test_certificates_that_ended_are_told_by_name(site: Path, desk: Desk, monkeypatch: pytest.MonkeyPatch):
    desk.hire("ada")
    assert run("root", "check", "--config", str(site)).exit_code == 0
    for days, over in ((91, ["reviewer ada"]), (5 * 366, ["central", "issuer", "reviewer ada"])):
        later_ms = utc_ms() + days * DAY_MS
        with monkeypatch.context() as patched:
            patched.setattr(environment, "utc_ms", lambda at_ms=later_ms: at_ms)
            found = run("root", "check", "--config", str(site), "--json")
        assert (found.exit_code, json.loads(found.stdout)["over"]) == (1, over)
