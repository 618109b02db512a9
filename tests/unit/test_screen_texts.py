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
from edge.capture.sample import Obstacle
from edge.decide.verdict import Lane, Reason
from edge.enact.display import EnrolNote, Prompt
from edge.errors import ConfigError

LANGUAGES = sorted(path.stem for path in MESSAGES.glob("*.json"))


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
            assert sentence[0].isupper(), key
            assert sentence.rstrip().endswith((".", "!", "?")), key
    for reason, sentence in messages.reason.items():
        assert len(re.findall(r"[.:]", sentence)) >= 2 or "," in sentence, (
            f"{reason}: what happens, and what to do"
        )


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_text_promises_or_speaks_of_a_score(language: str) -> None:
    for key, sentence in every_text(read_messages(MESSAGES / f"{language}.json")).items():
        assert not re.search(
            r"\b(score|similarity|embedding|template|subject|algorithm)", sentence, re.IGNORECASE
        ), key


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_languages_fill_in_the_same_places(language: str) -> None:
    english = every_text(read_messages(MESSAGES / "en.json"))
    other = every_text(read_messages(MESSAGES / f"{language}.json"))
    assert other.keys() == english.keys()
    for key, sentence in english.items():
        if not key.startswith("tries_left."):
            assert re.findall(r"\{\w+\}", other[key]) == re.findall(r"\{\w+\}", sentence), key


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


def test_a_message_file_that_is_no_json_or_misnamed_is_refused(tmp_path: Path) -> None:
    (tmp_path / "xx.json").write_text("{")
    with pytest.raises(ConfigError, match=r"xx\.json"):
        read_messages(tmp_path / "xx.json")
    with pytest.raises(ConfigError, match=r"en\.json"):
        read_messages(written(tmp_path, contents(), "fr.json"))
    with pytest.raises(ConfigError, match="absent"):
        read_messages(tmp_path / "absent.json")


def test_a_language_without_a_file_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"screen\.language = 'tlh': one of de, en"):
        read_texts("tlh")
