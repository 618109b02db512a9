"""What is left of a member in the files of a kiosk, running and stopped, once it knows that they withdrew."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from edge.adapters.storage.cache import Cache, FeedName, Held
from edge.adapters.storage.keyfile import RowSealer
from edge.adapters.storage.outbox import KEEP_BODIES_MS, Outbox
from tests.doubles.outboxes import DEVICE_KEY, KIOSK, SIGNER, opened, receipt, sent
from tests.doubles.wire_samples import ISSUED_MS, SUBJECT, pass_record
from wire.canonical import canonical
from wire.fleet import GalleryDelta
from wire.ids import ClaimDigest, SubjectId
from wire.packing import check_gallery, pack, rows_digest
from wire.records import DroppedRecord, Receipt
from wire.values import GalleryRow, SealedTemplate, Tombstone

SEALER = RowSealer(DEVICE_KEY, os.urandom)


def found(folder: Path, *pieces: bytes) -> list[str]:
    return [
        path.name for path in sorted(folder.rglob("*")) if any(piece in path.read_bytes() for piece in pieces)
    ]


def rows(count: int) -> list[GalleryRow]:
    return [
        GalleryRow(
            SubjectId(f"{number:032x}"),
            (ClaimDigest(os.urandom(32)),),
            (),
            SealedTemplate(os.urandom(541), 1, "ab" * 32, 3),
        )
        for number in range(count)
    ]


async def install(cache: Cache, members: list[GalleryRow], epoch: int = 1) -> None:
    chunk = check_gallery(pack([canonical(row) for row in members])[0])
    generation = await cache.begin(FeedName.GALLERY)
    staged = cache.sealed(FeedName.GALLERY, generation, chunk)
    await cache.stage(staged)
    held = Held(epoch, 1, 1000, len(members), generation, rows_digest(staged.number))
    await cache.install(FeedName.GALLERY, held)
    await cache.sweep(FeedName.GALLERY)


def sealed_row(cache: Cache, subject: SubjectId) -> bytes:
    ((sealed,),) = cache._database.read("SELECT sealed FROM entry WHERE subject = ?", cache._who(subject))
    return bytes(sealed)


async def test_a_withdrawn_members_sealed_row_is_in_no_file_of_a_kiosk(tmp_path: Path):
    cache = Cache(tmp_path / "cache.sqlite3", SEALER)
    await install(cache, members := rows(200))
    cache.close()
    cache = Cache(tmp_path / "cache.sqlite3", SEALER)  # the kiosk was restarted since
    victims = random.Random(1).sample(members, 20)
    pieces = [sealed_row(cache, each.subject)[100:400] for each in victims]
    assert found(tmp_path, pieces[0])
    for version, victim in enumerate(victims, 2):
        gone = Tombstone(victim.subject, 1, victim.claim_digests)
        assert await cache.apply(FeedName.GALLERY, GalleryDelta(1, version, 2000, (gone,)))
    assert found(tmp_path, *pieces) == [], "while it runs"
    cache.close()
    assert found(tmp_path, *pieces) == [], "and after"


async def test_no_subject_and_no_claim_digest_stands_in_the_cache_as_it_is(tmp_path: Path):
    cache = Cache(tmp_path / "cache.sqlite3", SEALER)
    await install(cache, members := rows(50))
    names = [each.subject.encode() for each in members] + [each.claim_digests[0] for each in members]
    assert found(tmp_path, *names) == []
    ((holder,), one) = cache.holders(members[3].claim_digests[0]), members[3]
    assert (holder.subject, cache.member(one.subject)) == (one.subject, one)
    cache.close()
    assert found(tmp_path, *names) == []


async def test_the_key_of_a_snapshot_is_gone_with_it(tmp_path: Path):
    cache = Cache(tmp_path / "cache.sqlite3", SEALER)
    await install(cache, members := rows(3))
    row, who = sealed_row(cache, members[0].subject), cache._who(members[0].subject)
    assert cache._opened(FeedName.GALLERY, 1, who, row) is not None
    await install(cache, members, epoch=2)
    cache.close()
    cache = Cache(tmp_path / "cache.sqlite3", SEALER)
    assert cache._opened(FeedName.GALLERY, 1, who, row) is None, "a copy of the old row opens no more"
    assert cache.member(members[0].subject) == members[0]
    cache.close()


async def test_an_outbox_keeps_no_confirmed_body_that_names_who_withdrew(tmp_path: Path):
    withdrawn: set[str] = set()
    outbox = Outbox(
        tmp_path / "outbox.sqlite3",
        KIOSK,
        signer=SIGNER,
        sealer=SEALER,
        random_bytes=os.urandom,
        is_gone=withdrawn.__contains__,
    )
    for number in range(1, 6):
        other = {"subject": SubjectId("7" * 32)} if number == 5 else {}
        await outbox.settle(pass_record(KIOSK, number, **other))
    sealed = [bytes(each) for (each,) in outbox.database.read("SELECT sealed FROM record ORDER BY sequence")]
    withdrawn.add(SEALER.digest("subject", SUBJECT))
    await outbox.drop_gone()
    assert all(found(tmp_path, each) for each in sealed), "central has not got them yet"
    batch = sent(outbox)
    await outbox.receive(receipt(batch))
    assert found(tmp_path, *sealed[:4]) == []
    assert found(tmp_path, sealed[4]) != []
    assert outbox.backlog.dropped == 0, "nothing was lost"
    outbox.close()
    assert found(tmp_path, *sealed[:4], SUBJECT.encode()) == []


async def test_confirmed_bodies_go_by_age_and_their_commitments_stay(tmp_path: Path):
    outbox = opened(tmp_path)
    for number in range(1, 4):
        await outbox.settle(pass_record(KIOSK, number, settled_at_ms=ISSUED_MS + number))
    batch = sent(outbox)
    until_ms = ISSUED_MS + 3 + KEEP_BODIES_MS
    await outbox.receive(Receipt(KIOSK, 3, batch.head.link, until_ms, None))
    kept = outbox.database.read("SELECT sealed IS NOT NULL, link IS NOT NULL FROM record ORDER BY sequence")
    assert kept == [(0, 1), (0, 1), (1, 1)]
    outbox._sent, outbox._sent_link = 0, batch.previous_link
    again = outbox.next_batch()
    assert again is not None
    assert [type(each) is DroppedRecord for each in again.records] == [True, True, False]
    outbox.close()


async def test_a_record_that_cannot_be_read_is_named_and_the_chain_goes_on_without_its_body(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    outbox = opened(tmp_path)
    for number in range(1, 4):
        await outbox.settle(pass_record(KIOSK, number))
    await outbox.begin(pass_record(KIOSK, 4))
    outbox.database.write_now(lambda c: c.execute("UPDATE record SET sealed = x'00' WHERE sequence = 2"))
    outbox.database.write_now(lambda c: c.execute("UPDATE begun SET sealed = x'00'"))
    assert [type(each) is DroppedRecord for each in sent(outbox).records] == [False, True, False]
    assert await outbox.unsettled() == ()
    assert len(outbox.unreadable) == 2
    assert [each.getMessage().split(" cannot")[0].split()[0] for each in caplog.records] == [
        "record",
        "begun",
    ]
    outbox.close()
