"""The kiosk's configuration: every mistake is named with its line, its key and what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.config import KioskConfig, parse_config, read_config
from edge.enact.enrolling import EnrolConfig
from edge.errors import ConfigError

LEAST = """\
[kiosk]
state_dir = "var/kiosk"

[gate]
id = "north-1"
port = "/dev/serial/by-id/gate"
key_file = "var/gate.key"
"""


def complaint(text: str) -> str:
    with pytest.raises(ConfigError) as raised:
        parse_config(text, "kiosk.toml")
    return str(raised.value)


def test_the_least_configuration_has_every_default() -> None:
    config = parse_config(LEAST, "kiosk.toml")
    assert config == KioskConfig(kiosk=config.kiosk, gate=config.gate)
    assert (config.match.max_fmr, config.confirm.frames, config.screen.host) == ("1e-4", 3, "127.0.0.1")


def test_an_unknown_key_is_named_with_its_line_and_the_key_that_was_perhaps_meant() -> None:
    text = LEAST + "\n[release]\nopen_s = 5\n"
    assert complaint(text) == (
        "kiosk.toml:10: release.open_s = 5: there is no such key; did you mean open_ms?"
    )


def test_an_unknown_section_is_named() -> None:
    said = complaint(LEAST + "\n[watchlist]\nnames = []\n")
    assert said.startswith("kiosk.toml:9: [watchlist] is no section here; did you mean ")


def test_a_value_out_of_bounds_is_named_with_its_bound() -> None:
    said = complaint(LEAST + "\n[release]\nopen_ms = 60000\n")
    assert said == "kiosk.toml:10: release.open_ms = 60000: Expected `int` <= 10000"


def test_a_wrong_type_is_named() -> None:
    assert 'kiosk.toml:10: release.open_ms = "5 s": ' in complaint(LEAST + '\n[release]\nopen_ms = "5 s"\n')


def test_a_bare_threshold_cannot_be_configured() -> None:
    assert "no such key" in complaint(LEAST + "\n[match]\nthreshold = 0.6\n")


def test_a_passage_begins_with_a_claim_unless_the_operator_says_otherwise() -> None:
    config = parse_config(LEAST, "kiosk.toml")
    assert (config.search.mode, config.confirm.challenge) == ("one_to_one", "never")


def test_one_to_many_asks_for_a_challenge_without_being_told_to() -> None:
    said = LEAST + '\n[search]\nmode = "one_to_many"\n[confirm]\nattempts = 1\n'
    config = parse_config(said, "kiosk.toml")
    assert (config.confirm.challenge, config.confirm.attempts) == ("always", 1)
    assert parse_config(said + 'challenge = "always"\n', "kiosk.toml") == config


@pytest.mark.parametrize("challenge", ["never", "on_claim_reuse"])
def test_one_to_many_without_a_challenge_each_time_is_refused(challenge: str) -> None:
    said = complaint(LEAST + f'\n[search]\nmode = "one_to_many"\n[confirm]\nchallenge = "{challenge}"\n')
    assert said == (
        f'kiosk.toml:12: confirm.challenge = "{challenge}": with search.mode = "one_to_many" a photograph '
        'would be all it takes: give "always" or leave it out, or set search.mode = "one_to_one"'
    )


@pytest.mark.parametrize(("key", "least", "most"), [("max_fpir", 0.0, 0.1), ("start_ms", 199, 10_000)])
def test_the_bounds_of_a_search_cannot_be_configured_away(key: str, least: float, most: float) -> None:
    for outside in (least, most * 2):
        assert f"search.{key}" in complaint(LEAST + f"\n[search]\n{key} = {outside}\n")
    assert parse_config(LEAST + f"\n[search]\n{key} = {most}\n", "kiosk.toml")


PAYS = """\
[kiosk]
state_dir = "var/kiosk"
mode = "pay"

