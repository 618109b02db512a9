"""The screen has words for everything the kiosk can say, in every language that it offers."""

from __future__ import annotations

import json
import re
from enum import StrEnum
from pathlib import Path

import pytest

from edge.adapters.screen.app import STATIC
from edge.adapters.screen.protocol import Refusal
from edge.adapters.screen.texts import MESSAGES, Messages, read_messages, read_texts
from edge.adapters.storage.consents import EXAMPLE
from edge.capture.sample import Obstacle
from edge.decide.verdict import Lane, Reason
from edge.enact.display import EnrolNote, Prompt
from edge.errors import ConfigError

LANGUAGES = sorted(path.stem for path in MESSAGES.glob("*.json"))
PLURALS = {
    "ar": {"zero", "one", "two", "few", "many", "other"},
    "de": {"one", "other"},
    "en": {"one", "other"},
    "es": {"one", "many", "other"},
    "zh": {"other"},
}
"""Each language's plural categories (Unicode CLDR 48); the browser tests hold them to Intl.PluralRules."""
ENDS = (".", "!", "?", "。", "！", "？", "؟")
STOPS = "[.:。：؟？]"
COMMAS = "[,，、،]"
UNSPOKEN = (
    r"\b(score|similarity|embedding|template|subject|algorithm|puntuación|plantilla|algoritmo)"
    "|评分|相似|模板|算法|درجة|تشابه|قالب|خوارزمية"
)
"""What is for people who run the kiosk, and never for those before it."""


def every_text(messages: Messages) -> dict[str, str]:
    page = messages.page
    return {
        **{f"hint.{key}": value for key, value in messages.hint.items()},
        **{f"reason.{key}": value for key, value in messages.reason.items()},
        **{f"refusal.{key}": value for key, value in messages.refusal.items()},
        **{f"note.{key}": value for key, value in messages.note.items()},
        **{f"lane.{key}": value for key, value in messages.lane.items()},
        **{f"degraded.{key}": value for key, value in messages.degraded.items()},
        **{f"tries_left.{key}": value for key, value in messages.tries_left.items()},
        **{f"prompt.{key}.title": value.title for key, value in messages.prompt.items()},
        **{f"prompt.{key}.detail": value.detail for key, value in messages.prompt.items()},
        **{f"page.{field}": getattr(page, field) for field in page.__struct_fields__},
    }


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_prompt_hint_reason_lane_and_refusal_has_a_text(language: str) -> None:
    messages = read_messages(MESSAGES / f"{language}.json")
    assert set(messages.prompt) == set(Prompt)
    assert set(messages.hint) == set(Obstacle)
    assert set(messages.reason) == set(Reason)
    assert set(messages.lane) == set(Lane)
    assert set(messages.refusal) == set(Refusal)
    assert set(messages.note) == set(EnrolNote)
    assert all(text.strip() for text in every_text(messages).values())


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_a_person_is_told_is_a_sentence_and_not_a_code(language: str) -> None:
    messages = read_messages(MESSAGES / f"{language}.json")
    for key, sentence in every_text(messages).items():
        assert "_" not in sentence, key
        if key.startswith(("hint.", "reason.", "refusal.")) or key.endswith(".detail"):
            # Chinese and Arabic have no capitals; a Spanish question begins with its mark.
            assert not sentence.lstrip("¿¡")[0].islower(), key
            assert sentence.endswith(ENDS), key
    for reason, sentence in messages.reason.items():
        assert len(re.findall(STOPS, sentence)) >= 2 or re.search(COMMAS, sentence), (
            f"{reason}: what happens, and what to do"
        )


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_text_promises_or_speaks_of_a_score(language: str) -> None:
    for key, sentence in every_text(read_messages(MESSAGES / f"{language}.json")).items():
        assert not re.search(UNSPOKEN, sentence, re.IGNORECASE), key


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_languages_fill_in_the_same_places(language: str) -> None:
    english = every_text(read_messages(MESSAGES / "en.json"))
    other = every_text(read_messages(MESSAGES / f"{language}.json"))
    counted = {key for key in english.keys() | other.keys() if key.startswith("tries_left.")}
    assert other.keys() - counted == english.keys() - counted
    for key in english.keys() - counted:
        assert sorted(re.findall(r"\{\w+\}", other[key])) == sorted(re.findall(r"\{\w+\}", english[key])), key


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_language_counts_with_its_own_plural_forms(language: str) -> None:
    tries = read_messages(MESSAGES / f"{language}.json").tries_left
    assert set(tries) == PLURALS[language]
    assert len(set(tries.values())) >= len(tries) - 1, "only Arabic's many and other may read the same"
    for category, sentence in tries.items():
        in_words = category in {"zero", "one", "two"}
        assert re.findall(r"\{\w+\}", sentence) == ([] if in_words else ["{count}"]), category


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_to_be_pressed_is_named_as_its_button_is(language: str) -> None:
    messages = read_messages(MESSAGES / f"{language}.json")
    english = read_messages(MESSAGES / "en.json")
    for key, sentence in every_text(english).items():
        if english.page.other_way in sentence and not key.endswith("other_way.title"):
            assert messages.page.other_way in every_text(messages)[key], key


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_button_that_agrees_is_named_as_the_consent_names_it(language: str) -> None:
    consent = (EXAMPLE / f"{language}.txt").read_text()
    assert read_messages(MESSAGES / f"{language}.json").page.consent_yes in consent


@pytest.mark.parametrize("prompt", Prompt)
def test_every_prompt_has_its_sign_and_its_tone(prompt: Prompt) -> None:
    assert f'id="sign-{prompt}"' in (STATIC / "index.html").read_text()
    assert re.search(rf"^  {prompt}: \"\w+\",$", (STATIC / "prompts.js").read_text(), re.MULTILINE)


def contents() -> dict[str, object]:
    return json.loads((MESSAGES / "en.json").read_text())


def written(folder: Path, texts: dict[str, object], name: str = "en.json") -> Path:
    path = folder / name
    path.write_text(json.dumps(texts))
    return path


@pytest.mark.parametrize(
    ("table", "keys"),
    [
        ("prompt", Prompt),
        ("hint", Obstacle),
        ("reason", Reason),
        ("lane", Lane),
        ("refusal", Refusal),
        ("note", EnrolNote),
    ],
)
def test_a_message_file_without_a_text_is_refused_by_name(
    tmp_path: Path, table: str, keys: type[StrEnum]
) -> None:
    for key in keys:
        texts = contents()
        section = texts[table]
        assert isinstance(section, dict)
        del section[str(key)]
        with pytest.raises(ConfigError, match=rf"en\.json.*{table}\.{key}"):
            read_messages(written(tmp_path, texts))


def test_a_message_file_with_an_unknown_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="colour"):
        read_messages(written(tmp_path, contents() | {"colour": "red"}))


def test_a_message_file_with_a_character_that_nobody_sees_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"U\+202E at place 1"):
        read_messages(written(tmp_path, contents() | {"name": "\u202eEnglish"}))


def test_a_message_file_that_is_no_json_or_misnamed_is_refused(tmp_path: Path) -> None:
    (tmp_path / "xx.json").write_text("{")
    with pytest.raises(ConfigError, match=r"xx\.json"):
        read_messages(tmp_path / "xx.json")
    with pytest.raises(ConfigError, match=r"en\.json"):
        read_messages(written(tmp_path, contents(), "fr.json"))
    with pytest.raises(ConfigError, match="absent"):
        read_messages(tmp_path / "absent.json")


def test_a_language_without_a_file_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match=rf'screen\.language = "tlh": one of {", ".join(LANGUAGES)}'):
        read_texts("tlh")
