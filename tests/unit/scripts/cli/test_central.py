"""`stile central` as an operator types it."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest
import zxingcpp

from central.app import load_config, open_use_cases
from tests.doubles.desk import Desk, run, told
from wire.claims import ClaimKind, claim_digest


@pytest.fixture
def config(tmp_path: Path) -> Path:
    folder = tmp_path / "central"
    made = run("init", str(folder), "--operator", "metro", "--site", "north", "--trial")
    assert made.exit_code == 0, made.output
    return folder / "central.toml"


def test_a_member_without_a_face_is_added_explained_restricted_and_withdrawn(config: Path, tmp_path: Path):
    member = told(config, "subject", "add", "--consent", "2026-11")
    assert {len(member["subject"]), len(member["claim_id"])} == {32}
    desk = Desk(config, tmp_path)
    issued = desk.restrict(member["subject"], "ada", "bea")
    assert len(issued["contest_code"]) == 9
    standing = told(config, "standing", "explain", member["subject"])
    assert (standing["score"], standing["tier"]) == (500, "standard")
    assert standing["restrictions"] == [issued["restriction_id"]]
    lifting = desk.signed("lift", "bea", issued["restriction_id"], "--note", "It was somebody else.")
    assert run("restriction", "lift", lifting, "--config", str(config)).exit_code == 0
    shown = told(config, "restriction", "show", issued["restriction_id"])
    assert (shown["reviewers"], shown["lifted_by"], shown["state"]) == (["ada", "bea"], "bea", "lifted")
    assert told(config, "standing", "explain", member["subject"])["restrictions"] == []
    assert run("subject", "withdraw", member["subject"], "--config", str(config)).exit_code == 0
    gone = run("standing", "explain", member["subject"], "--config", str(config))
    assert (gone.exit_code, "has withdrawn" in gone.stderr) == (1, True)


def test_a_member_is_found_by_their_code_and_gets_its_qr_once_more(config: Path, tmp_path: Path):
    member = told(config, "subject", "add", "--consent", "2026-11")
    code = member["claim_id"]
    for typed in (code, f"STILE:{code.upper()}", f" {code[:16]}-{code[16:]}"):
        found = told(config, "subject", "find", typed, "--qr", str(tmp_path / "code.png"))
        assert (found["subject"], found["claim_revoked_at_ms"]) == (member["subject"], None)
    picture = cv2.imread(str(tmp_path / "code.png"))
    assert [each.text for each in zxingcpp.read_barcodes(picture)] == [f"stile:{member['claim_id']}"]
    assert (tmp_path / "code.png").stat().st_mode & 0o777 == 0o600
    told(config, "subject", "new-code", member["subject"])
    assert told(config, "subject", "find", member["claim_id"])["claim_revoked_at_ms"] is not None
    unknown = run("subject", "find", "0" * 32, "--config", str(config))
    assert (unknown.exit_code, "no member with the claim" in unknown.stderr) == (1, True)


def test_members_are_listed_page_by_page_also_those_who_withdrew(config: Path):
    members = sorted(told(config, "subject", "add", "--consent", "2026-11")["subject"] for _ in range(3))
    assert run("subject", "withdraw", members[1], "--config", str(config)).exit_code == 0
    listed = told(config, "subject", "list")["subjects"]
    assert [each["subject"] for each in listed] == members
    assert [each["withdrawn_at_ms"] is None for each in listed] == [True, False, True]
    page = told(config, "subject", "list", "--after", members[0], "--most", "1")["subjects"]
    assert [each["subject"] for each in page] == [members[1]]
    assert members[2] in run("subject", "list", "--config", str(config)).stdout


def test_a_revoked_kiosk_stands_so_in_the_list_whatever_it_last_said(config: Path):
    told(config, "kiosk", "add", "gate-1")
    assert run("kiosk", "revoke", "gate-1", "--config", str(config)).exit_code == 0
    (row,) = told(config, "kiosk", "list")["kiosks"]
    assert (row["revoked"], row["presence"]) == (True, "revoked")


def test_a_lost_code_is_replaced_and_every_earlier_one_revoked(config: Path):
    member = told(config, "subject", "add", "--consent", "2026-11")
    newer = told(config, "subject", "new-code", member["subject"])["claim_id"]
    newest = told(config, "subject", "new-code", member["subject"])["claim_id"]
    with open_use_cases(load_config(config)) as use_cases:
        row = use_cases.members.entry(member["subject"])
        key = use_cases.context.secrets.claim_key
    digests = [claim_digest(key, ClaimKind.QR, claim) for claim in (member["claim_id"], newer, newest)]
    assert row.claim_digests == (digests[2],)
    assert set(row.revoked_digests) == set(digests[:2])


def test_a_scorecard_is_shown_to_members_and_linted_by_file_alone(config: Path):
    card = config.parent / "ride.scorecard.toml"
    shown = told(config, "scorecard", "show", "ride")
    assert (shown["operator"], shown["base"], shown["factor"][0]["text"]) == (
        "metro",
        500,
        "You paid your fares.",
    )
    plain = run("scorecard", "show", "ride", "--config", str(config)).stdout
    assert "fare broken: -60 points each" in plain
    fine = run("scorecard", "lint", str(card), "--json")
    assert (fine.exit_code, json.loads(fine.stdout)["factors"]) == (0, 6)
    assert run("scorecard", "lint", str(card), "--operator", "bus").exit_code == 2
    for old, new, said in (
        ('kind = "fare"', 'kind = "mood"', "factor[0].kind"),
        ('text = "A fare was not paid."', "", "text"),
        ("valid_hours = 48", "", "valid_hours"),
        ('kind = "fare"', 'purpose = "locker"\nkind = "fare"', "can name no others"),
        ('kind = "fare"', 'operator = "bus"\nkind = "fare"', "can name no others"),
    ):
        bad = config.parent / "bad.toml"
        bad.write_text(card.read_text().replace(old, new, 1))
        refused = run("scorecard", "lint", str(bad))
        assert (refused.exit_code, said in refused.stderr) == (2, True), refused.stderr
        assert len(refused.stderr.strip().splitlines()) == 1


def test_an_event_is_disputed_and_settled_and_a_restriction_contested_upheld_and_ended(
    config: Path, tmp_path: Path
):
    member = told(config, "subject", "add", "--consent", "2026-11")["subject"]
    desk = Desk(config, tmp_path)
    event = ["--id", "f1", "--kind", "fare", "--outcome", "broken"]
    assert told(config, "event", "add", member, *event)["score"] == 440
    opened = told(config, "event", "dispute", "f1", "--note", "That was not me.")
    assert (opened["opened_by"], opened["settled_by"]) == ("member", None)
    assert told(config, "standing", "explain", member)["score"] == 500
    assert [each["target"] for each in told(config, "reviewer", "cases")["cases"]] == ["f1"]
    ruling = ["--outcome", "upheld", "--note", "The gate was fine."]
    signed = desk.signed("rule", "ada", "event", "f1", *ruling)
    assert told(config, "event", "settle", signed)["settled_by"] == "ada"
    (listed,) = told(config, "event", "list", member)["events"]
    assert (listed["state"], listed["cases"][0]["ruling"]) == ("counts", "The gate was fine.")

    issued = desk.restrict(member, "ada", "bea")
    told(config, "restriction", "contest", issued["contest_code"], "--note", "I was not there.")
    case = ("restriction", issued["restriction_id"], *ruling)
    own = run("restriction", "settle", desk.signed("rule", "ada", *case), "--config", str(config))
    assert (own.exit_code, "another reviewer has to settle it" in own.stderr) == (1, True)
    told(config, "restriction", "settle", desk.signed("rule", "cas", *case))
    shown = told(config, "restriction", "show", issued["contest_code"])
    assert (shown["state"], shown["cases"][0]["settled_by"]) == ("in force", "cas")
    report = told(config, "restriction", "report")
    assert report["overall"] == report["reviewers"]["ada"] == report["reasons"]["staff_assaulted"]
    assert (report["overall"]["issued"], report["overall"]["lowest_tier"], report["overall"]["low_n"]) == (
        1,
        0,
        True,
    )
    assert report["base"]["ride"] == {"tier": "assisted", "members": 1, "lowest_tier": 0}
    assert run("reviewer", "revoke", "ada", "--config", str(config)).exit_code == 0
    (only,) = told(config, "restriction", "list")["restrictions"]
    assert (only["binds"], only["state"]) == (False, "of a revoked reviewer")
    assert told(config, "standing", "explain", member)["restrictions"] == []


def test_an_export_is_verified_without_a_configuration_and_a_changed_one_is_exit_code_1(config: Path):
    told(config, "kiosk", "add", "gate-1")
    file = config.parent / "records.jsonl"
    made = told(config, "audit", "export", str(file))
    assert (made["lines"], file.stat().st_mode & 0o777) == (3, 0o600)
    again = run("audit", "export", str(file), "--config", str(config))
    assert (again.exit_code, "File exists" in again.stderr) == (1, True)
    alone = run("audit", "verify", "--export", str(file), "--root", made["root"], "--json")
    found = json.loads(alone.stdout)
    assert (alone.exit_code, found["broken"], found["fault"], found["root"]) == (0, 0, None, made["root"])
    other = run("audit", "verify", "--export", str(file), "--root", "ab" * 32)
    assert (other.exit_code, "another root key" in other.stdout) == (1, True)
    assert run("audit", "verify", "--export", str(file), "--root", "ab").exit_code == 1
    file.write_bytes(file.read_bytes().replace(b"metro", b"metra", 1))
    assert run("audit", "verify", "--export", str(file)).exit_code == 1


def test_retention_says_how_much_went(config: Path):
    gone = told(config, "retention", "run")
    assert gone == dict.fromkeys(("records", "records_of_withdrawn", "events", "restrictions", "subjects"), 0)


def test_a_kiosk_is_added_listed_and_revoked(config: Path):
    code = told(config, "kiosk", "add", "gate-1")["pairing_code"]
    assert [len(group) for group in code.split("-")] == [4, 4, 4, 4]
    (kiosk,) = told(config, "kiosk", "list")["kiosks"]
    assert (kiosk["kiosk"], kiosk["paired"], kiosk["revoked"]) == ("gate-1", False, False)
    assert run("kiosk", "revoke", "gate-1", "--config", str(config)).exit_code == 0
    assert told(config, "kiosk", "list")["kiosks"][0]["revoked"] is True
    assert told(config, "audit", "verify") == {
        "kiosks": [
            {
                "kiosk": "gate-1",
                "records": 0,
                "purged": 0,
                "signed_heads": 0,
                "broken_at": None,
                "why": "",
            }
        ],
        "broken": 0,
        "first_break": None,
    }


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["kiosk", "add", "Gate 1"], "is not a valid kiosk id"),
        (["kiosk", "add", "gate-1", "--purpose", "loans"], "no purpose 'loans' here"),
        (["kiosk", "revoke", "gate-9"], "no kiosk 'gate-9' here"),
        (["standing", "explain", "0" * 32], "no subject"),
    ],
)
def test_a_refusal_is_one_line_and_exit_code_1(config: Path, words: list[str], said: str):
    refused = run(*words, "--config", str(config))
    assert refused.exit_code == 1
    assert said in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1


def test_a_pin_that_many_have_is_refused_in_one_line(config: Path):
    refused = run("subject", "add", "--consent", "1", "--config", str(config), typed="1234\n")
    assert (refused.exit_code, "choose another" in refused.stderr) == (1, True)


def test_a_pin_on_the_command_line_is_told_where_it_goes(config: Path):
    refused = run("subject", "add", "--pin", "4711", "--consent", "1", "--config", str(config))
    assert refused.exit_code == 2
    assert "a PIN on a command line can be read by everybody on this machine" in refused.stderr
    assert "--pin-file FILE" in refused.stderr
    assert "--pin " not in run("subject", "add", "--help").stdout


def test_a_pin_is_read_from_a_file(config: Path, tmp_path: Path):
    (tmp_path / "pin").write_text("4711\n")
    words = ("subject", "add", "--pin-file", str(tmp_path / "pin"), "--consent", "1")
    assert told(config, *words)["subject"]
    (tmp_path / "pin").write_text("1234\n")
    refused = run(*words, "--config", str(config))
    assert (refused.exit_code, "choose another" in refused.stderr) == (1, True)
    missing = run("subject", "add", "--pin-file", "nowhere", "--consent", "1", "--config", str(config))
    assert (missing.exit_code, "nowhere" in missing.stderr) == (2, True)


def test_a_configuration_that_cannot_be_used_is_exit_code_2_and_names_the_key(config: Path):
    config.write_text(config.read_text().replace("head_every_s = 60", "head_every_minutes = 1"))
    refused = run("audit", "verify", "--config", str(config))
    assert refused.exit_code == 2
    assert "head_every_minutes = 1: there is no such key" in refused.stderr


def test_a_missing_key_file_is_exit_code_2_and_a_second_init_overwrites_nothing(config: Path):
    again = run("init", str(config.parent), "--operator", "bus", "--site", "south", "--trial")
    assert again.exit_code == 1
    assert 'operator = "metro"' in config.read_text()
    (config.parent / "keys" / "box.key").unlink()
    refused = run("audit", "verify", "--config", str(config))
    assert (refused.exit_code, "box.key" in refused.stderr) == (2, True)


def test_a_kiosk_is_added_with_the_right_to_enrol_and_listed_with_it(config: Path):
    for name, words in (("gate-1", ()), ("desk-1", ("--enrols",))):
        assert told(config, "kiosk", "add", name, *words)["pairing_code"]
    listed = {row["kiosk"]: row["enrols"] for row in told(config, "kiosk", "list")["kiosks"]}
    assert listed == {"gate-1": False, "desk-1": True}


def test_an_operator_sees_who_has_heard_of_a_withdrawal_and_who_looks_alike(config: Path):
    member = told(config, "subject", "add", "--consent", "2026-11", "--agree-by", "smile")
    early = run("subject", "withdrawal", member["subject"], "--config", str(config))
    assert (early.exit_code, "has not withdrawn" in early.stderr) == (1, True)
    assert run("subject", "withdraw", member["subject"], "--config", str(config)).exit_code == 0
    found = told(config, "subject", "withdrawal", member["subject"])
    assert found == {
        "subject": member["subject"],
        "told": False,
        "reached": 0,
        "not_yet": 0,
        "unreachable": 0,
        "kiosks": [],
    }
    plain = run("subject", "withdrawal", member["subject"], "--config", str(config))
    assert "not told to kiosks yet" in plain.output
    assert told(config, "subject", "alike") == {"alike": []}
    assert "enrolled later" in run("subject", "alike", "--config", str(config)).output
