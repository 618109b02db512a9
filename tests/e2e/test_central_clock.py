"""Somebody sets central's clock twelve years ahead, and right again: kiosks notice nothing but a silence."""

from __future__ import annotations

import logging

import pytest

from edge.compare.member import KnownMember
from edge.decide.verdict import Age
from tests.doubles.central_rig import Rig
from tests.doubles.kiosk_rig import Kiosk, enrol, filled
from tests.doubles.waiting import eventually

TWELVE_YEARS_MS = 12 * 365 * 86_400_000


async def test_a_leap_of_centrals_clock_stops_its_signing_and_poisons_no_kiosk(
    rig: Rig, kiosk: Kiosk, caplog: pytest.LogCaptureFixture
) -> None:
    subject, _ = enrol(rig)
    async with kiosk.running() as uplink:
        await filled(uplink, subject)
        highest_ms, published = uplink.cache.highest_central_ms(), rig.central.link.publish
        sent: list[object] = []

        def noted(address: object, payload: bytes) -> bool:
            sent.append(address)
            return published(address, payload)  # type: ignore[arg-type]

        rig.central.link.publish = noted  # type: ignore[method-assign]
        with caplog.at_level(logging.WARNING):
            rig.clock.leap(TWELVE_YEARS_MS)
            rig.central.publish_heads()
        assert sent == []
        assert "clock leapt by" in caplog.text
        rig.clock.leap(-TWELVE_YEARS_MS)
        newcomer, claim = enrol(rig, 2)
        rig.central.publish_heads()
        await eventually(lambda: uplink.cache.member(newcomer))
        assert isinstance(await uplink.members.resolve(claim), KnownMember)
        assert (await uplink.members.standing(subject)).age is Age.FRESH
        assert uplink.cache.highest_central_ms() - highest_ms < 60_000
