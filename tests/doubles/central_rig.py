"""A central on free ports with its own folder, and a kiosk's end of the wire to talk to it with.

`KioskEnd` speaks `wire` over a real MQTT connection; its verbs send what a kiosk sends, right or wrong.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
import msgspec
from argon2 import PasswordHasher

from central.adapters.mqtt.link import MqttLink
from central.app import Central, init_central, load_config, open_central
from central.rules.enrolment import Consent
from tests.doubles.waiting import WAIT_S
from tests.doubles.wire_samples import pass_record
from wire import chain, topics
from wire.claims import ClaimKind, claim_digest
from wire.codec import Received, encode, receive
from wire.environment import Environment
from wire.fleet import CacheAge, KioskState, Presence
from wire.ids import BootId, ClaimId, KioskId, Nonce, Purpose, SubjectId
from wire.messages import Message
from wire.pairing import PairGrant, PairReply, SiteSecrets, make_request, parse_code, reply_holds
from wire.records import Receipt, RecordBatch, SequencedRecord
from wire.sealing import (
    box_public_key,
    open_box,
    pin_binding,
    seal,
    seal_box,
    secrets_binding,
    template_binding,
)
from wire.signing import (
    KeyRing,
    Signer,
    TrustedKey,
    kiosk_certified,
    root_certified,
    sign_chain_head,
)
from wire.topics import Address, TopicKind
from wire.values import Role, SealedTemplate

RIDE, LOAN = Purpose("ride"), Purpose("locker")
RECIPE = "ab" * 32
CHEAP_HASHER = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
NOON_MS = 1_795_000_000_000
Wanted = TypeVar("Wanted")


@dataclass
class Clock:
    """Time that moves when a test says so."""

    ms: int = NOON_MS
    passed_ms: int = 0

    def now_ms(self) -> int:
        return self.ms

    def monotonic_ms(self) -> int:
        return self.passed_ms

    def advance(self, ms: int) -> None:
        self.ms += ms
        self.passed_ms += ms

    def leap(self, ms: int) -> None:
        """Somebody sets the clock; no time passes."""
        self.ms += ms


@dataclass
class Rig:
    """A running central and all that a test needs to provision it."""

    central: Central
    clock: Clock
    config: Path
    dice: random.Random

    def add_member(self, pin: str | None = None, *, face: bool = True) -> tuple[SubjectId, ClaimId]:
        """Enrol somebody, with a template sealed as a kiosk would."""
        use_cases = self.central.use_cases
        subject = use_cases.members.new_subject_id()
        template = None
        if face:
            newest = use_cases.context.secrets.gallery_keys[-1]
            binding = template_binding(use_cases.context.operator, use_cases.context.site, subject, RECIPE)
            plain = self.dice.randbytes(512)
            sealed = seal(newest.key, newest.version, self.dice.randbytes(12), plain, binding)
            template = SealedTemplate(sealed, newest.version, RECIPE, 3)
        use_cases.members.enrol(subject, template, Consent("2026-11", "en", self.clock.ms))
        claim = use_cases.members.add_qr_claim(subject)
        if pin is not None:
            use_cases.members.set_pin(subject, pin)
        return subject, claim

    @contextlib.asynccontextmanager
    async def kiosk(
        self, name: str = "gate-1", purpose: Purpose = RIDE, *, enrols: bool = False
    ) -> AsyncIterator[KioskEnd]:
        """Add, pair and connect a kiosk."""
        code = self.central.use_cases.kiosks.add(KioskId(name), purpose, enrols=enrols)
        end = await pair(self.central.http_url, code, self.clock, self.dice)
        async with end.connected():
            yield end

    def http(self) -> httpx.AsyncClient:
        """A client with the token."""
        token = {"authorization": f"Bearer {self.central.api_token}"}
        return httpx.AsyncClient(base_url=self.central.http_url, headers=token)


@contextlib.asynccontextmanager
async def running(config: Path, clock: Clock, seed: int = 1) -> AsyncIterator[Rig]:
    """Open central from a configuration file."""
    drawn = random.Random(seed)
    made = Environment(
        utc_ms=clock.now_ms,
        monotonic_ms=clock.monotonic_ms,
        random_bytes=drawn.randbytes,
        hasher=CHEAP_HASHER,
    )
    async with open_central(load_config(config), made) as central:
        yield Rig(central, clock, config, drawn)


def new_config(folder: Path, clock: Clock) -> Path:
    """A configuration with two purposes on free ports."""
    config = init_central(folder, "metro", "north", RIDE, environment=Environment(utc_ms=clock.now_ms))
    card = (folder / "ride.scorecard.toml").read_text().replace('purpose = "ride"', f'purpose = "{LOAN}"')
    (folder / "locker.scorecard.toml").write_text(card)
    text = config.read_text().replace("[purposes]", f'[purposes]\n{LOAN} = "locker.scorecard.toml"')
    config.write_text(text)
    return config


def fix_ports(config: Path, mqtt_port: int, http_port: int) -> None:
    """Use a broker and an HTTP port that outlive central."""
    mqtt, http = config.read_text().replace("embedded = true", "embedded = false").split("[http]")
    mqtt = mqtt.replace("port = 0", f"port = {mqtt_port}")
    config.write_text(f"{mqtt}[http]{http.replace('port = 0', f'port = {http_port}')}")


async def pair(url: str, code: str, clock: Clock, dice: random.Random, **changes: Any) -> KioskEnd:
    """Pair over HTTP as wire/README.md says; raises HTTPStatusError when refused."""
    seed, box_private, nonce = dice.randbytes(32), dice.randbytes(32), dice.randbytes(16)
    raw, signer = parse_code(code), Signer.from_seed(seed)
    request = make_request(
        raw, nonce, public_key=signer.public_key, box_public_key=box_public_key(box_private), software="0.1.0"
    )
    request = msgspec.structs.replace(request, **changes)
    async with httpx.AsyncClient(base_url=url) as client:
        answer = await client.post("/v1/pair", content=msgspec.json.encode(request))
    answer.raise_for_status()
    reply = msgspec.json.decode(answer.content, type=PairReply)
    assert reply_holds(raw, request, reply)
    grant = reply.grant
    root, operator = grant.root_public_key, grant.operator
    assert root_certified(grant.central_certificate, Role.CENTRAL, root, operator, clock.ms)
    assert kiosk_certified(grant.kiosk_certificate, grant.issuer_certificate, root, operator, clock.ms)
    opened = open_box(box_private, grant.sealed_secrets, secrets_binding(grant.kiosk, request.nonce))
    secrets = msgspec.msgpack.decode(opened, type=SiteSecrets)
    return KioskEnd(grant, signer, box_private, secrets, clock, dice)


@dataclass
class KioskEnd:
    """One paired kiosk's end of the wire, with a chain of records of its own."""

    grant: PairGrant
    signer: Signer
    box_private: bytes
    secrets: SiteSecrets
    clock: Clock
    dice: random.Random
    heard: list[Received] = field(default_factory=list)
    rejected: list[str] = field(default_factory=list)
    chain: list[SequencedRecord] = field(default_factory=list)
    link: MqttLink | None = None
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def ring(self) -> KeyRing:
        return KeyRing(self.grant.operator, {}).with_key(TrustedKey.of(self.grant.central_certificate))

    def address(self, kind: TopicKind) -> Address:
        return topics.kiosk_topic(kind, self.grant.site, self.grant.kiosk)

    @contextlib.asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Connect to the broker the grant names, until the block ends."""
        site, purpose = self.grant.site, self.grant.purpose
        kinds = (TopicKind.REPLY, TopicKind.RECEIPT, TopicKind.COMMAND, TopicKind.DESIRED)
        own = [self.address(kind).topic for kind in kinds]
        feeds = [topics.standing_head(site, purpose), topics.gallery_head(site, self.grant.gallery)]
        heard = [*own, *(feed.topic for feed in feeds), topics.roll_call(site).topic]
        self.link = MqttLink(self.grant.kiosk, heard, self._hear, lambda: None)
        self.link.open(self.grant.broker_host, self.grant.broker_port)
        try:
            await asyncio.wait_for(self.link.connected.wait(), WAIT_S)
            yield
        finally:
            await self.link.close()

    def _hear(self, address: Address, payload: bytes) -> None:
        received = receive(address, payload, self.ring)
        if isinstance(received, Received):
            self.heard.append(received)
        else:
            self.rejected.append(received.reason)
        self._news.set()

    async def wait_for(self, found: Callable[[], Wanted | None]) -> Wanted:
        """Wait until something heard is what is looked for."""
        async with asyncio.timeout(WAIT_S):
            while (value := found()) is None:
                self._news.clear()
                await self._news.wait()
            return value

    def send(self, kind: TopicKind, message: Message, purpose: str | None = None) -> None:
        """Sign and send a message on one of the kiosk's topics."""
        spoken = self.grant.purpose if purpose is None else purpose
        payload = encode(self.address(kind), message, self.signer, self.grant.operator, spoken)
        self.send_raw(kind, payload)

    def send_raw(self, kind: TopicKind, payload: bytes) -> None:
        """Send bytes, whatever they are."""
        assert self.link is not None
        assert self.link.publish(self.address(kind), payload)

    def nonce(self) -> Nonce:
        return Nonce(self.dice.randbytes(16))

    async def ask(self, kind: type[Any], *, late: bool = False, **fields: Any) -> Any:
        """Ask central and wait for the reply to this very request."""
        nonce = fields.pop("nonce", None) or self.nonce()
        not_after_ms = self.clock.ms + (-1 if late else 5000)
        assert self.link is not None
        question = kind(nonce=nonce, not_after_ms=not_after_ms, **fields)
        address, grant = self.address(TopicKind.REQUEST), self.grant
        payload = encode(address, question, self.signer, grant.operator, grant.purpose)
        # A busy machine may have lost the connection, which comes back by itself.
        async with asyncio.timeout(WAIT_S):
            while not self.link.publish(address, payload):  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.01)
        return await self.wait_for(
            lambda: next((r.message for r in self.heard if getattr(r.message, "nonce", None) == nonce), None)
        )

    def claim_digest(self, claim: str) -> Any:
        return claim_digest(self.secrets.claim_key, ClaimKind.QR, claim)

    def sealed_pin(self, subject: SubjectId, nonce: Nonce, pin: str) -> bytes:
        binding = pin_binding(self.grant.kiosk, subject, nonce)
        return seal_box(self.grant.central_box_public_key, self.dice.randbytes(32), pin.encode(), binding)

    def write_records(self, count: int, **changes: Any) -> None:
        """Add passages to the kiosk's own chain."""
        for _ in range(count):
            number = len(self.chain) + 1
            previous = self.chain[-1].link if self.chain else chain.genesis(self.grant.kiosk)
            body = pass_record(self.grant.kiosk, number, **changes)
            self.chain.append(chain.chained(previous, number, body, self.dice.randbytes(16)))

    def batch(self, first: int, last: int) -> RecordBatch:
        """Records `first` to `last` of the chain, as a batch."""
        kiosk = self.grant.kiosk
        previous = self.chain[first - 2].link if first > 1 else chain.genesis(kiosk)
        records = tuple(self.chain[first - 1 : last])
        head = sign_chain_head(kiosk, records[-1].sequence, records[-1].link, self.signer)
        return RecordBatch(kiosk, previous, records, head)

    def receipts(self) -> list[Receipt]:
        return [received.message for received in self.heard if isinstance(received.message, Receipt)]

    async def deliver(self, batch: RecordBatch) -> Receipt:
        """Send a batch and wait for the next receipt."""
        before = len(self.receipts())
        self.send(TopicKind.RECORD, batch)
        return await self.wait_for(lambda: self.receipts()[before] if len(self.receipts()) > before else None)


