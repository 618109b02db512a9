import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import firmware_bridge
from firmware_bridge import auth, frame, gate, messages
from firmware_bridge.errors import MessageBoundError
from firmware_bridge.frame import BODY_MAX, Heading, Ignored, IgnoredBecause
from firmware_bridge.messages import TABLE, decode_body, encode_body, uptime_after, uptime_difference
from firmware_bridge.simulator import transport

BRIDGE = Path(firmware_bridge.__file__).parent
PROTOCOL = (BRIDGE / "PROTOCOL.md").read_text()
VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "gate_frames.json").read_text())
LETTERS = {"B": "u8", "H": "u16", "I": "u32", "8s": "bytes 8", "16s": "bytes 16"}


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_every_message_is_as_protocol_md_lists_it(row):
    listed = ", ".join(f"{name} {LETTERS[letter]}" for name, letter in row.fields)
    sender = "controller" if row.heading is Heading.TO_HOST else "host"
    assert f"| {row.code:#04x} | {row.name} | {sender} | {row.layout.size} | {listed} |" in PROTOCOL
    assert row.layout.size <= BODY_MAX


def test_protocol_md_lists_no_other_message():
    listed = re.findall(r"^\| (0x[0-9a-f]{2}) \|", PROTOCOL, re.MULTILINE)
    assert listed == [f"{row.code:#04x}" for row in TABLE]
    assert len(set(listed)) == len(listed)


def test_every_limit_is_in_protocol_md_with_its_value():
    listed = dict(re.findall(r"^\| ([A-Z_]+) \| (\d+) \|", PROTOCOL, re.MULTILINE))
    assert {name: int(value) for name, value in listed.items()} == messages.LIMITS


@pytest.mark.parametrize(("name", "codes"), messages.CODES, ids=[name for name, _ in messages.CODES])
def test_every_code_is_in_protocol_md(name, codes):
    line = f"{name}: " + ", ".join(f"`{code.value} {code.name}`" for code in codes)
    assert line in PROTOCOL


@pytest.mark.parametrize("module", [messages, frame, auth, transport], ids=lambda module: module.__name__)
def test_every_sentence_quoted_in_the_code_stands_in_protocol_md(module):
    quoted = re.findall(r'^\s*# "(.+)"$', Path(module.__file__).read_text(), re.MULTILINE)
    assert quoted
    assert [sentence for sentence in quoted if sentence not in PROTOCOL] == []


def test_every_reason_fault_and_refusal_has_a_line_in_protocol_md():
    for reason in frame.IgnoredBecause:
        assert f"\n| {reason} | " in PROTOCOL
    for fault in messages.GateFault:
        assert f"\n| {fault.name} | " in PROTOCOL
    for answer in messages.Answer:
        assert f"\n| {answer.name} | " in PROTOCOL
    answers = {answer.name.lower() for answer in messages.Answer} | {"repeated"}
    for refusal in gate.RefusedBecause:
        assert refusal in answers or f"`{refusal}`" in PROTOCOL


def value_for(row, name, letter):
    choices = dict(row.choices)
    if name in choices:
        return st.sampled_from(list(choices[name]))
    if letter.endswith("s"):
        return st.binary(min_size=int(letter[:-1]), max_size=int(letter[:-1]))
    return st.integers(0, 256 ** {"B": 1, "H": 2, "I": 4}[letter] - 1)


def built(row):
    values = {name: value_for(row, name, letter) for name, letter in row.fields}
    if not row.is_event:
        return st.builds(row.message, **values)
    sequence, at_ms = values.pop("sequence"), values.pop("at_ms")
    if row.message is messages.Passed:
        values["passage_id"] = st.none() | values["passage_id"].filter(any)
    return st.builds(messages.Numbered, sequence, at_ms, st.builds(row.message, **values))


@given(st.sampled_from(TABLE).flatmap(lambda row: st.tuples(st.just(row), built(row))))
def test_a_message_comes_back_from_its_body(row_and_message):
    row, message = row_and_message
    code, body = encode_body(message)
    assert (code, len(body)) == (row.code, row.layout.size)
    assert decode_body(row.heading, code, body) == message


