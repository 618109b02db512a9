"""Exported chains: verified with nothing but the file; whatever is bent is named by kiosk and sequence."""

from __future__ import annotations

import random
from collections.abc import Sequence

import msgspec
import pytest

from central.rules.audit import StoredLink, kiosk_key, verify
from central.rules.authority import certify
from central.rules.export import (
    Chain,
    ExportReport,
    Header,
    HeadLine,
    RecordLine,
    export_lines,
    verify_export,
)
from tests.doubles.wire_samples import pass_record
from wire import chain
from wire.ids import KioskId, OperatorId, SiteId
from wire.records import ChainHead
from wire.signing import Signer, sign_chain_head
from wire.values import Certificate, Role

METRO, NORTH, NOW_MS = OperatorId("metro"), SiteId("north"), 1_795_000_000_000
ROOT, CENTRAL, ISSUER = (Signer.from_seed(letter * 32) for letter in (b"r", b"c", b"i"))
KIOSKS = {KioskId("gate-1"): Signer.from_seed(b"1" * 32), KioskId("gate-2"): Signer.from_seed(b"2" * 32)}
PURGED = 2
SEED = 20261123


def certificate(role: Role, name: str, signer: Signer, by: Signer = ROOT) -> Certificate:
    return certify(METRO, role, name=name, site=NORTH, public_key=signer.public_key, now_ms=NOW_MS, by=by)


ISSUED = certificate(Role.ISSUER, "issuer", ISSUER)


def records_of(kiosk: KioskId, count: int) -> list[StoredLink]:
    rows: list[StoredLink] = []
    previous = chain.genesis(kiosk)
    for number in range(1, count + 1):
        made = chain.chained(previous, number, pass_record(kiosk, number), bytes([number]) * 16)
        committed, body = chain.commitment_of(made), bytes(made.body)
        salt, kept = (None, None) if number == PURGED else (made.salt, body)
        name = f"{number:032x}"
        rows.append(StoredLink(number, committed, made.link, salt, kept, name, name))
        previous = made.link
    return rows


def heads_of(kiosk: KioskId, rows: Sequence[StoredLink], *at: int) -> list[ChainHead]:
    return [sign_chain_head(kiosk, number, rows[number - 1].link, KIOSKS[kiosk]) for number in at]


def chains() -> list[Chain]:
    made = []
    for kiosk, signer in KIOSKS.items():
        rows = records_of(kiosk, 5)
        own = certificate(Role.KIOSK, kiosk, signer, ISSUER)
        made.append(Chain(kiosk, own, ISSUED, rows, heads_of(kiosk, rows, 3, 5)))
    return made


def exported(of: list[Chain] | None = None, root: Signer = ROOT) -> list[bytes]:
    header = Header(2, METRO, NORTH, NOW_MS, root.public_key)
    own = certificate(Role.CENTRAL, "central", CENTRAL, root)
    return list(export_lines(header, chains() if of is None else of, CENTRAL, own))


LINES = exported()
WHOLE = b"".join(LINES)


def read(raw: bytes, root: bytes | None = None) -> ExportReport:
    return verify_export(raw.splitlines(keepends=True), root)


def broken(report: ExportReport) -> list[tuple[str, int]]:
    return [(each.kiosk, each.broken_at) for each in report.kiosks if each.broken_at is not None]


def test_an_exported_file_verifies_alone_and_says_what_was_purged():
    report = read(WHOLE, ROOT.public_key)
    assert report.sound
    assert (report.operator, report.site, report.root) == (METRO, NORTH, ROOT.public_key.hex())
    told = [(each.kiosk, each.records, each.purged, each.signed_heads) for each in report.kiosks]
    assert told == [("gate-1", 5, 1, 2), ("gate-2", 5, 1, 2)]


def test_one_flipped_byte_anywhere_is_found_and_named_by_kiosk_and_sequence():
    print(f"seed {SEED}")
    dice, places, start = random.Random(SEED), [], 0
    for line in LINES:
        places += [(line, start + at, at) for at in sorted(dice.sample(range(len(line)), 24))]
        start += len(line)
    named = 0
    for line, place, at in places:
        flipped = bytearray(WHOLE)
        flipped[place] ^= 1 << dice.randrange(8)
        report = read(bytes(flipped))
        assert not report.sound, (line, at)
        found = decoded(line)
        if isinstance(found, RecordLine) and not purged_name(found, line, at):
            assert broken(report) == [(found.kiosk, found.sequence)], (line, at, report)
            named += 1
        elif isinstance(found, HeadLine):
            assert broken(report) == [(found.head.kiosk, found.head.sequence)], (line, at, report)
            named += 1
    assert named > 300


