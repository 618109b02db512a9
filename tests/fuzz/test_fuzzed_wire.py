"""The codec under a coverage-guided fuzzer: an error value for whatever comes, never a crash."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from msgspec import inspect

from tests.doubles.wire_samples import pass_record
from wire import chain, codec
from wire.canonical import canonical
from wire.ids import KioskId
from wire.records import ChainHead, RecordBatch
from wire.topics import TopicKind

SEED = 20261123
RUNS = 200_000
KIOSK = KioskId("gate-1")
WORDS = ("a" * 32, "a" * 64, "EUR", "screen.language", "a", "deny", "AAAA-2222", "en")
ATHERIS = importlib.util.find_spec("atheris") is not None  # published for x86-64 only


def least(node: inspect.Type) -> object:
    """A small value of a type that decodes, so that the fuzzer need not find the field names first."""
    match node:
        case inspect.StructType(cls=cls) if cls is RecordBatch:
            record = chain.chained(chain.genesis(KIOSK), 1, pass_record(KIOSK), b"s" * 16)
            head = ChainHead(KIOSK, 1, record.link, b"g" * 64)
            return msgspec.to_builtins(
                RecordBatch(KIOSK, chain.genesis(KIOSK), (record,), head), builtin_types=(bytes, msgspec.Raw)
            )
        case inspect.StructType(fields=fields, tag_field=tag_field, tag=tag, array_like=array_like):
            named = {each.encode_name: least(each.type) for each in fields}
            if array_like:
                return [*([tag] if tag is not None else []), *named.values()]
            return {**({tag_field: tag} if tag_field else {}), **named}
        case inspect.UnionType(types=types):
            return least(types[0])
        case inspect.VarTupleType(item_type=item):
            return [least(item)]
        case inspect.BytesType(min_length=size):
            return b"x" * (size or 1)
        case inspect.IntType(ge=low):
            return max(low or 0, 1)
        case inspect.FloatType():
            return 0.5
        case inspect.BoolType():
            return True
        case inspect.EnumType(cls=cls):
            return next(iter(cls)).value
        case inspect.NoneType():
            return None
        case inspect.StrType(pattern=pattern, max_length=most):
            return next(word for word in WORDS if len(word) <= (most or 99) and re.match(pattern or "", word))
        case _:
            raise AssertionError(node)


def seeds(folder: Path) -> int:
    """One well-formed message a topic and type; the number of them."""
    count = 0
    for number, kind in enumerate(TopicKind):
        node = inspect.type_info(codec._TYPES[kind])
        for each in node.types if isinstance(node, inspect.UnionType) else (node,):
            body = canonical(least(each))
            codec._DECODERS[kind].decode(body)
            (folder / f"{count:03d}").write_bytes(bytes([number]) + body)
            count += 1
    return count


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.skipif(not ATHERIS, reason="atheris has no wheel for this machine")
def test_two_hundred_thousand_fuzzed_payloads_are_values_and_never_crashes(tmp_path: Path):
    (corpus := tmp_path / "corpus").mkdir()
    assert seeds(corpus) > len(TopicKind)
    run = [sys.executable, "-m", "tests.fuzz.wire_codec", str(corpus), f"-runs={RUNS}", f"-seed={SEED}"]
    root = Path(__file__).parents[2]
    ended = subprocess.run(
        [*run, "-max_len=2048", "-rss_limit_mb=2048", f"-artifact_prefix={tmp_path}/"],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=580,
        check=False,
    )
    print(f"seed {SEED}")
    assert ended.returncode == 0, ended.stderr[-4000:]
    assert f"Done {RUNS}" in ended.stderr
