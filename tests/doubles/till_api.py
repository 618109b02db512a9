"""A till's server over an outbox of its own, with central's refunds beside it."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from edge.adapters.central.payments import CentralPayments
from edge.adapters.storage.checkouts import Checkouts
from edge.adapters.storage.outbox import Outbox
from edge.adapters.till.app import Counter
from edge.adapters.till.server import serve_till
from edge.enact.charge import PayConfig
from tests.doubles.outboxes import attempt, opened
from tests.doubles.waiting import WAIT_S
from wire.ids import Nonce, ReasonCode
from wire.records import ChargeOutcome
from wire.requests import RefundReply, RefundRequest

TOKEN = "t" * 32
ASKED = {"amount_minor": 250, "currency": "EUR", "reference": "tea"}


class Central:
    """Central's refunds without a broker: gives back once per key, or is silent."""

    def __init__(self) -> None:
        self.silent = False
        self.given: dict[str, int] = {}

    async def ask(self, question: Any, expected: Any, deadline_ms: int) -> RefundReply | None:
        request = question(Nonce(b"n" * 16), 0)
        assert isinstance(request, RefundRequest)
        self.given[request.idempotency_key] = request.amount_minor
        if self.silent:
            return None  # it was done, and the answer was lost
        return RefundReply(request.nonce, request.idempotency_key, True, ReasonCode("refunded"))


@dataclass
class Till:
    url: str
    outbox: Outbox
    central: Central
    now_ms: int = 1_000_000
    counter: Counter | None = None

    async def call(
        self, method: str, path: str, body: Any = None, *, key: str | None = None, **headers: str
    ) -> tuple[int, Any]:
        return await asyncio.to_thread(self._call, method, path, body, key, headers)

    def _call(
        self, method: str, path: str, body: Any, key: str | None, headers: dict[str, str]
    ) -> tuple[int, Any]:
        at = urlsplit(self.url)
        line = http.client.HTTPConnection(at.hostname, at.port, timeout=WAIT_S)
        sent_headers = {"Authorization": f"Bearer {TOKEN}"} | ({"Idempotency-Key": key} if key else {})
        content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        if content is not None:
            sent_headers["Content-Type"] = "application/json"
        try:
            line.request(method, path, content, sent_headers | headers)
            answer = line.getresponse()
            said = answer.read()
            kind = answer.headers.get_content_type()
            self.headers = answer.headers
            return answer.status, json.loads(said) if kind == "application/json" else said
        finally:
            line.close()

    async def pay(self, checkout: str, number: int, outcome: ChargeOutcome) -> None:
        await self.outbox.begin(attempt(checkout, number, ChargeOutcome.AWAITED))
        await self.outbox.settle(attempt(checkout, number, outcome))


@contextlib.asynccontextmanager
async def open_till_at(folder: Path) -> AsyncIterator[Till]:
    """A till's server over an outbox of its own."""
    outbox, central = opened(folder), Central()
    checkouts = Checkouts(outbox.database, outbox.sealer, random.Random(5).randbytes)
    config = PayConfig("bistro", "Bistro")
    made = Till("", outbox, central)
    payments = CentralPayments(checkouts, central, config, lambda: made.now_ms)
    counter = Counter(checkouts, payments, config, lambda: made.now_ms)
    async with serve_till(counter, TOKEN, "127.0.0.1", 0) as url:
        made.url, made.counter = url, counter
        yield made
    outbox.close()
