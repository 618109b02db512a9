"""Pairing: once, in time, proven by both sides."""

from __future__ import annotations

import logging
import random

import httpx
import pytest

from central.errors import ConflictError
from central.rules.fleet import CODE_VALID_MS
from tests.doubles.central_rig import LOAN, RIDE, Rig, pair
from tests.doubles.waiting import eventually
from wire.ids import KioskId
from wire.pairing import format_code
from wire.requests import GalleryKeyRequest
from wire.sealing import open_box, secrets_binding
from wire.topics import TopicKind


async def test_a_kiosk_pairs_and_learns_who_it_is_and_whom_to_trust(rig: Rig):
    code = rig.central.use_cases.kiosks.add(KioskId("gate-1"), LOAN)
    end = await pair(rig.central.http_url, code, rig.clock, rig.dice)
    grant = end.grant
    assert (grant.operator, grant.site, grant.kiosk, grant.purpose) == ("metro", "north", "gate-1", "locker")
    assert grant.root_public_key == rig.central.use_cases.context.identity.credentials.root_public_key
    assert end.secrets == rig.central.use_cases.context.secrets


async def refused_status(rig: Rig, code: str, **changes: object) -> int:
    with pytest.raises(httpx.HTTPStatusError) as refusal:
        await pair(rig.central.http_url, code, rig.clock, random.Random(9), **changes)
    return refusal.value.response.status_code


async def test_a_used_pairing_code_is_refused(rig: Rig):
    code = rig.central.use_cases.kiosks.add(KioskId("gate-1"), RIDE)
    await pair(rig.central.http_url, code, rig.clock, rig.dice)
    assert await refused_status(rig, code) == 403


async def test_an_expired_an_unknown_and_a_replaced_code_are_refused(rig: Rig):
    replaced = rig.central.use_cases.kiosks.add(KioskId("gate-1"), RIDE)
    code = rig.central.use_cases.kiosks.add(KioskId("gate-1"), RIDE)
    assert await refused_status(rig, replaced) == 403
    assert await refused_status(rig, format_code(bytes(10))) == 403
    rig.clock.advance(CODE_VALID_MS)
    assert await refused_status(rig, code) == 403


async def test_keys_changed_on_the_way_are_refused_and_do_not_use_the_code_up(rig: Rig):
    code = rig.central.use_cases.kiosks.add(KioskId("gate-1"), RIDE)
    assert await refused_status(rig, code, public_key=b"e" * 32) == 403
    assert await refused_status(rig, code, box_public_key=bytes(32)) == 403
    end = await pair(rig.central.http_url, code, rig.clock, rig.dice)
    assert end.grant.kiosk == "gate-1"


async def test_the_code_of_a_kiosk_that_was_revoked_before_it_paired_gives_nothing_away(rig: Rig):
    code = rig.central.use_cases.kiosks.add(KioskId("gate-1"), RIDE)
    rig.central.use_cases.kiosks.revoke(KioskId("gate-1"))
    assert await refused_status(rig, code) == 403


async def test_the_log_says_who_was_paired_and_revoked(rig: Rig, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO, "central")
    kiosks = rig.central.use_cases.kiosks
    kiosks.ring()
    await pair(rig.central.http_url, kiosks.add(KioskId("gate-1"), RIDE), rig.clock, rig.dice)
    kiosks.ring()
    kiosks.revoke(KioskId("gate-1"))
    kiosks.ring()
    kiosks.ring()
    told = [each.getMessage() for each in caplog.records if each.name == "central.service.kiosks"]
    assert told == [
        "kiosk gate-1 is paired",
        "kiosk gate-1 is revoked: nothing that it signs counts any more",
    ]


async def test_a_paired_kiosk_gets_no_second_code(rig: Rig):
    code = rig.central.use_cases.kiosks.add(KioskId("gate-1"), RIDE)
    await pair(rig.central.http_url, code, rig.clock, rig.dice)
    with pytest.raises(ConflictError, match="under another id"):
        rig.central.use_cases.kiosks.add(KioskId("gate-1"), RIDE)


async def test_the_code_and_the_sites_secrets_are_nowhere_in_the_database(rig: Rig):
    code = rig.central.use_cases.kiosks.add(KioskId("gate-1"), RIDE)
    end = await pair(rig.central.http_url, code, rig.clock, rig.dice)
    stored = b"".join(path.read_bytes() for path in rig.config.parent.glob("central.db*"))
    keys = [key.key for key in end.secrets.gallery_keys]
    secrets = (*keys, end.secrets.gallery_keys[0].rotation_seed, end.secrets.claim_key)
    assert all(secret not in stored for secret in secrets)
    assert code.encode() not in stored


async def test_a_kiosk_can_ask_for_the_gallery_key_again_and_nobody_else_can_open_it(rig: Rig):
    async with rig.kiosk() as end:
        reply = await end.ask(GalleryKeyRequest)
        binding = secrets_binding(end.grant.kiosk, reply.nonce)
        assert open_box(end.box_private, reply.sealed_secrets, binding)
        with pytest.raises(Exception, match="does not open"):
            open_box(b"o" * 32, reply.sealed_secrets, binding)


async def test_a_revoked_kiosk_is_heard_no_longer(rig: Rig):
    async with rig.kiosk() as end, rig.kiosk("gate-2") as other:
        rig.central.use_cases.kiosks.revoke(KioskId("gate-1"))
        end.write_records(1)
        end.send(TopicKind.RECORD, end.batch(1, 1))
        await eventually(lambda: rig.central.router.ignored["unknown_key"] == 1)
        other.write_records(1)
        await other.deliver(other.batch(1, 1))
        assert end.receipts() == []