[pay]
merchant = "bistro"
"""


def only_read(mode: str, found: str) -> str:
    read = f'is only read when kiosk.mode = "{mode}", but it is "{found}"'
    return f"{read}. Change kiosk.mode, or delete the section."


NEEDS_GATE = 'needs kiosk.mode = "turnstile", but it is "pay". Change kiosk.mode, or leave '


def test_a_kiosk_that_takes_money_has_no_gate_and_asks_everybody_for_a_challenge() -> None:
    config = parse_config(PAYS, "kiosk.toml")
    assert (config.gate, config.confirm.challenge, config.till.host) == (None, "always", "127.0.0.1")
    assert config.pay is not None
    assert config.pay.shown_name == "bistro"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            PAYS + LEAST.partition("\n\n")[2],
            'kiosk.toml:7: [gate] is only read when kiosk.mode = "turnstile", but it is "pay". Ch',
        ),
        (PAYS.partition("[pay]")[0], 'kiosk.toml:1: [pay] is missing, and kiosk.mode = "pay" needs it'),
        (
            LEAST + '[pay]\nmerchant = "bistro"\n',
            f"kiosk.toml:8: [pay] {only_read('pay', 'turnstile')}",
        ),
        (
            PAYS + '[passback]\nmode = "note"\n',
            f'kiosk.toml:8: passback.mode = "note": {NEEDS_GATE}',
        ),
        (
            PAYS + '[release]\nfare = "on_passage"\n',
            f'kiosk.toml:8: release.fare = "on_passage": {NEEDS_GATE}',
        ),
        (
            PAYS + '[schedule]\ntimes = ["07:00-09:00"]\n',
            'kiosk.toml:8: schedule.times = ["07:00-09:00"]: needs',
        ),
        (PAYS.replace("bistro", "Bistro 4"), 'kiosk.toml:6: pay.merchant = "Bistro 4": Expected `str`'),
        (PAYS + 'merchant_name = "\u3164"\n', "kiosk.toml:7: pay.merchant_name"),
        (PAYS + "checkout_s = 5\n", "kiosk.toml:7: pay.checkout_s = 5: Expected `int` >= 30"),
    ],
)
def test_what_belongs_to_another_mode_is_refused_where_it_stands(text: str, said: str) -> None:
    assert complaint(text).startswith(said)


def test_grace_must_not_end_before_freshness() -> None:
    said = complaint(LEAST + "\n[standing]\nfresh_s = 600\ngrace_s = 300\n")
    assert said.startswith("kiosk.toml:11: standing.grace_s = 300: must be at least")


def test_a_missing_section_is_named() -> None:
    said = complaint('[kiosk]\nstate_dir = "var"\n')
    assert said == "kiosk.toml:1: [gate] is missing, and a turnstile needs it: docs/gates.md"


def test_a_missing_key_is_named_with_the_line_of_its_section() -> None:
    assert complaint(LEAST + "\n[gate.osdp]\n") == "kiosk.toml:9: gate.osdp.port is missing"


@pytest.mark.parametrize(
    ("section", "said"),
    [
        (
            "quality",
            "is read from the manifest.toml of the pack, and not from here (models/PACKS.md). Delete it.",
        ),
        ("opening", "is called [schedule] now. Rename it."),
    ],
)
def test_a_section_of_an_earlier_version_is_refused_with_its_new_place(section: str, said: str) -> None:
    assert complaint(LEAST + f"\n[{section}]\nkey = 1\n").startswith(f"kiosk.toml:9: [{section}] {said}")


def test_a_step_of_enrolling_is_lengthened_by_patience_alone() -> None:
    said = complaint("[kiosk]\nstate_dir = 'k'\nmode = 'enrol'\n[enrol]\ncard_ms = 9000\n")
    assert said.startswith(
        "kiosk.toml:5: enrol.card_ms = 9000: there is no such key any more; give enrol.pat"
    )


@pytest.mark.parametrize(
    ("patience", "consent_ms", "card_ms"), [(1, 300_000, 120_000), (2.5, 750_000, 300_000)]
)
def test_patience_lengthens_every_step_alike(patience: float, consent_ms: int, card_ms: int) -> None:
    config = EnrolConfig(patience=patience)
    assert (config.consent_ms, config.card_ms) == (consent_ms, card_ms)


def test_text_that_is_not_toml_is_said_to_be_that() -> None:
    assert complaint("[kiosk\n").startswith("kiosk.toml is not TOML: ")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_config(tmp_path / "kiosk.toml")
