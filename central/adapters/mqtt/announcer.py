"""Announces orders, desired settings and Home Assistant's entities."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from central.adapters.mqtt.home_assistant import HomeAssistant
from central.adapters.mqtt.router import Outgoing, RequestRouter
from central.rules.fleet import Order, Shadow
from central.service.commands import command_of
from central.service.use_cases import UseCases
from wire import topics
from wire.ids import KioskId
from wire.topics import Address, TopicKind

Publish = Callable[[Address, bytes], bool]


class Announcer:
    """Reads the database once a tick, since other programs write orders and desired settings too."""

    def __init__(
        self, use_cases: UseCases, router: RequestRouter, publish: Publish, home: HomeAssistant | None
    ) -> None:
        self._use_cases, self._router, self._publish, self._home = use_cases, router, publish, home
        self._told: dict[KioskId, tuple[int, int]] = {}

    def connected(self) -> None:
        """Tell everything again: retained messages may have died with the broker."""
        self._told.clear()
        if self._home is not None:
            self._home.forget()

    async def look(self) -> None:
        """Tell what is new; what does not leave is told at the next tick."""
        use_cases = self._use_cases
        for order, outgoing in await asyncio.to_thread(self._orders):
            if self._publish(*outgoing):
                await asyncio.to_thread(use_cases.commands.sent, order)
        for version, outgoing in await asyncio.to_thread(self._desired):
            if self._publish(*outgoing):
                self._told[KioskId(outgoing[0].name)] = version, use_cases.context.now_ms()
        if self._home is not None:
            kiosks = await asyncio.to_thread(use_cases.kiosks.all)
            board, now_ms = self._router, use_cases.context.now_ms()
            self._home.tell(kiosks, board.states, board.health, now_ms)

    def _orders(self) -> list[tuple[Order, Outgoing]]:
        found = []
        for order in self._use_cases.commands.unsent():
            outgoing = self._to(TopicKind.COMMAND, order.kiosk)
            if outgoing is not None:
                address, purpose = outgoing
                found.append((order, self._router.signed(address, command_of(order), purpose)))
        return found

    def _desired(self) -> list[tuple[int, Outgoing]]:
        shadows, found = self._use_cases.shadows, []
        for shadow in shadows.all_desired():
            if self._knows(shadow) or (to := self._to(TopicKind.DESIRED, shadow.kiosk)) is None:
                continue
            desired = shadows.desired(shadow.kiosk)
            found.append((desired.version, self._router.signed(to[0], desired, to[1])))
        return found

    def _knows(self, shadow: Shadow) -> bool:
        """Whether this version was told, and the kiosk has not reported an older one since."""
        version, at_ms = self._told.get(shadow.kiosk, (-1, 0))
        late = shadow.reported_version < version and (shadow.reported_at_ms or 0) > at_ms
        return version == shadow.desired_version and not late

    def _to(self, kind: TopicKind, kiosk: KioskId) -> tuple[Address, str] | None:
        """Where to reach a kiosk, and for which purpose; None when it is not paired any more."""
        paired = self._use_cases.kiosks.paired(kiosk)
        if paired is None:
            return None
        return topics.kiosk_topic(kind, paired.site, kiosk), paired.purpose
