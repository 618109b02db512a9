"""Kiosks: adding, pairing, revoking, and the ring of keys that central trusts."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from central.errors import ConflictError, RefusedError, UnknownError
from central.rules.authority import certify
from central.rules.fleet import CODE_VALID_MS, Kiosk, PairingCode, Sighting, usable
from central.service.context import Context
from wire.canonical import canonical
from wire.ids import KioskId, Purpose, SiteId
from wire.pairing import (
    CODE_BYTES,
    PairGrant,
    PairReply,
    PairRequest,
    code_lookup,
    format_code,
    make_reply,
    request_holds,
)
from wire.sealing import box_public_key, open_seal, seal, seal_box, secrets_binding
from wire.signing import KeyRing, TrustedKey, key_id_of
from wire.values import Role

_CODE_KEY_VERSION = 1

log = logging.getLogger(__name__)


class KioskStore(Protocol):
    """Where kiosks, sealed pairing codes, and kiosks' own words about themselves are kept."""

    def kiosk(self, kiosk: KioskId) -> Kiosk | None:
        """A kiosk, revoked ones included."""
        ...

    def kiosks(self) -> Sequence[Kiosk]:
        """Every kiosk."""
        ...

    def save_kiosk(self, kiosk: Kiosk) -> None:
        """Store or replace a kiosk."""
        ...

    def kiosks_mark(self) -> tuple[int, int]:
        """Another value after each pairing and each revocation, by whichever program."""
        ...

    def add_code(self, code: PairingCode) -> None:
        """Store a code, in place of the kiosk's earlier ones."""
        ...

    def code(self, lookup: bytes) -> PairingCode | None:
        """The code of a lookup digest."""
        ...

    def use_code(self, lookup: bytes, paired: Kiosk, now_ms: int) -> bool:
        """Use a code up and store the paired kiosk, both or neither; False when it was used before."""
        ...

    def saw(self, sightings: Sequence[Sighting]) -> None:
        """Store what kiosks last said, one of each, in one transaction."""
        ...

    def sightings_among(self, kiosks: Sequence[KioskId]) -> Sequence[Sighting]:
        """The last words of some."""
        ...

    def sightings(self) -> Sequence[Sighting]:
        """The last words of each."""
        ...


class Admission(Protocol):
    """How kiosks are let in at a broker that asks for certificates."""

    @property
    def authority(self) -> bytes:
        """The certificate of the CA, X.509 in DER."""
        ...

    def certify(self, site: SiteId, kiosk: KioskId, request: bytes, now_ms: int) -> bytes:
        """The kiosk's certificate for its request; raises RefusedError."""
        ...

    def keep(self, kiosks: Sequence[Kiosk]) -> bool:
        """Let these kiosks in and no others; whether that is a change."""
        ...


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """Where kiosks find the broker, and how they are let in, where it asks who they are."""

    host: str
    port: int
    admission: Admission | None = None


@dataclass(frozen=True, slots=True)
class _Roster:
    """Kiosks that are paired and not revoked, and the ring of their keys; `mark` was read before them."""

    mark: tuple[int, int]
    ring: KeyRing
    kiosks: Mapping[KioskId, Kiosk]


