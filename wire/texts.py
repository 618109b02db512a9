"""Message files, one a language: what every reader of them holds them to. The schemas are the readers'."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec

from wire.readable import unreadable

Unusable = Callable[[str, str], Exception]
"""Makes the reader's own error from a file's name and what the file should be."""
Tables = Mapping[str, tuple[Iterable[str], Mapping[Any, object]]]
"""By name of a table: the keys that may have to be said, and the texts there are."""


class Language(Protocol):
    """What all schemas of message files share."""

    @property
    def language(self) -> str:
        """The language's code, after which the file is named."""
        ...

    @property
    def tables(self) -> Tables:
        """The tables of which no text may be absent."""
        ...


M = TypeVar("M", bound=Language)


def read_language(path: Path, schema: type[M], unusable: Unusable) -> M:
    """One message file; raises `unusable` unless it is whole, of its schema and named after its language."""
    try:
        messages = msgspec.json.decode(path.read_bytes(), type=schema)
    except (OSError, msgspec.DecodeError) as error:
        raise unusable(path.name, f"a complete message file: {error}") from error
    if messages.language != path.stem:
        raise unusable(path.name, f"a file named {messages.language}.json")
    for text in _texts(msgspec.to_builtins(messages)):
        if text and (why := unreadable(text)) is not None:
            raise unusable(path.name, f"without the text {text[:40]!r}, which {why}")
    tables = messages.tables.items()
    absent = [f"{name}.{key}" for name, (keys, texts) in tables for key in keys if not texts.get(key)]
    if absent:
        raise unusable(path.name, f"a text for {', '.join(absent)}")
    return messages


def _texts(tree: object) -> Iterator[str]:
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, dict):
        yield from (text for value in tree.values() for text in _texts(value))
    elif isinstance(tree, list | tuple):
        yield from (text for value in tree for text in _texts(value))


def read_languages(folder: Path, schema: type[M], unusable: Unusable) -> dict[str, M]:
    """Every message file of a folder, by language."""
    return {path.stem: read_language(path, schema, unusable) for path in sorted(folder.glob("*.json"))}
