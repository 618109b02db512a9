"""Pairing: how a kiosk gets its name, its keys and whom it trusts; and reading that back at every start.

Files of a paired kiosk, all of mode 600: `device.key` seals its databases, `identity` holds its private
keys and what central granted; `broker.key`, `broker.crt` and `broker-ca.crt` are for a broker with TLS.
The operator root pinned here is trusted from then on; another one needs another pairing.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import msgspec

from edge.adapters.central.tls import certificate_request, keep_certificate, make_key
from edge.adapters.storage.keyfile import DEVICE_KEY_FILE, RandomBytes, RowSealer, read_secret, write_secret
from edge.errors import PairingError, StoreError
from wire.canonical import canonical
from wire.errors import MalformedIdError, SealBrokenError, WireError
from wire.ids import NONCE_BYTES, GalleryName, KioskId, Nonce, OperatorId, Purpose, SiteId
from wire.pairing import PairGrant, PairReply, PairRequest, SiteSecrets, make_request, parse_code, reply_holds
from wire.sealing import SEAL_KEY_BYTES, box_public_key, open_box, secrets_binding
from wire.signing import KEY_BYTES, KeyRing, Signer, TrustedKey, kiosk_certified, root_certified
from wire.values import Role

IDENTITY_FILE = "identity"
PAIR_PATH = "/v1/pair"
PAIR_TIMEOUT_S = 10.0
REPLY_MAX_BYTES = 16 * 1024
"""A grant is about 2 KiB; whatever is larger is no grant."""
NOT_PAIRED = "pair this kiosk: `stile kiosk pair URL`, with the code `stile central kiosk add` printed"


class _Stored(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The identity file's content, sealed with the device key."""

    seed: bytes
    box_private: bytes
    grant: PairGrant
    secrets: SiteSecrets

    def __repr__(self) -> str:
        """Nothing of what is in it."""
        return f"{type(self).__name__}(…)"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this kiosk is, whom it trusts, and its secrets (never printed)."""

    operator: OperatorId
    site: SiteId
    kiosk: KioskId
    purpose: Purpose
    gallery: GalleryName
    root_public_key: bytes
    central_box_public_key: bytes
    broker_host: str
    broker_port: int
    ring: KeyRing = field(repr=False)
    signer: Signer = field(repr=False)
    box_private: bytes = field(repr=False)
    secrets: SiteSecrets = field(repr=False)
    device_key: bytes = field(repr=False)


async def pair(
    central_url: str,
    code: str,
    folder: Path,
    *,
    software: str,
    random_bytes: RandomBytes,
    client: httpx.AsyncClient | None = None,
) -> Identity:
    """Pair the kiosk whose files live in `folder` with central; raises `PairingError` saying what to do.

    `client`: for who pairs many, since opening one reads every certificate authority of the machine.
    """
    if (folder / IDENTITY_FILE).exists():
        raise PairingError(f"{folder} is paired already: start it, or give the new kiosk a folder of its own")
    try:
        raw_code = parse_code(code)
    except MalformedIdError as error:
        raise PairingError(str(error)) from None
    seed, box_private = random_bytes(KEY_BYTES), random_bytes(KEY_BYTES)
    signer = Signer.from_seed(seed)
    nonce, broker_key = Nonce(random_bytes(NONCE_BYTES)), make_key(random_bytes)
    request = make_request(
        raw_code,
        nonce,
        public_key=signer.public_key,
        box_public_key=box_public_key(box_private),
        software=software,
        broker_request=certificate_request(broker_key),
    )
    if client is None:
        async with httpx.AsyncClient(timeout=PAIR_TIMEOUT_S, trust_env=False) as own:
            reply = await _post(own, central_url, request)
    else:
        reply = await _post(client, central_url, request)
    if not reply_holds(raw_code, request, reply):
        raise PairingError(
            f"whoever answered at {central_url} does not know this pairing code: check the address, "
            "and make a new code"
        )
    secrets = _checked(reply.grant, request, box_private)
    stored = _Stored(seed, box_private, reply.grant, secrets)
    device_key = random_bytes(SEAL_KEY_BYTES)
    sealed = RowSealer(device_key, random_bytes).seal(canonical(stored), IDENTITY_FILE)
    grant = reply.grant
    try:
        if grant.broker_certificate:
            await asyncio.to_thread(
                keep_certificate, folder, broker_key, grant.broker_certificate, grant.broker_authority
            )
        await asyncio.to_thread(write_secret, folder / DEVICE_KEY_FILE, device_key)
        await asyncio.to_thread(write_secret, folder / IDENTITY_FILE, sealed)
    except OSError as error:
        raise PairingError(
            f"paired, but the keys cannot be kept in {folder} ({error.strerror}): give this user the "
            "right to write there, and make a new code"
        ) from error
    except StoreError as error:
        raise PairingError(f"{error}: check central's keys, and make a new code") from error
    return _identity(stored, device_key)


async def _post(client: httpx.AsyncClient, central_url: str, request: PairRequest) -> PairReply:
    url = central_url.rstrip("/") + PAIR_PATH
    headers = {"Content-Type": "application/json"}
    try:
        answer = await client.post(url, content=msgspec.json.encode(request), headers=headers)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise PairingError(
            f"central does not answer at {central_url} ({str(error) or type(error).__name__}): "
            "check the address and that `stile central run` is running"
        ) from error
    if answer.status_code == httpx.codes.FORBIDDEN:
        raise PairingError(
            "central refused the pairing code: it is unknown, used or older than 15 minutes; "
            "make a new one with `stile central kiosk add`"
        )
    if answer.status_code != httpx.codes.OK or len(answer.content) > REPLY_MAX_BYTES:
        raise PairingError(
            f"central at {central_url} answered {answer.status_code}: is that the address of Stile's central?"
        )
    try:
        return msgspec.json.decode(answer.content, type=PairReply)
    except ValueError as error:
        raise PairingError(
            f"central's answer cannot be read ({error}): use the same version of Stile on both"
        ) from error


def _checked(grant: PairGrant, request: PairRequest, box_private: bytes) -> SiteSecrets:
    root, operator, at_ms = grant.root_public_key, grant.operator, grant.issued_at_ms
    central, own = grant.central_certificate, grant.kiosk_certificate
    held = {
        Role.CENTRAL: root_certified(central, Role.CENTRAL, root, operator, at_ms),
        Role.KIOSK: kiosk_certified(own, grant.issuer_certificate, root, operator, at_ms)
        and own.name == grant.kiosk,
    }
    for role, certificate in ((Role.CENTRAL, central), (Role.KIOSK, own)):
        if not held[role] or certificate.site != grant.site:
            raise PairingError(
                f"the {role} certificate central sent is not valid: check central's keys and clock"
            )
    if grant.kiosk_certificate.public_key != request.public_key:
        raise PairingError("central certified another key than this kiosk's: make a new code and pair again")
    try:
        opened = open_box(box_private, grant.sealed_secrets, secrets_binding(grant.kiosk, request.nonce))
        return msgspec.msgpack.decode(opened, type=SiteSecrets)
    except (SealBrokenError, ValueError) as error:
        raise PairingError(f"the site's secrets cannot be opened ({error}): make a new code") from error


def _identity(stored: _Stored, device_key: bytes) -> Identity:
    grant = stored.grant
    return Identity(
        operator=grant.operator,
        site=grant.site,
        kiosk=grant.kiosk,
        purpose=grant.purpose,
        gallery=grant.gallery,
        root_public_key=grant.root_public_key,
        central_box_public_key=grant.central_box_public_key,
        broker_host=grant.broker_host,
        broker_port=grant.broker_port,
        ring=KeyRing(grant.operator, {}).with_key(TrustedKey.of(grant.central_certificate)),
        signer=Signer.from_seed(stored.seed),
        box_private=stored.box_private,
        secrets=stored.secrets,
        device_key=device_key,
    )


def _read(folder: Path, random_bytes: RandomBytes) -> tuple[_Stored, bytes]:
    device_key = read_secret(folder / DEVICE_KEY_FILE, NOT_PAIRED)
    sealed = read_secret(folder / IDENTITY_FILE, NOT_PAIRED)
    try:
        opened = RowSealer(device_key, random_bytes).open(sealed, IDENTITY_FILE)
        return msgspec.msgpack.decode(opened, type=_Stored), device_key
    except (WireError, ValueError) as error:
        raise StoreError(
            f"{folder / IDENTITY_FILE} cannot be read ({error}): put back the device.key it was sealed with, "
            "or pair this kiosk anew in an empty folder"
        ) from error


def load_identity(folder: Path, random_bytes: RandomBytes) -> Identity:
    """The identity of a paired kiosk; raises `StoreError` if it is missing, damaged or readable by others."""
    return _identity(*_read(folder, random_bytes))


def keep_secrets(folder: Path, secrets: SiteSecrets, random_bytes: RandomBytes) -> None:
    """Replace the site's secrets after central rotated its gallery key; raises `StoreError`."""
    stored, device_key = _read(folder, random_bytes)
    fresh = msgspec.structs.replace(stored, secrets=secrets)
    write_secret(
        folder / IDENTITY_FILE, RowSealer(device_key, random_bytes).seal(canonical(fresh), IDENTITY_FILE)
    )