def test_a_character_that_spells_the_same_bytes_otherwise_is_a_change_too():
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    (at,) = [number for number, line in enumerate(LINES) if b'"gate-2","sequence":4' in line]
    spare = LINES[at].index(b'=","link"') - 1  # its lowest two bits are of no byte
    other = alphabet[alphabet.index(LINES[at][spare]) ^ 1]
    bent = LINES[at][:spare] + bytes([other]) + LINES[at][spare + 1 :]
    assert msgspec.json.decode(bent) != msgspec.json.decode(LINES[at])
    assert msgspec.json.decode(bent, type=RecordLine) == msgspec.json.decode(LINES[at], type=RecordLine)
    assert broken(read(b"".join([*LINES[:at], bent, *LINES[at + 1 :]]))) == [("gate-2", 4)]


def decoded(line: bytes) -> object:
    try:
        return msgspec.json.decode(line, type=RecordLine | HeadLine)
    except msgspec.ValidationError:
        return None


def purged_name(found: RecordLine, line: bytes, at: int) -> bool:
    """Whether a byte is of the ids of a purged record, which nothing but the seal vouches for."""
    return found.body is None and line.index(b"record_id") <= at < line.index(b"commitment")


@pytest.mark.parametrize("number", range(1, len(LINES)))
def test_a_file_without_one_of_its_lines_is_not_sound(number: int):
    assert not read(b"".join(LINES[:number] + LINES[number + 1 :])).sound


@pytest.mark.parametrize("number", range(len(LINES)))
def test_a_file_cut_short_is_not_sound(number: int):
    assert not read(b"".join(LINES[:number])).sound


def test_a_missing_record_is_named_by_its_sequence():
    (at,) = [number for number, line in enumerate(LINES) if b'"gate-2"' in line and b'"sequence":4' in line]
    assert broken(read(b"".join(LINES[:at] + LINES[at + 1 :]))) == [("gate-2", 4)]


def test_a_chain_without_its_end_is_broken_where_it_was_cut_even_when_central_sealed_it():
    first, second = chains()
    cut = Chain(first.kiosk, first.certificate, first.issuer, list(first.records)[:4], first.heads)
    report = read(b"".join(exported([cut, second])))
    assert (report.fault, broken(report)) == (None, [("gate-1", 5)])
    assert "signed up to 5" in report.kiosks[0].why


def test_records_that_no_signed_head_covers_are_a_break():
    rows = records_of(KioskId("gate-1"), 5)
    key = KIOSKS[KioskId("gate-1")].public_key
    found = verify(KioskId("gate-1"), rows, heads_of(KioskId("gate-1"), rows, 3), key)
    assert (found.broken_at, found.why) == (4, "the kiosk signed no head that covers it")


def test_half_a_purge_and_a_record_filed_under_another_name_are_breaks():
    rows = records_of(KioskId("gate-1"), 5)
    whole = rows[3]
    halves = [
        StoredLink(4, whole.commitment, whole.link, None, b"anything", whole.record_id, whole.passage),
        StoredLink(4, whole.commitment, whole.link, whole.salt, None, whole.record_id, whole.passage),
        StoredLink(4, whole.commitment, whole.link, whole.salt, whole.body, whole.record_id, "f" * 32),
    ]
    for half in halves:
        bent = [*rows[:3], half, rows[4]]
        found = verify(KioskId("gate-1"), bent, [], KIOSKS[KioskId("gate-1")].public_key)
        assert found.broken_at == 4


def test_a_file_that_rests_on_another_root_is_not_taken_for_ours():
    stranger = Signer.from_seed(b"s" * 32)
    theirs = exported([], stranger)
    assert read(b"".join(theirs)).sound
    assert "another root key" in str(read(b"".join(theirs), ROOT.public_key).fault)


def test_only_the_key_that_an_issuer_of_the_root_certified_for_a_kiosk_signs_its_chain():
    kiosk, signer = KioskId("gate-1"), KIOSKS[KioskId("gate-1")]

    def key(own: Certificate | None, issuer: Certificate | None = ISSUED) -> bytes | None:
        return kiosk_key(kiosk, own, issuer, root_public_key=ROOT.public_key, operator=METRO)

    right = certificate(Role.KIOSK, kiosk, signer, ISSUER)
    assert key(right) == signer.public_key
    wrong = [
        certificate(Role.REVIEWER, kiosk, signer, ISSUER),
        certificate(Role.KIOSK, "gate-2", signer, ISSUER),
        certificate(Role.KIOSK, kiosk, signer, CENTRAL),
        certificate(Role.KIOSK, kiosk, signer),
        None,
    ]
    assert [key(each) for each in wrong] == [None] * 5
    assert [key(right, each) for each in (None, right, certificate(Role.CENTRAL, "issuer", ISSUER))] == [
        None
    ] * 3


@pytest.mark.parametrize("raw", [b"", b"\n", b"{}\n", b"\xff\xfe\n", b"[" * 5000 + b"\n"])
def test_what_is_no_export_is_said_to_be_none(raw: bytes):
    report = read(raw)
    assert not report.sound
    assert report.fault is not None
