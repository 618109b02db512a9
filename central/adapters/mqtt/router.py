"""Between MQTT bytes and use cases: who asks what, and the signed answer to it."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from typing import assert_never

from central.adapters.mqtt.batcher import Batcher
from central.errors import CentralError
from central.rules.fleet import Kiosk, Sighting
from central.service.feeds import FeedKind
from central.service.kiosks import Admission
from central.service.use_cases import UseCases
from wire import topics
from wire.codec import Received, Rejected, encode, receive
from wire.enrolment import (
    EnrolReason,
    EnrolReply,
    EnrolRequest,
    UndoEnrolRequest,
    WithdrawReason,
    WithdrawReply,
    WithdrawRequest,
)
from wire.errors import SealBrokenError
from wire.fleet import Health, KioskState, Presence, Reported, RollCall
from wire.ids import GalleryName, KioskId, Nonce, Purpose, ReasonCode
from wire.messages import Message
from wire.records import RecordBatch
from wire.requests import (
    CertificateReply,
    CertificateRequest,
    ChargeReason,
    ChargeReply,
    ChargeRequest,
    ClaimReply,
    ClaimRequest,
    DeltaReply,
    DeltaRequest,
    GalleryChunk,
    GalleryChunkRequest,
    GalleryKeyReply,
    GalleryKeyRequest,
    HeadReply,
    HeadRequest,
    PinReply,
    PinRequest,
    RefundReason,
    RefundReply,
    RefundRequest,
    Refusal,
    Refused,
    Reply,
    Request,
    SnapshotChunkRequest,
    StandingChunk,
    StandingReply,
    StandingRequest,
)
from wire.topics import Address, TopicKind

PIN_NONCES_KEPT = 10_000
"""More than the PINs that can be checked in the longest life of a request."""
PROVIDER_LOOK_S = 0.2
"""How soon a payment provider's late answer reaches the kiosk that waits for it."""
PINS_AT_ONCE = 2
"""argon2id takes 64 MiB and tens of milliseconds each."""
STATES_TOGETHER = 256
"""A bound of a query's values, reached when a fleet answers a roll-call."""
BATCHES_TOGETHER = 32
"""A thousand records of an ordinary day; 4,000 records and 8 MiB of a backlog."""
INGESTS_AT_ONCE = 2
"""Two, so that one group is checked while the database commits another."""
LISTENS_TO = (
    TopicKind.STATE,
    TopicKind.HEALTH,
    TopicKind.RECORD,
    TopicKind.REQUEST,
    TopicKind.REPORTED,
)

Outgoing = tuple[Address, bytes]


