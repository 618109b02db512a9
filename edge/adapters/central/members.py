"""Who a claim belongs to and how they stand: from the cache, or, in time, from central."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

import msgspec

from edge.adapters.central.clock import Clock
from edge.adapters.central.link import Link
from edge.adapters.central.pairing import Identity
from edge.adapters.gallery.live import LiveGallery
from edge.adapters.storage.cache import Cache, FeedName, Held
from edge.adapters.storage.vault import Vault
from edge.compare.claim import CardClaim, Claim, PhoneClaim, QrClaim
from edge.compare.gallery import Gallery, Template
from edge.compare.member import KnownMember, Resolution, UnknownMember, WithdrawnMember
from edge.decide.standing import CachedStanding, StandingConfig, StandingView, assess, beside_gallery
from wire.claims import ClaimKind, claim_digest
from wire.errors import SealBrokenError
from wire.ids import ClaimDigest, Nonce, SubjectId
from wire.pairing import SiteSecrets
from wire.requests import (
    ClaimReply,
    ClaimRequest,
    GalleryKeyReply,
    GalleryKeyRequest,
    Request,
    StandingReply,
    StandingRequest,
)
from wire.sealing import open_box, secrets_binding
from wire.signing import restriction_holds
from wire.transport.supervision import Supervisor
from wire.values import GalleryEntry, GalleryRow, Restriction, Tombstone

ASKED_KEPT_MAX = 1024
"""Answers to misses kept in memory until the snapshot has them; the oldest goes first."""
KEYS_DEADLINE_MS = 2_000
KEYS_AGAIN_MS = 60_000
"""A gallery key that central does not give is not asked for again sooner."""

K = TypeVar("K")
V = TypeVar("V")


class _Recent(OrderedDict[K, V]):
    """The newest answers, bounded."""

    def keep(self, key: K, value: V) -> None:
        self[key] = value
        self.move_to_end(key)
        while len(self) > ASKED_KEPT_MAX:
            self.popitem(last=False)


class CachedMembers:
    """Fulfils `edge.ports.Members`; templates of another recipe than `recipe_digest` are never compared."""

    def __init__(
        self,
        identity: Identity,
        cache: Cache,
        *,
        link: Link,
        clock: Clock,
        config: StandingConfig,
        recipe_digest: str,
        keep_secrets: Callable[[SiteSecrets], None],
        supervisor: Supervisor,
        dimensions: int | None = None,
    ) -> None:
        self._identity, self._cache, self._link, self._clock = identity, cache, link, clock
        self._config, self._recipe_digest, self._keep_secrets = config, recipe_digest, keep_secrets
        self._supervisor = supervisor
        self.vault = Vault(identity.operator, identity.site, identity.secrets, dimensions)
        self._asked_claims: _Recent[ClaimDigest, GalleryEntry] = _Recent()
        self._asked_standings: _Recent[SubjectId, CachedStanding] = _Recent()
        self._keys_asked_at_ms = -KEYS_AGAIN_MS
        self._lacking = False
        self._live = LiveGallery(cache, recipe_digest, self._opened_or_noted)
        self._key_task: asyncio.Task[bool] | None = None

    def use_limits(self, config: StandingConfig) -> None:
        """Go by other ages and deadlines from the next question on."""
        self._config = config

    async def resolve(self, claim: Claim) -> Resolution:
        """Who a claim belongs to. Telephone digits that several members share name nobody: another way."""
        digest = self._digest(claim)
        holders = self._cache.holders(digest)
        valid = [holder.subject for holder in holders if not holder.ended]
        if len(valid) > 1:
            return UnknownMember()
        if valid:
            return self._resolved(digest, self._cache.member(valid[0]))
        if holders:
            return WithdrawnMember()
        return self._resolved(digest, await self._ask_claim(digest))

    def _digest(self, claim: Claim) -> ClaimDigest:
        match claim:
            case QrClaim(claim_id=claim_id):
                kind, text = ClaimKind.QR, str(claim_id)
            case CardClaim(number=number):
                kind, text = ClaimKind.CARD, number.upper()
            case PhoneClaim(digits=digits):
                kind, text = ClaimKind.PHONE, str(digits)
        return claim_digest(self.vault.claim_key, kind, text)

    async def _ask_claim(self, digest: ClaimDigest) -> GalleryEntry | None:
        def question(nonce: Nonce, not_after_ms: int) -> Request:
            return ClaimRequest(nonce, not_after_ms, self._identity.gallery, digest)

        reply = await self._link.ask(question, ClaimReply, self._config.miss_deadline_ms)
        if reply is None:
            return self._asked_claims.get(digest)
        if reply.entry is not None:
            self._asked_claims.keep(digest, reply.entry)
        return reply.entry

    def _resolved(self, digest: ClaimDigest, entry: GalleryEntry | None) -> Resolution:
        match entry:
            case None:
                return UnknownMember()
            case Tombstone():
                return WithdrawnMember()
            case GalleryRow(revoked_digests=revoked) if digest in revoked:
                return WithdrawnMember()
            case GalleryRow(claim_digests=held) if digest not in held:
                return UnknownMember()  # an answer to another question
            case GalleryRow():
                sealed = entry.template
                other = sealed is not None and sealed.recipe_digest != self._recipe_digest
                return KnownMember(
                    entry.subject, self._template(entry), other or entry.enrol_again, entry.agree_by
                )

    def _template(self, row: GalleryRow) -> Template | None:
        if self._lacks_key(row):
            self._want_keys()
        return self._opened(row)

    def _opened(self, row: GalleryRow) -> Template | None:
        return self.vault.open(row.subject, row.template) if row.template and self._ours(row) else None

    def _ours(self, row: GalleryRow) -> bool:
        return row.template is not None and row.template.recipe_digest == self._recipe_digest

    def _lacks_key(self, row: GalleryRow) -> bool:
        return (
            self._ours(row) and row.template is not None and not self.vault.has_key(row.template.key_version)
        )

    def gallery(self) -> Gallery:
        """Every template of this recipe that opens, read anew; a search takes `read_gallery`."""
        gallery, lacks_key = self._read_gallery()
        if lacks_key:
            self._want_keys()
        return gallery

    async def read_gallery(self) -> Gallery:
        """`gallery`, read once, on a thread of its own, and then changed with the cache: nobody waits."""
        gallery = await self._live.current()
        if self._lacking:
            self._lacking = False
            self._want_keys()
        return gallery

    def _opened_or_noted(self, row: GalleryRow) -> Template | None:
        self._lacking = self._lacking or self._lacks_key(row)
        return self._opened(row)

    def _read_gallery(self) -> tuple[Gallery, bool]:
        rows = [entry for entry in self._cache.members() if isinstance(entry, GalleryRow)]
        templates = (self._opened(row) for row in rows)
        gallery = Gallery.of(self._recipe_digest, [each for each in templates if each is not None])
        return gallery, any(self._lacks_key(row) for row in rows)

    def gallery_entries(self) -> int:
        """How many members the cached gallery has at most, told without reading it."""
        held = self._cache.held(FeedName.GALLERY)
        return 0 if held is None else held.entries

    def gallery_place(self) -> tuple[int, ...]:
        """Another value whenever `gallery` may be another one."""
        held = self._cache.held(FeedName.GALLERY)
        return (self.vault.newest_key, *((held.epoch, held.version) if held else ()))

    def may_name(self, subject: SubjectId) -> bool:
        """Whether somebody is a member with a template here now, whom no other is too much like."""
        entry = self._cache.member(subject)
        return isinstance(entry, GalleryRow) and entry.template is not None and not entry.claim_needed

    async def standing(self, subject: SubjectId) -> StandingView:
        """The subject's standing for this kiosk's purpose now."""
        cached = self._cached(subject)
        if cached is None:
            cached = await self._ask_standing(subject)
        identity = self._identity
        now_ms = self._clock.now_ms()
        view = assess(
            cached,
            operator=identity.operator,
            purpose=identity.purpose,
            now_ms=now_ms,
            config=self._config,
            verify=self.verify,
        )
        gallery = self._cache.held(FeedName.GALLERY)
        return beside_gallery(view, None if gallery is None else gallery.issued_at_ms, now_ms, self._config)

    def verify(self, restriction: Restriction) -> bool:
        """Whether two reviewers certified by the operator root signed a restriction."""
        return restriction_holds(restriction, self._identity.root_public_key, self._identity.operator)

    def _cached(self, subject: SubjectId) -> CachedStanding | None:
        """The newer of the snapshot's entry and central's answer to an earlier miss."""
        entry, held = self._cache.standing_at(subject)
        asked = self._asked_standings.get(subject)
        if held is None or (asked is not None and _place(asked) >= _place(held)):
            return asked
        return None if entry is None else CachedStanding(entry, held.epoch, held.version, held.issued_at_ms)

    async def _ask_standing(self, subject: SubjectId) -> CachedStanding | None:
        def question(nonce: Nonce, not_after_ms: int) -> Request:
            return StandingRequest(nonce, not_after_ms, subject)

        reply = await self._link.ask(question, StandingReply, self._config.miss_deadline_ms)
        if reply is None or reply.entry is None or reply.entry.subject != subject:
            return None
        cached = CachedStanding(reply.entry, reply.epoch, reply.version, reply.issued_at_ms)
        self._asked_standings.keep(subject, cached)
        return cached

    def _want_keys(self) -> None:
        now_ms = self._clock.uptime_ms()
        if now_ms - self._keys_asked_at_ms >= KEYS_AGAIN_MS and self._link.connected:
            self._keys_asked_at_ms = now_ms
            self._key_task = asyncio.ensure_future(self._supervisor.once("key_fetching", self._fetch_keys()))

    async def _fetch_keys(self) -> None:
        """Take the site's secrets anew; those that do not open are counted, and the old ones stay."""
        reply = await self._link.ask(GalleryKeyRequest, GalleryKeyReply, KEYS_DEADLINE_MS)
        if reply is None:
            return
        binding = secrets_binding(self._identity.kiosk, reply.nonce)
        try:
            opened = open_box(self._identity.box_private, reply.sealed_secrets, binding)
            secrets = msgspec.msgpack.decode(opened, type=SiteSecrets)
        except (SealBrokenError, ValueError):
            self._link.ignored["bad_secrets"] += 1
            return
        self.vault.trust(secrets)
        self._live.forget()
        await asyncio.to_thread(self._keep_secrets, secrets)


def _place(said: Held | CachedStanding) -> tuple[int, int, int]:
    return said.epoch, said.version, said.issued_at_ms
