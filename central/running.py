"""A running central: what it does with each message, and its loops."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from central.adapters.broker.access import BrokerAccess
from central.adapters.broker.embedded import EmbeddedBroker
from central.adapters.mqtt.announcer import Announcer
from central.adapters.mqtt.link import MqttLink
from central.adapters.mqtt.router import Outgoing, RequestRouter
from central.rules.clock import ClockWatch
from central.service.kiosks import BrokerAddress
from central.service.use_cases import UseCases
from wire.environment import Environment
from wire.topics import Address
from wire.transport.supervision import Supervisor

log = logging.getLogger(__name__)

TICK_S = 1.0
"""How soon a change by another program, such as the command line, reaches the heads."""
RETENTION_LOOK_S = 60.0
"""How soon retention runs once a day is over."""
PENDING_MAX = 2000
"""Messages being answered; further ones are dropped, and kiosks ask again."""


@dataclass(slots=True)
class Central:
    """A running central. What `use_cases` changes reaches kiosks within a second."""

    use_cases: UseCases
    router: RequestRouter
    broker: BrokerAddress
    http_url: str
    api_token: str = field(repr=False)
    link: MqttLink
    embedded: EmbeddedBroker | None
    announcer: Announcer
    admission: BrokerAccess | None = None
    environment: Environment = field(kw_only=True)
    clock_watch: ClockWatch = field(kw_only=True)
    head_every_s: float = 60.0
    supervisor: Supervisor = field(default_factory=Supervisor)
    """Keeps the loops going."""
    _pending: set[asyncio.Task[None]] = field(default_factory=set)

    def _send(self, outgoing: list[Outgoing]) -> None:
        if not self._clock_holds():
            return
        for address, payload in outgoing:
            self.link.publish(address, payload)

    def _clock_holds(self) -> bool:
        """Whether this machine's clock may be signed by; a leap is logged once, and its end."""
        watch, environment = self.clock_watch, self.environment
        leapt_ms = watch.leapt_ms
        holds = watch.look(environment.utc_ms(), environment.monotonic_ms())
        if holds and leapt_ms:
            log.warning("this machine's clock is right again; central signs as before")
        elif not holds and not leapt_ms:
            log.error(
                "this machine's clock leapt by %d s: nothing is signed, since kiosks would be misled. Set it "
                "right (timedatectl), or restart central if it is right now",
                watch.leapt_ms // 1000,
            )
        return holds

    def publish_heads(self) -> None:
        """Take up changes, and tell them and every head, now."""
        self.use_cases.withdrawals.refresh()
        self._send([*self.router.deltas(), *self.router.heads()])

    def on_connect(self) -> None:
        """Call the roll, so that each kiosk says how it is, and tell every head."""
        self._send([self.router.roll_call(), *self.router.heads()])
        self.announcer.connected()

    def on_message(self, address: Address, payload: bytes) -> None:
        """Answer a message in a task of its own; they start in the order in which messages came."""
        if len(self._pending) >= PENDING_MAX:
            self.router.ignored["too_many"] += 1
            return
        task = asyncio.create_task(self._answer(address, payload))
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

    async def _answer(self, address: Address, payload: bytes) -> None:
        async def answer() -> None:
            self._send(await self.router.answer(address, payload))

        # Nothing was acknowledged, so the kiosk asks again.
        if not await self.supervisor.once("answers", answer()):
            self.router.ignored["failed"] += 1

    async def keep_announcing(self) -> None:
        """Send orders, desired settings, and to Home Assistant what is new, each tick. For ever."""
        while True:
            await asyncio.sleep(TICK_S)
            try:
                await self.announcer.look()
            except Exception:  # what was not told is told at the next tick, orders only while they are good
                log.exception("orders and desired settings could not be told")

    async def keep_heads(self) -> None:
        """Sign every head again each `head_every_s`, and at once when something changed. For ever."""
        signed_s = time.monotonic()
        while True:
            await asyncio.sleep(TICK_S)
            try:
                if self.embedded is not None and await asyncio.to_thread(self.embedded.revive):
                    log.warning("the embedded broker had died; it is back on port %d", self.broker.port)
                await asyncio.to_thread(self.use_cases.kiosks.look_again)
                await asyncio.to_thread(self.use_cases.context.keys.refresh)
                if self.admission is not None:
                    await asyncio.to_thread(self.admission.keep, self.use_cases.kiosks.all())
                changed = await asyncio.to_thread(self.use_cases.withdrawals.refresh)
            except Exception:  # a full disk passes; kiosks see their heads age meanwhile
                log.exception("the feeds could not be kept")
                continue
            self._send(self.router.deltas())
            if changed or time.monotonic() - signed_s >= self.head_every_s:
                self._send(self.router.heads())
                signed_s = time.monotonic()

    async def keep_collecting(self) -> None:
        """Take up what the payment provider says, and ask again for what it has not answered. For ever."""
        while True:
            await asyncio.sleep(TICK_S)
            try:
                await asyncio.to_thread(self.use_cases.ledger.collect)
            except Exception:  # asked again at the next tick, under the same keys
                log.exception("the payment provider could not be asked")

    async def keep_retention(self) -> None:
        """Run retention each day. For ever."""
        while True:
            try:
                purged = await asyncio.to_thread(self.use_cases.retention.run_when_due)
                if purged is not None:
                    log.info("retention has run: %s", purged)
            except Exception:  # tried again within a minute, and `state` says since when it has not run
                log.exception("retention could not run")
            await asyncio.sleep(RETENTION_LOOK_S)

    @contextlib.asynccontextmanager
    async def loops(self) -> AsyncIterator[None]:
        """Run every loop while the context lasts."""
        loops = [
            asyncio.create_task(self.supervisor.keep(loop.__name__, loop), name=loop.__name__)
            for loop in (self.keep_heads, self.keep_announcing, self.keep_collecting, self.keep_retention)
        ]
        try:
            yield
        finally:
            for task in loops:
                task.cancel()
            await asyncio.gather(*loops, return_exceptions=True)

    async def settle(self) -> None:
        """Wait for the answers under way."""
        if self._pending:
            await asyncio.wait(self._pending)
