"""Central's database after a run, read without asking central."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from central.app import load_config, open_use_cases
from scripts.harness.invariants import Stored
from wire.codec import Rejected, decode_record
from wire.records import ChargeOutcome, GateOutcome, PassRecord


def read_central(config: Path) -> tuple[list[Stored], list[str]]:
    """Every record, and the kiosks whose chain does not verify; raises `sqlite3.Error`."""
    loaded = load_config(config)
    assert isinstance(loaded.database, Path), "the harness's central is on SQLite"
    connection = sqlite3.connect(f"file:{loaded.database}?mode=ro", uri=True)
    try:
        rows = connection.execute("SELECT kiosk, record_id, passage, body FROM records").fetchall()
    finally:
        connection.close()
    stored = [_stored(kiosk, record, passage, body) for kiosk, record, passage, body in rows]
    with open_use_cases(loaded) as use_cases:
        broken = [str(report.kiosk) for report in use_cases.records.verify() if report.broken_at is not None]
    return stored, broken


def _stored(kiosk: str, record: str, passage: str, body: bytes | None) -> Stored:
    opened = None if body is None else decode_record(body)
    if opened is None or isinstance(opened, Rejected):
        return Stored(record, passage, kiosk)
    orphan = opened.gate_outcome is GateOutcome.UNKNOWN
    return Stored(record, passage, kiosk, opened.subject, *_spent(opened), orphan)


def _spent(record: PassRecord) -> tuple[int, int]:
    """What was charged on the kiosk's word alone, and what was allowed in sum."""
    charge = record.charge
    if record.amount_minor is None or charge is None or charge.outcome is not ChargeOutcome.OFFLINE:
        return 0, 0
    return record.amount_minor, 0 if record.standing is None else record.standing.offline_allowance_minor