@given(st.sampled_from(Heading), st.integers(0, 255), st.binary(max_size=BODY_MAX))
def test_any_body_is_a_message_or_malformed(heading, code, body):
    found = decode_body(heading, code, body)
    if isinstance(found, Ignored):
        assert found.because is IgnoredBecause.MALFORMED
    else:
        assert encode_body(found) == (code, body)


def test_a_message_of_the_other_direction_is_malformed():
    for row in TABLE:
        wrong = Heading(1 - row.heading)
        assert isinstance(decode_body(wrong, row.code, bytes(row.layout.size)), Ignored)


@pytest.mark.parametrize("row", VECTORS["frames"], ids=lambda row: row["name"])
def test_the_vectors_hold_the_fields_they_name(row):
    message = decode_body(Heading(row["direction"]), row["type"], bytes.fromhex(row["body"]))
    found = messages.field_values(message)
    plain = {name: value.hex() if isinstance(value, bytes) else value for name, value in found.items()}
    assert plain == row["fields"]


def test_there_is_a_vector_for_every_message():
    assert [row["name"] for row in VECTORS["frames"]] == [row.name for row in TABLE]


RELEASE = messages.Release(
    messages.PassageId(bytes(16)), messages.Nonce(bytes(8)), 0, 0, messages.Direction.ENTRY
)


@pytest.mark.parametrize(
    ("field", "value"),
    [("passage_id", b"short"), ("nonce", bytes(9)), ("not_after_ms", -1), ("open_ms", 65_536)],
)
def test_a_field_out_of_bounds_is_named_when_a_message_is_built(field, value):
    with pytest.raises(MessageBoundError, match=rf"RELEASE\.{field} is"):
        encode_body(replace(RELEASE, **{field: value}))


def test_the_protocol_hash_is_this_one_until_the_protocol_is_changed_knowingly():
    assert messages.protocol_hash().hex() == "9f7c24f02af0fab0"


def test_the_protocol_hash_is_computed_from_protocol_md_alone():
    tables = PROTOCOL.split("\n## 5.")[1].split("\n## 6.")[0]
    letters = {"u8": "B", "u16": "H", "u32": "I"}
    lines = ["version 1"]
    lines += [
        f"{name} {value}" for name, value in re.findall(r"^\| ([A-Z_]+) \| (\d+) \|", tables, re.MULTILINE)
    ]
    for name, codes in re.findall(r"^(\w+): (`\d.*)$", tables, re.MULTILINE):
        lines += [f"{name}.{code} {value}" for value, code in re.findall(r"`(\d+) (\w+)`", codes)]
    for code, name, listed in re.findall(
        r"^\| (0x..) \| (\w+) \| \w+ \| \d+ \| ([^|]+) \|", tables, re.MULTILINE
    ):
        fields = [field.split(" ", 1) for field in listed.split(", ")]
        sizes = [letters.get(size) or f"{size.removeprefix('bytes ')}s" for _, size in fields]
        lines.append(
            " ".join(
                [code, name, *(f"{field}:{size}" for (field, _), size in zip(fields, sizes, strict=True))]
            )
        )
    assert hashlib.sha256("\n".join(lines).encode()).digest()[:8] == messages.protocol_hash()


def test_the_protocol_hash_changes_with_a_limit_and_with_the_table(monkeypatch):
    before = messages.protocol_hash()
    assert len(before) == 8
    monkeypatch.setitem(messages.LIMITS, "OPEN_MAX_MS", 10_001)
    assert messages.protocol_hash() != before
    monkeypatch.undo()
    monkeypatch.setattr(messages, "TABLE", TABLE[:-1])
    assert messages.protocol_hash() != before


@given(st.integers(0, (1 << 32) - 1), st.integers(-(1 << 31), (1 << 31) - 1))
def test_uptimes_compare_across_the_wrap(start_ms, passed_ms):
    assert uptime_difference(uptime_after(start_ms, passed_ms), start_ms) == passed_ms