class Kiosks:
    """Add, pair, revoke, list."""

    def __init__(self, context: Context, store: KioskStore) -> None:
        self._context = context
        self._store = store
        self._roster: _Roster | None = None
        self._told: frozenset[KioskId] | None = None
        """The kiosks of which the log says last that they are paired."""

    def add(self, kiosk: KioskId, purpose: Purpose, *, enrols: bool = False) -> str:
        """Add a kiosk (or give an unpaired one a new code); the one-time pairing code, as printed.

        `enrols`: it may enrol members, and undo what it enrolled of late.
        """
        known = self._store.kiosk(kiosk)
        if known is not None and (known.certificate is not None or known.revoked_at_ms is not None):
            raise ConflictError(
                "kiosk", kiosk, "is paired or revoked already: add the new one under another id"
            )
        now_ms, held = self._context.now_ms(), self._context.identity.credentials
        if now_ms > min(held.central.not_after_ms, held.issuer.not_after_ms):
            raise RefusedError(
                "central's certificates are over: no kiosk would believe it; "
                "have the root sign central.request.json again (`stile central root sign`)"
            )
        added = Kiosk(kiosk, self._context.site, purpose, self._context.gallery, now_ms, enrols=enrols)
        self._store.save_kiosk(added)
        code = self._context.draw(CODE_BYTES)
        lookup = code_lookup(code)
        key, nonce = self._context.identity.key_encryption_key, self._context.draw(12)
        sealed = seal(key, _CODE_KEY_VERSION, nonce, code, lookup)
        self._store.add_code(PairingCode(lookup, kiosk, sealed, now_ms + CODE_VALID_MS))
        return format_code(code)

    def pair(self, request: PairRequest, broker: BrokerAddress) -> PairReply:
        """Answer a pairing request; raises RefusedError, the same for every cause."""
        context, now_ms = self._context, self._context.now_ms()
        refused = RefusedError("the pairing code is unknown, used, expired or not proven: make a new one")
        stored = self._store.code(request.lookup)
        if stored is None or not usable(stored, now_ms):
            raise refused
        keys = {_CODE_KEY_VERSION: context.identity.key_encryption_key}
        code = open_seal(keys, stored.sealed_code, stored.lookup)
        known = self._store.kiosk(stored.kiosk)
        if known is None or known.certificate is not None or known.revoked_at_ms is not None:
            raise refused
        if not request_holds(code, request):
            raise refused
        certificate = certify(
            context.operator,
            Role.KIOSK,
            name=known.kiosk,
            site=known.site,
            public_key=request.public_key,
            now_ms=now_ms,
            by=context.identity.issuer,
        )
        paired = replace(
            known,
            certificate=certificate,
            issuer=context.identity.credentials.issuer,
            box_public_key=request.box_public_key,
            software=request.software,
        )
        admission, broker_certificate = broker.admission, b""
        if admission is not None:
            broker_certificate = admission.certify(known.site, known.kiosk, request.broker_request, now_ms)
        try:
            sealed_secrets = self._sealed_secrets(paired, request.nonce)
        except ValueError:  # a box key that is no point on the curve
            raise refused from None
        if not self._store.use_code(stored.lookup, paired, now_ms):
            raise refused
        self.forget_ring()
        if admission is not None:
            admission.keep(self._store.kiosks())
        grant = PairGrant(
            operator=context.operator,
            site=known.site,
            kiosk=known.kiosk,
            purpose=known.purpose,
            gallery=known.gallery,
            root_public_key=context.identity.credentials.root_public_key,
            central_certificate=context.identity.credentials.central,
            issuer_certificate=context.identity.credentials.issuer,
            kiosk_certificate=certificate,
            central_box_public_key=box_public_key(context.identity.box_private),
            sealed_secrets=sealed_secrets,
            broker_host=broker.host,
            broker_port=broker.port,
            issued_at_ms=now_ms,
            broker_authority=b"" if admission is None else admission.authority,
            broker_certificate=broker_certificate,
        )
        return make_reply(code, request, grant)

    def _sealed_secrets(self, kiosk: Kiosk, nonce: bytes) -> bytes:
        assert kiosk.box_public_key is not None
        plain = canonical(self._context.secrets)
        binding = secrets_binding(kiosk.kiosk, nonce)
        return seal_box(kiosk.box_public_key, self._context.draw(32), plain, binding)

    def sealed_secrets(self, kiosk: KioskId, nonce: bytes) -> bytes:
        """The site's secrets for one paired kiosk alone; raises UnknownError."""
        known = self.paired(kiosk)
        if known is None:
            raise UnknownError("paired kiosk", kiosk)
        return self._sealed_secrets(known, nonce)

    def paired(self, kiosk: KioskId) -> Kiosk | None:
        """A kiosk that is paired and not revoked."""
        known = self._store.kiosk(kiosk)
        if known is None or known.certificate is None or known.revoked_at_ms is not None:
            return None
        return known

    def revoke(self, kiosk: KioskId) -> None:
        """Trust a kiosk's key no longer, and seal every template anew; raises UnknownError.

        What it holds already, it still holds; of what others are told from now on it can read nothing.
        """
        known = self._store.kiosk(kiosk)
        if known is None:
            raise UnknownError("kiosk", kiosk)
        self._store.save_kiosk(replace(known, revoked_at_ms=self._context.now_ms()))
        self.forget_ring()
        if known.certificate is not None:
            self._context.keys.rotate()

    def all(self) -> Sequence[Kiosk]:
        """Every kiosk."""
        return self._store.kiosks()

    def saw(self, *sightings: Sighting) -> None:
        """Remember what kiosks said of themselves, one sighting of each."""
        self._store.saw(sightings)

    def sightings_among(self, kiosks: Sequence[KioskId]) -> dict[KioskId, Sighting]:
        """What some kiosks last said of themselves."""
        return {sighting.kiosk: sighting for sighting in self._store.sightings_among(kiosks)}

    def sightings(self) -> dict[KioskId, Sighting]:
        """What each kiosk last said of itself."""
        return {sighting.kiosk: sighting for sighting in self._store.sightings()}

    def ring(self) -> KeyRing:
        """The keys of all kiosks that are paired and not revoked."""
        return self._current().ring

    def admitted(self, kiosk: KioskId) -> Kiosk | None:
        """A kiosk whose key is in `ring`: as `paired`, without a look at the store."""
        return self._current().kiosks.get(kiosk)

    def _current(self) -> _Roster:
        roster = self._roster  # another thread may forget it meanwhile
        if roster is None:
            mark, kiosks, keys = self._store.kiosks_mark(), {}, {}
            for kiosk in self._store.kiosks():
                if kiosk.certificate is not None and kiosk.revoked_at_ms is None:
                    kiosks[kiosk.kiosk] = kiosk
                    key = TrustedKey.of(kiosk.certificate)
                    keys[key_id_of(key.public_key)] = key
            roster = self._roster = _Roster(mark, KeyRing(self._context.operator, keys), kiosks)
            self._tell(frozenset(kiosks))
        return roster

    def _tell(self, paired: frozenset[KioskId]) -> None:
        told, self._told = self._told, paired
        if told is not None:
            for kiosk in sorted(paired - told):
                log.info("kiosk %s is paired", kiosk)
            for kiosk in sorted(told - paired):
                log.warning("kiosk %s is revoked: nothing that it signs counts any more", kiosk)

    def look_again(self) -> None:
        """Take up what another program may have paired or revoked."""
        roster = self._roster
        if roster is not None and roster.mark != self._store.kiosks_mark():
            self.forget_ring()

    def forget_ring(self) -> None:
        """Read the kiosks' keys anew at next use."""
        self._roster = None
