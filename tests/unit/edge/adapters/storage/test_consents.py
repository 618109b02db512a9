"""Consent texts: the operator's own, or an example that says it is one."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.adapters.screen.texts import MESSAGES
from edge.adapters.storage.consents import EXAMPLE, read_consents
from edge.config import parse_config
from edge.enact.display import CONSENT_MAX_CHARS
from edge.errors import ConfigError
from scripts.cli.doctor import examine

EXAMPLE_WORDS = {"ar": "مثال", "de": "BEISPIEL", "en": "EXAMPLE", "es": "EJEMPLO", "zh": "示例"}
"""What the first line of the shipped consent says in each language."""


def folder_of(place: Path, version: str = 'version = "2026-11"', **texts: str) -> str:
    place.mkdir(exist_ok=True)
    (place / "consent.toml").write_text(version)
    for language, text in (texts or {"en": "Agree?"}).items():
        (place / f"{language}.txt").write_text(text)
    return str(place)


def test_the_shipped_example_is_there_in_every_language_of_the_screen_and_says_that_it_is_one() -> None:
    consents = read_consents("example")
    assert consents.texts.keys() == {path.stem for path in MESSAGES.glob("*.json")}
    assert consents.is_example
    for text in consents.texts.values():
        assert "[" in text  # places for the operator to fill in
    first = {language: text.splitlines()[0] for language, text in consents.texts.items()}
    assert {language for language, line in first.items() if EXAMPLE_WORDS[language] not in line} == set()


def test_a_copied_example_is_an_example_still(tmp_path: Path) -> None:
    copied = {path.stem: path.read_text("utf-8") for path in EXAMPLE.glob("*.txt")}
    given = folder_of(tmp_path / "own", (EXAMPLE / "consent.toml").read_text(), **copied)
    assert read_consents(given).is_example


def test_an_operators_texts_are_read_with_their_version(tmp_path: Path) -> None:
    consents = read_consents(folder_of(tmp_path / "own", **{"nl": " Akkoord? \n", "pt-BR": "De acordo?"}))
    assert (consents.version, dict(consents.texts)) == ("2026-11", {"nl": "Akkoord?", "pt-BR": "De acordo?"})
    assert not consents.is_example


@pytest.mark.parametrize(
    ("version", "texts", "named"),
    [
        ('version = "2026-11"', {"english": "Agree?"}, "named by its language"),
        ('version = "2026-11"', {"en": "  "}, "1 to 4096 characters"),
        ('version = "2026-11"', {"en": "x" * (CONSENT_MAX_CHARS + 1)}, "it has 4097"),
        ('version = "2026-11"', {"en": "I do \u200bnot agree"}, r"U\+200B at place 6, which nobody sees"),
        ('version = "two words"', {"en": "Agree?"}, r"consent\.toml"),
        ("edition = 1", {"en": "Agree?"}, r"consent\.toml"),
        ("not toml", {"en": "Agree?"}, r"consent\.toml"),
    ],
)
def test_texts_that_cannot_be_shown_or_recorded_are_refused_by_name(
    tmp_path: Path, version: str, texts: dict[str, str], named: str
) -> None:
    with pytest.raises(ConfigError, match=named):
        read_consents(folder_of(tmp_path / "own", version, **texts))


def test_a_folder_without_texts_or_version_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"consent\.toml"):
        read_consents(str(tmp_path))
    (tmp_path / "consent.toml").write_text('version = "2026-11"')
    with pytest.raises(ConfigError, match="at least one consent text"):
        read_consents(str(tmp_path))
    (tmp_path / "en.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="UTF-8"):
        read_consents(str(tmp_path))


def configured(state: Path, consent_dir: str):
    text = f'[kiosk]\nstate_dir = "{state}"\nmode = "enrol"\n[enrol]\nconsent_dir = "{consent_dir}"\n'
    return parse_config(text, "kiosk.toml")


@pytest.mark.parametrize("own", [True, False])
def test_the_doctor_says_that_an_example_is_nobodys_consent(tmp_path: Path, own: bool) -> None:
    given = folder_of(tmp_path / "own") if own else "example"
    (found,) = [each for each in examine(configured(tmp_path, given)) if each.name == "consent"]
    assert found.ok is own
    assert ("enrol.consent_dir" in found.remedy) is not own


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ('mode = "enrol"\n[enrol]\nsamples_least = 5\nsamples_most = 4', "samples_most"),
        ('mode = "enrol"\n[enrol]\nsamples_least = 1', "samples_least"),
        ('mode = "enrol"\n[enrol]\nminimum_ages = 16', "did you mean minimum_age"),
        ('[enrol]\nminimum_age = 16\n[gate]\nid = "g"\nport = "p"\nkey_file = "k"', 'kiosk.mode = "enrol"'),
    ],
)
def test_a_section_that_cannot_be_is_an_error_that_names_the_key(section: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_config(f'[kiosk]\nstate_dir = "s"\n{section}\n', "kiosk.toml")
