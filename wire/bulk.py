"""Many rows checked at once, exactly as strictly as msgspec's typed decoder checks them one by one.

Four fifths of typed decoding goes into patterns. Here texts are decoded by their lengths alone and then
looked at in columns: names repeat, so each distinct one is matched once; tokens do not, and are matched
together.
What a row must be is still said once, in `wire.values`: everything here is derived from those types.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import chain
from operator import attrgetter
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec
from msgspec import Meta

from wire.ids import TOKEN_CHARS, TOKEN_PATTERN

Column = Sequence[Any]
Check = Callable[[Column], bool]
"""Whether every value of a column is what its type's patterns ask for."""

_TOKENS = re.compile(r"[0-9a-f]*\Z")


class BulkDecoder:
    """Decodes a MessagePack list of `kind`'s values into stand-ins with the same fields."""

    def __init__(self, kind: Any) -> None:
        loose, self._check = _loosened(kind)
        self._decoder: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(tuple[loose, ...])  # type: ignore[valid-type]

    def decode(self, encoded: bytes) -> tuple[Any, ...]:
        """The rows; raises what msgspec raises, and ValueError, exactly when the typed decoder raises."""
        rows: tuple[Any, ...] = self._decoder.decode(encoded)
        if self._check is not None and not self._check(rows):
            raise ValueError("a text that does not match its pattern")
        return rows


def _loosened(kind: Any) -> tuple[Any, Check | None]:
    """A type that leaves patterns out, and the check of what it leaves out; None where that is nothing."""
    origin = get_origin(kind)
    if origin is Annotated:
        inner, meta, *others = get_args(kind)
        if others or not isinstance(meta, Meta):
            raise TypeError(f"{kind} is not annotated by one Meta")
        if meta.pattern is not None:
            return _text(meta)
        loose, check = _loosened(inner)
        return Annotated[loose, meta], check
    if origin is tuple:
        inner, _ = get_args(kind)
        loose, check = _loosened(inner)
        every: Any = tuple[loose, ...]  # type: ignore[valid-type]
        return every, None if check is None else _flat(check)
    if origin in (Union, UnionType):
        return _one_of(get_args(kind))
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return _struct(kind)
    return kind, None


def _text(meta: Meta) -> tuple[Any, Check]:
    assert meta.pattern is not None, "a text with a pattern"
    if meta.pattern == TOKEN_PATTERN:
        # All of one length, so together they match exactly when each does.
        exact = Meta(min_length=TOKEN_CHARS, max_length=TOKEN_CHARS)
        return Annotated[str, exact], lambda column: _TOKENS.match("".join(column)) is not None
    matches = re.compile(meta.pattern).search  # as msgspec does it
    lengths = Meta(min_length=meta.min_length, max_length=meta.max_length)
    return Annotated[str, lengths], lambda column: all(map(matches, set(column)))


def _flat(check: Check) -> Check:
    def flat(column: Column) -> bool:
        inner = list(chain.from_iterable(column))
        return not inner or check(inner)

    return flat


def _one_of(kinds: tuple[Any, ...]) -> tuple[Any, Check | None]:
    made = [_loosened(each) for each in kinds]
    checks = [(loose, check) for loose, check in made if check is not None]

    def one_of(column: Column) -> bool:
        for loose, check in checks:
            some = [value for value in column if type(value) is loose]
            if some and not check(some):
                return False
        return True

    if any(not isinstance(loose, type) for loose, _ in checks):
        raise TypeError(f"of {kinds}, only records may hold a text with a pattern")
    return Union[tuple(loose for loose, _ in made)], one_of if checks else None  # noqa: UP007 - made at run time


def _struct(kind: type[msgspec.Struct]) -> tuple[Any, Check | None]:
    config, fields = kind.__struct_config__, []
    checks: list[tuple[Callable[[Any], Any], Check]] = []
    for each in msgspec.structs.fields(kind):
        loose, check = _loosened(each.type)
        if each.default_factory is not msgspec.NODEFAULT:
            raise TypeError(f"{kind.__name__}.{each.name} has a default that is made")
        fields.append((each.name, loose) if each.required else (each.name, loose, each.default))
        if check is not None:
            checks.append((attrgetter(each.name), check))

    def whole(column: Column) -> bool:
        return all(check(list(map(value_of, column))) for value_of, check in checks)

    made = msgspec.defstruct(
        f"Loose{kind.__name__}",
        fields,
        tag=config.tag,
        tag_field=config.tag_field,
        array_like=config.array_like,
        forbid_unknown_fields=config.forbid_unknown_fields,
        frozen=True,
        gc=False,  # a row holds nothing that could hold it
    )
    return made, whole if checks else None