class RequestRouter:
    """Answers what kiosks send; what cannot be trusted is ignored and counted in `ignored`."""

    def __init__(
        self,
        use_cases: UseCases,
        admission: Admission | None = None,
        broker_trouble: Callable[[], str] = str,
    ) -> None:
        """`broker_trouble`: what is wrong with the connection to the broker, in a sentence."""
        self.broker_trouble = broker_trouble
        self._use_cases = use_cases
        self._admission = admission
        self._pins = asyncio.Semaphore(PINS_AT_ONCE)
        # Commits wait for the disk: what comes meanwhile shares the next one. States go one after another.
        self._seeing = Batcher(self._saw, STATES_TOGETHER)
        self._ingesting = Batcher(use_cases.records.ingest_all, BATCHES_TOGETHER, INGESTS_AT_ONCE)
        # One at a time and as they came: what a kiosk undoes must not overtake what it enrolled.
        self._enrolling = asyncio.Lock()
        self._charging: dict[KioskId, asyncio.Lock] = {}
        self._pin_nonces: OrderedDict[Nonce, None] = OrderedDict()
        self.ignored: Counter[str] = Counter()
        self.health: dict[KioskId, Health] = {}
        self.states: dict[KioskId, KioskState] = {}

    def signed(self, address: Address, message: Message, purpose: str = "") -> Outgoing:
        """A message of central's own."""
        context = self._use_cases.context
        payload = encode(address, message, context.identity.signer, context.operator, purpose)
        return address, payload

    def heads(self) -> list[Outgoing]:
        """Every head, signed now."""
        site = self._use_cases.context.site
        signed = [
            self.signed(topics.standing_head(site, purpose), head, purpose)
            for purpose, head in self._use_cases.feeds.standing_heads().items()
        ]
        signed += [
            self.signed(topics.gallery_head(site, gallery), head)
            for gallery, head in self._use_cases.feeds.gallery_heads().items()
        ]
        return signed

    def deltas(self) -> list[Outgoing]:
        """Every change not told before, signed."""
        site = self._use_cases.context.site
        return [
            self.signed(topics.standing_delta(site, Purpose(each.name)), each.delta, each.name)
            if each.kind is FeedKind.STANDING
            else self.signed(topics.gallery_delta(site, GalleryName(each.name)), each.delta)
            for each in self._use_cases.feeds.untold()
        ]

    def roll_call(self) -> Outgoing:
        """A call for every kiosk of the site to say how it is."""
        context = self._use_cases.context
        call = RollCall(nonce=Nonce(context.draw(16)), issued_at_ms=context.now_ms())
        return self.signed(topics.roll_call(context.site), call)

    async def answer(self, address: Address, payload: bytes) -> list[Outgoing]:
        """What to send on hearing a payload; whatever must be durable is committed before this returns."""
        received = receive(address, payload, self._use_cases.kiosks.ring())
        if isinstance(received, Rejected):
            self.ignored[received.reason] += 1
            return []
        kiosk = self._use_cases.kiosks.admitted(KioskId(received.sender))
        if kiosk is None or received.purpose != kiosk.purpose:
            self.ignored["wrong_purpose"] += 1
            return []
        match received.message:
            case KioskState() as state:
                await self._seeing.answer(state)
            case Health() as health:
                self.health[kiosk.kiosk] = health
            case Reported() as reported:
                self._use_cases.shadows.heard(kiosk.kiosk, reported)
            case RecordBatch() as batch:
                assert kiosk.certificate is not None
                receipt = await self._ingesting.answer((batch, kiosk.certificate.public_key))
                to = topics.kiosk_topic(TopicKind.RECEIPT, address.site, kiosk.kiosk)
                return [self.signed(to, receipt, kiosk.purpose)]
            case _:
                return await self._replied(received, kiosk)
        return []

    def _saw(self, states: Sequence[KioskState]) -> Sequence[None]:
        """Remember states in the order in which they came."""
        kiosks, now_ms = self._use_cases.kiosks, self._use_cases.context.now_ms()
        before = kiosks.sightings_among([state.kiosk for state in states])
        seen: dict[KioskId, Sighting] = {}
        for state in states:
            known = seen.get(state.kiosk) or before.get(state.kiosk)
            # The will of an earlier life may arrive after the next one has begun.
            if state.presence is Presence.LOST and known is not None and known.boot_id != state.boot_id:
                self.ignored["late_will"] += 1
                continue
            self.states[state.kiosk] = state
            self._use_cases.commands.heard(state)
            seen[state.kiosk] = Sighting(
                state.kiosk,
                state.presence.value,
                state.boot_id,
                now_ms,
                state.pack_digest or (known.pack_digest if known else None),
                state.recipe_digest or (known.recipe_digest if known else None),
                *_held(state, known),
            )
        if seen:
            kiosks.saw(*seen.values())
        return [None] * len(states)

    async def _replied(self, received: Received, kiosk: Kiosk) -> list[Outgoing]:
        request = received.message
        if not isinstance(request, Request):
            self.ignored["malformed"] += 1
            return []
        # A kiosk without a clock asks for a head to get one; its reply is bound to the nonce.
        if request.not_after_ms < self._use_cases.context.now_ms() and not isinstance(request, HeadRequest):
            self.ignored["too_late"] += 1
            reply: Reply = Refused(request.nonce, Refusal.TOO_LATE)
        elif isinstance(request, PinRequest | WithdrawRequest) and not self._is_first(request.nonce):
            self.ignored["replayed_pin"] += 1  # a broker that sends it again must not use up another try
            return []
        else:
            try:
                reply = await self._reply(request, kiosk)
            except CentralError:
                reply = Refused(request.nonce, Refusal.UNKNOWN_FEED)
        to = topics.kiosk_topic(TopicKind.REPLY, kiosk.site, kiosk.kiosk)
        return [self.signed(to, reply, kiosk.purpose)]

    def _is_first(self, nonce: Nonce) -> bool:
        if nonce in self._pin_nonces:
            return False
        self._pin_nonces[nonce] = None
        if len(self._pin_nonces) > PIN_NONCES_KEPT:
            self._pin_nonces.popitem(last=False)
        return True

    async def _reply(self, request: Request, kiosk: Kiosk) -> Reply:
        use_cases, nonce, now_ms = self._use_cases, request.nonce, self._use_cases.context.now_ms()
        match request:
            case StandingRequest(subject=subject):
                place = use_cases.feeds.place(kiosk.purpose)
                if place is None:
                    return Refused(nonce, Refusal.UNKNOWN_FEED)
                return StandingReply(
                    nonce, now_ms, *place, use_cases.standings.issued(subject, kiosk.purpose)
                )
            case SnapshotChunkRequest(epoch=epoch, version=version, index=index):
                packed = use_cases.feeds.chunk(FeedKind.STANDING, kiosk.purpose, epoch, version, index)
                if isinstance(packed, Refusal):
                    return Refused(nonce, packed)
                return StandingChunk(nonce, epoch, version, index, packed)
            case GalleryChunkRequest(gallery=gallery, epoch=epoch, version=version, index=index):
                if gallery != kiosk.gallery:
                    return Refused(nonce, Refusal.UNKNOWN_FEED)
                packed = use_cases.feeds.chunk(FeedKind.GALLERY, gallery, epoch, version, index)
                if isinstance(packed, Refusal):
                    return Refused(nonce, packed)
                return GalleryChunk(nonce, gallery, epoch, version, index, packed)
            case HeadRequest(gallery=gallery) | DeltaRequest(gallery=gallery) if (
                gallery is not None and gallery != kiosk.gallery
            ):
                return Refused(nonce, Refusal.UNKNOWN_FEED)
            case HeadRequest(gallery=gallery):
                head = use_cases.feeds.head(*_feed(kiosk, gallery))
                return Refused(nonce, Refusal.UNKNOWN_FEED) if head is None else HeadReply(nonce, head)
            case DeltaRequest(gallery=gallery, epoch=epoch, version=version):
                delta = use_cases.feeds.delta(*_feed(kiosk, gallery), epoch, version)
                return Refused(nonce, delta) if isinstance(delta, Refusal) else DeltaReply(nonce, delta)
            case ClaimRequest(gallery=gallery, claim_digest=digest):
                if gallery != kiosk.gallery:
                    return Refused(nonce, Refusal.UNKNOWN_FEED)
                return ClaimReply(nonce, now_ms, use_cases.members.entry_of_claim(digest))
            case PinRequest():
                return await self._pin_reply(request, kiosk)
            case GalleryKeyRequest():
                return GalleryKeyReply(nonce, use_cases.kiosks.sealed_secrets(kiosk.kiosk, nonce))
            case CertificateRequest(request=asked):
                admission, now_ms = self._admission, self._use_cases.context.now_ms()
                if admission is None:
                    return Refused(nonce, Refusal.NOT_OFFERED)
                made = await asyncio.to_thread(admission.certify, kiosk.site, kiosk.kiosk, asked, now_ms)
                return CertificateReply(nonce, made, admission.authority)
            case ChargeRequest():
                return await self._charge_reply(request, kiosk)
            case RefundRequest(idempotency_key=key, charge=charge, amount_minor=amount_minor):
                returned = await asyncio.to_thread(
                    use_cases.ledger.refund, key, charge, amount_minor, kiosk.kiosk
                )
                code = ReasonCode(returned.value)
                return RefundReply(nonce, key, returned is RefundReason.REFUNDED, code)
            case EnrolRequest():
                return await self._enrol_reply(request, kiosk)
            case UndoEnrolRequest(subject=subject):
                async with self._enrolling:
                    why = await asyncio.to_thread(use_cases.enrolling.undo, kiosk.kiosk, subject)
                return WithdrawReply(nonce, why is WithdrawReason.WITHDRAWN, ReasonCode(why))
            case WithdrawRequest():
                return await self._withdraw_reply(request, kiosk)
            case _:
                assert_never(request)

    async def _charge_reply(self, request: ChargeRequest, kiosk: Kiosk) -> Reply:
        ledger, key = self._use_cases.ledger, request.idempotency_key
        # A kiosk's attempts one after another, as they came; the provider may take its time with each.
        async with self._charging.setdefault(kiosk.kiosk, asyncio.Lock()):
            while (said := await asyncio.to_thread(ledger.charge, kiosk, request)) is None:
                if request.not_after_ms < self._use_cases.context.now_ms():
                    return Refused(request.nonce, Refusal.TOO_LATE)
                await asyncio.sleep(PROVIDER_LOOK_S)
        return ChargeReply(request.nonce, key, said is ChargeReason.CHARGED, ReasonCode(said.value))

    async def _pin_reply(self, request: PinRequest, kiosk: Kiosk) -> Reply:
        members = self._use_cases.members
        try:
            pin = members.unsealed_pin(kiosk.kiosk, request.subject, request.nonce, request.sealed_pin)
        except SealBrokenError:
            self.ignored["bad_seal"] += 1
            return Refused(request.nonce, Refusal.BAD_SEAL)
        async with self._pins:
            answer = await asyncio.to_thread(members.check_pin, request.subject, pin)
        return PinReply(request.nonce, answer.outcome, answer.tries_left, answer.retry_after_ms)

    async def _enrol_reply(self, request: EnrolRequest, kiosk: Kiosk) -> Reply:
        enrolling = self._use_cases.enrolling
        try:
            secrets = enrolling.unsealed(kiosk.kiosk, request)
        except SealBrokenError:
            self.ignored["bad_seal"] += 1
            return Refused(request.nonce, Refusal.BAD_SEAL)
        async with self._enrolling:
            why = await asyncio.to_thread(enrolling.enrol, kiosk, request, secrets)
        return EnrolReply(request.nonce, request.subject, why is EnrolReason.ENROLLED, ReasonCode(why))

    async def _withdraw_reply(self, request: WithdrawRequest, kiosk: Kiosk) -> Reply:
        enrolling = self._use_cases.enrolling
        try:
            pin = enrolling.unsealed_pin(kiosk.kiosk, request)
        except SealBrokenError:
            self.ignored["bad_seal"] += 1
            return Refused(request.nonce, Refusal.BAD_SEAL)
        async with self._pins:
            why, answer = await asyncio.to_thread(enrolling.withdraw, request.subject, pin)
        gone = why is WithdrawReason.WITHDRAWN
        left = (answer.tries_left, answer.retry_after_ms)
        return WithdrawReply(request.nonce, gone, ReasonCode(why), *left)


def _held(state: KioskState, known: Sighting | None) -> tuple[int, int, int, int]:
    """Which gallery and standings a kiosk says it has. Its last words were made when it connected."""
    places = {each.name: (each.epoch, each.version) for each in state.caches}
    if state.presence is Presence.LOST and known is not None:
        gallery, standings = known.gallery, known.standings
        return gallery.epoch, gallery.version, standings.epoch, standings.version
    return *places.get("gallery", (0, 0)), *places.get("standing", (0, 0))


def _feed(kiosk: Kiosk, gallery: GalleryName | None) -> tuple[FeedKind, str]:
    """The feed a kiosk asks about: the gallery it names, or (None) the standings of its purpose."""
    return (FeedKind.STANDING, kiosk.purpose) if gallery is None else (FeedKind.GALLERY, gallery)
