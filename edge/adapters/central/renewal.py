"""The kiosk's certificate for the broker is renewed over the wire while it still holds."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from edge.adapters.central.clock import Clock
from edge.adapters.central.link import Link
from edge.adapters.central.tls import certificate_request, files_in, keep_certificate, look_at_files
from edge.errors import StoreError
from wire.requests import CertificateReply, CertificateRequest
from wire.tls import Validity

LOOK_EVERY_S = 3600.0
ASK_WITHIN_MS = 5_000
LEFT = 1 / 3
"""Of a certificate's life: with less than this left another one is asked for, once an hour."""

log = logging.getLogger(__name__)


def due(validity: Validity, now_ms: int) -> bool:
    """Whether it is time to ask for the next certificate."""
    life_ms = validity.not_after_ms - validity.not_before_ms
    return validity.not_after_ms - now_ms < life_ms * LEFT


class Renewal:
    """Renews what pairing gave, until cancelled; files that the operator gave are the operator's to renew."""

    def __init__(self, folder: Path, link: Link, clock: Clock) -> None:
        self._folder, self._link, self._clock = folder, link, clock

    async def run(self) -> None:
        """Look once an hour, until cancelled."""
        while True:
            try:
                await self.look()
            except (StoreError, OSError) as error:
                log.warning("the certificate for the broker was not renewed: %s", error)
            await asyncio.sleep(LOOK_EVERY_S)

    async def look(self) -> bool:
        """Ask for a new certificate if it is time, for the same key; whether one came. Raises StoreError."""
        files, now_ms = files_in(self._folder), self._clock.now_ms()
        if files is None or now_ms is None:
            return False
        if not due(await asyncio.to_thread(look_at_files, files, now_ms), now_ms):
            return False
        key = await asyncio.to_thread(files.key.read_bytes)
        request = certificate_request(key)
        reply = await self._link.ask(
            lambda nonce, not_after_ms: CertificateRequest(nonce, not_after_ms, request),
            CertificateReply,
            ASK_WITHIN_MS,
        )
        if reply is None:
            return False
        await asyncio.to_thread(keep_certificate, self._folder, key, reply.certificate, reply.authority)
        return True