CONSENT = {"text_version": "2026-11", "language": "en", "at_ms": 1}


def kiosk_state(
    end: KioskEnd, presence: Presence = Presence.READY, boot: str = "2", **changes: Any
) -> KioskState:
    """What a kiosk says of itself in one of its lives."""
    fields: dict[str, Any] = {
        "kiosk": end.grant.kiosk,
        "presence": presence,
        "boot_id": BootId(boot * 32),
        "issued_at_ms": end.clock.ms,
        "clock_sure": True,
        "software": "0.1.0",
        "pack_digest": None,
        "recipe_digest": None,
    }
    return KioskState(**{**fields, **changes})


def held(gallery: int, standings: int) -> tuple[CacheAge, ...]:
    """The versions of a kiosk's caches."""
    versions = {"standing": standings, "gallery": gallery}
    return tuple(CacheAge(name, 1, version, 0, "fresh") for name, version in versions.items())


def member_body(rig: Rig, subject: str, sealed_for: str | None = None) -> dict[str, object]:
    context = rig.central.use_cases.context
    key = context.secrets.gallery_keys[-1]
    binding = template_binding(context.operator, context.site, SubjectId(sealed_for or subject), RECIPE)
    sealed = seal(key.key, key.version, b"n" * 12, bytes(512), binding)
    template = {
        "sealed": base64.b64encode(sealed).decode(),
        "key_version": key.version,
        "recipe_digest": RECIPE,
        "images": 3,
    }
    return {"subject": subject, "template": template, "consent": CONSENT}
