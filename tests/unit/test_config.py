"""The kiosk's configuration: every mistake is named with its line, its key and what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.config import KioskConfig, parse_config, read_config
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
        "kiosk.toml:10: release.open_s = '5': there is no such key; did you mean open_ms?"
    )


def test_an_unknown_section_is_named() -> None:
    assert "watchlist" in complaint(LEAST + "\n[watchlist]\nnames = []\n")


def test_a_value_out_of_bounds_is_named_with_its_bound() -> None:
    said = complaint(LEAST + "\n[release]\nopen_ms = 60000\n")
    assert said == "kiosk.toml:10: release.open_ms = '60000': Expected `int` <= 10000"


def test_a_wrong_type_is_named() -> None:
    assert "kiosk.toml:10: release.open_ms = '\"5 s\"'" in complaint(LEAST + '\n[release]\nopen_ms = "5 s"\n')


def test_a_bare_threshold_cannot_be_configured() -> None:
    assert "no such key" in complaint(LEAST + "\n[match]\nthreshold = 0.6\n")


def test_nobody_is_searched_for_without_a_claim() -> None:
    said = complaint(LEAST + '\n[search]\nmode = "one_to_many"\n')
    assert said == (
        "kiosk.toml:10: search.mode = 'one_to_many': a passage at this kiosk begins with a claim and nobody "
        'is searched for yet: give "claim_first"'
    )


def test_grace_must_not_end_before_freshness() -> None:
    said = complaint(LEAST + "\n[standing]\nfresh_s = 600\ngrace_s = 300\n")
    assert said.startswith("kiosk.toml:11: standing.grace_s = 300: must be at least")


def test_a_missing_section_is_named() -> None:
    assert "gate" in complaint('[kiosk]\nstate_dir = "var"\n')


def test_text_that_is_not_toml_is_said_to_be_that() -> None:
    assert "not TOML" in complaint("[kiosk\n")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_config(tmp_path / "kiosk.toml")
