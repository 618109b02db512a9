"""What is left of a member in the files of a running central, and of one that was stopped."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.doubles.central_rig import Clock, Rig, new_config, running
from tests.doubles.waiting import eventually
from wire.ids import SubjectId
from wire.signing import DAY_MS


def found(folder: Path, *pieces: bytes) -> list[str]:
    return [
        path.name
        for path in sorted(folder.rglob("*"))
        if path.is_file() and any(piece in path.read_bytes() for piece in pieces)
    ]


def of_member(rig: Rig, subject: SubjectId) -> tuple[bytes, bytes]:
    """Pieces of a member's sealed template and of their PIN's verifier."""
    store = rig.central.use_cases.members._store
    template, pin = store.template(subject), store.pin(subject)
    assert template is not None
    assert pin is not None
    return template.sealed[20:200], pin.verifier[-40:].encode()


async def test_templates_and_verifiers_of_who_withdrew_are_in_no_file_of_a_central(tmp_path: Path):
    clock = Clock()
    config = new_config(tmp_path, clock)
    async with running(config, clock) as rig:
        members = [rig.add_member("4793")[0] for _ in range(30)]
        use_cases, pieces = rig.central.use_cases, []
        for subject in members[::3]:
            pieces += of_member(rig, subject)
            use_cases.members.set_pin(subject, "8264")
            pieces += of_member(rig, subject)
        assert all(found(tmp_path, piece) for piece in pieces[::2])
        for subject in members[::3]:
            await asyncio.to_thread(use_cases.members.withdraw, subject)
        assert found(tmp_path, *pieces) == [], "while it runs"
    assert found(tmp_path, *pieces) == [], "and after"


async def test_retention_runs_by_itself_each_day_and_leaves_no_body_and_no_salt(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("central.running.RETENTION_LOOK_S", 0.01)
    clock = Clock()
    config = new_config(tmp_path, clock)
    async with running(config, clock) as rig:
        subject, _ = rig.add_member()
        use_cases = rig.central.use_cases
        await eventually(lambda: use_cases.retention.ran_at_ms == clock.ms)
        async with rig.kiosk() as end:
            end.write_records(40, subject=subject)
            await end.deliver(end.batch(1, 40))
        pieces = [bytes(each.body)[:80] for each in end.chain] + [each.salt for each in end.chain]
        assert all(found(tmp_path, piece) for piece in pieces)
        clock.advance(DAY_MS - 1)
        await asyncio.to_thread(use_cases.retention.run_when_due)
        first_ms = use_cases.retention.ran_at_ms
        clock.advance(91 * DAY_MS)
        await eventually(lambda: use_cases.retention.ran_at_ms == clock.ms)
        assert first_ms == clock.ms - 92 * DAY_MS + 1
        assert found(tmp_path, *pieces) == [], "while it runs"
        async with rig.http() as http:
            state = (await http.get("/v1/state")).json()
        wanted = {"retention_ran_at_ms": clock.ms, "unreadable": {}, "broker_trouble": ""}
        assert {name: state[name] for name in wanted} == wanted
        assert [each.broken_at for each in use_cases.records.verify()] == [None]
    assert found(tmp_path, *pieces) == [], "and after"
