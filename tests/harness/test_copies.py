"""What the harness found: a batch of records that arrives twice at once is no conflict."""

from __future__ import annotations

from pathlib import Path

from central.app import init_central, load_config, open_use_cases
from central.service.kiosks import BrokerAddress
from central.service.records import Records
from tests.doubles.wire_samples import pass_record
from wire import chain
from wire.ids import KioskId, Purpose
from wire.pairing import make_request, parse_code
from wire.records import RecordBatch, RecordFault
from wire.sealing import box_public_key
from wire.signing import Signer, sign_chain_head

KIOSK = KioskId("gate-1")


class Overtaken:
    """A store into which somebody else commits first, once: as a second thread with the same batch does."""

    def __init__(self, store, first) -> None:
        self._store, self._first = store, first

    def __getattr__(self, name: str):
        return getattr(self._store, name)

    def commit(self, offers, now_ms):
        if (first := self._first) is not None:
            self._first = None
            first()
        return self._store.commit(offers, now_ms)


def batch_of(signer: Signer, number: int, previous: bytes) -> RecordBatch:
    placed = chain.chained(previous, 1, pass_record(KIOSK, number), b"s" * 16)
    return RecordBatch(KIOSK, previous, (placed,), sign_chain_head(KIOSK, 1, placed.link, signer))


def receipts(folder: Path, first_number: int):
    """What the later of two is told; the earlier holds record 1, the later record `first_number`."""
    with open_use_cases(load_config(init_central(folder, "metro", "north", "ride"))) as use_cases:
        signer = Signer.from_seed(b"k" * 32)
        code = parse_code(use_cases.kiosks.add(KIOSK, Purpose("ride")))
        box = box_public_key(b"b" * 32)
        use_cases.kiosks.pair(
            make_request(code, b"n" * 16, public_key=signer.public_key, box_public_key=box, software="1"),
            BrokerAddress("127.0.0.1", 1),
        )
        store, key = use_cases.records._store, signer.public_key
        earlier = batch_of(signer, 1, chain.genesis(KIOSK))
        overtaken = Overtaken(store, lambda: use_cases.records.ingest(earlier, key))
        later = batch_of(signer, first_number, chain.genesis(KIOSK))
        told = Records(use_cases.context, overtaken).ingest(later, key)
        return told, earlier.head.link, [report.records for report in use_cases.records.verify()]


def test_a_copy_of_a_batch_that_is_being_committed_is_received_like_the_batch_itself(tmp_path: Path):
    told, link, records = receipts(tmp_path, 1)
    assert (told.sequence, told.link, told.fault) == (1, link, None)
    assert records == [1]


def test_another_record_at_a_place_that_is_being_taken_is_a_conflict_still(tmp_path: Path):
    told, link, records = receipts(tmp_path, 2)
    assert (told.sequence, told.link, told.fault) == (1, link, RecordFault.CONFLICT)
    assert records == [1]
