"""A kiosk's real side of the wire beside a real central and broker; its clocks move when a test says so."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from central.adapters.mqtt.link import MqttLink
from central.rules.enrolment import Consent
from edge.adapters.central.commands import Answer, Obey
from edge.adapters.central.pairing import pair
from edge.adapters.central.reporter import Voice
from edge.adapters.central.uplink import Uplink, UplinkConfig, open_uplink
from edge.adapters.storage.vault import Vault
from edge.compare.claim import QrClaim
from edge.compare.gallery import Template
from tests.doubles.central_rig import RECIPE, RIDE, Rig
from tests.doubles.waiting import WAIT_S, eventually
from wire import topics
from wire.codec import Decoded, decode, encode
from wire.environment import Environment
from wire.fleet import Command, Health, KioskState, Presence
from wire.ids import ClaimId, KioskId, Purpose, SubjectId
from wire.messages import Message
from wire.signing import Signer
from wire.topics import Address, TopicKind

DIMENSIONS = 128


class Eager(random.Random):
    """Dice that always fall on the shortest wait."""

    def uniform(self, a: float, b: float) -> float:
        return min(a, b)


@dataclass
class Host:
    """The kiosk's machine: its clock and its monotonic clock stand still until moved. No NTP."""

    clock_ms: int = 1_000_000
    monotonic_ms: int = 50_000
    orders: list[Command] = field(default_factory=list)
    obeys: Obey | None = None
    """What obeys orders beside this list."""
    presence: Presence = Presence.INIT
    notes: list[str] = field(default_factory=list)

    def voice(self) -> Voice:
        return Voice(presence=lambda: self.presence, notes=lambda: self.notes)

    def obey(self, command: Command, answer: Answer) -> None:
        self.orders.append(command)
        if self.obeys is not None:
            self.obeys(command, answer)

    def passes(self, ms: int) -> None:
        self.clock_ms += ms
        self.monotonic_ms += ms

    @property
    def environment(self) -> Environment:
        return Environment(
            utc_ms=lambda: self.clock_ms,
            monotonic_ms=lambda: self.monotonic_ms,
            ntp=lambda: None,
            random_bytes=os.urandom,
            dice=Eager(1),
        )


@dataclass
class Kiosk:
    """A paired kiosk: its folder and its machine."""

    folder: Path
    host: Host = field(default_factory=Host)
    config: UplinkConfig = field(
        default_factory=lambda: UplinkConfig(software="0.1.0", recipe_digest=RECIPE, receipt_timeout_s=0.5)
    )

    @contextlib.asynccontextmanager
    async def running(self, **changes: Any) -> AsyncIterator[Uplink]:
        config = replace(self.config, **changes)
        opening = open_uplink(
            self.folder,
            config,
            voice=self.host.voice(),
            obey=self.host.obey,
            environment=self.host.environment,
        )
        async with opening as uplink:
            yield uplink


async def paired(rig: Rig, folder: Path, name: str = "gate-1", purpose: Purpose = RIDE) -> Kiosk:
    """A new kiosk, paired with the rig's central."""
    code = rig.central.use_cases.kiosks.add(KioskId(name), purpose)
    await pair(rig.central.http_url, code, folder, software="0.1.0", random_bytes=os.urandom)
    return Kiosk(folder)


def face(seed: int) -> np.ndarray:
    """A unit vector that stands for somebody's face."""
    vector = np.random.default_rng(seed).normal(size=DIMENSIONS).astype(np.float32)
    return vector / np.linalg.norm(vector)


def enrol(rig: Rig, seed: int = 1, pin: str | None = None, recipe: str = RECIPE) -> tuple[SubjectId, QrClaim]:
    """Enrol somebody with the template a kiosk would have made of their face."""
    use_cases = rig.central.use_cases
    subject = use_cases.members.new_subject_id()
    vault = Vault(use_cases.context.operator, use_cases.context.site, use_cases.context.secrets)
    sealed = vault.seal(Template(subject, face(seed), recipe, 3), os.urandom)
    use_cases.members.enrol(subject, sealed, Consent("2026-11", "en", rig.clock.ms))
    claim = QrClaim(ClaimId(use_cases.members.add_qr_claim(subject)))
    if pin is not None:
        use_cases.members.set_pin(subject, pin)
    return subject, claim


async def filled(uplink: Uplink, *subjects: SubjectId) -> None:
    """Wait until both caches hold a snapshot with these members in it, and the clock is sure."""
    await eventually(lambda: all(feed.held and not feed.filling for feed in uplink.feeds.values()))
    for subject in subjects:
        await eventually(
            lambda subject=subject: uplink.cache.member(subject) and uplink.cache.standing(subject)
        )
    await eventually(lambda: uplink.clock.sure)


def forge(
    address: Address, message: Message, signer: Signer, operator: str = "metro", purpose: str = RIDE
) -> bytes:
    """A payload as anybody with a key of their own could make it."""
    return encode(address, message, signer, operator, purpose)


class Watcher:
    """A third party that reads what kiosks say of themselves."""

    def __init__(self) -> None:
        self.states: list[KioskState] = []
        self.healths: list[Health] = []

    @contextlib.asynccontextmanager
    async def watching(self, rig: Rig) -> AsyncIterator[Watcher]:
        site = rig.central.use_cases.context.site
        filters = [topics.every(kind, site) for kind in (TopicKind.STATE, TopicKind.HEALTH)]
        link = MqttLink("watcher", filters, self._hear, lambda: None)
        link.open(rig.central.broker.host, rig.central.broker.port)
        try:
            await asyncio.wait_for(link.connected.wait(), WAIT_S)
            yield self
        finally:
            await link.close()

    def _hear(self, address: Address, payload: bytes) -> None:
        decoded = decode(address, payload)
        assert isinstance(decoded, Decoded), decoded
        if isinstance(decoded.message, KioskState):
            self.states.append(decoded.message)
        elif isinstance(decoded.message, Health):
            self.healths.append(decoded.message)

    async def state(self, wanted: Callable[[KioskState], bool]) -> KioskState:
        """The first state, heard or yet to come, that is wanted."""
        return await eventually(lambda: next((state for state in self.states if wanted(state)), None))
