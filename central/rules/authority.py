"""What the operator root is asked for and says: central's credentials, and reviewers' certificates.

A request proves that whoever makes it holds the keys it names. The root never sees a private key of others.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from central.errors import RefusedError
from central.rules.fleet import CLOCK_SLACK_MS
from wire import fields as f
from wire.canonical import canonical, joined
from wire.ids import OperatorId, SiteId
from wire.signing import CERTIFIED_DAYS, DAY_MS, Signer, root_certified, sign_certificate, verifies
from wire.values import Certificate, Role

CENTRAL_NAME, ISSUER_NAME = "central", "issuer"
RENEW_DAYS = 60
"""How long before its end a certificate of central's is said to be due."""
_REQUEST = b"stile certificate request v1"


class CentralRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="central"):
    """Central asks for its own certificate and its issuer's; either key signs the request."""

    operator: f.Operator
    site: f.Site
    public_key: f.PublicKeyBytes
    issuer_public_key: f.PublicKeyBytes
    proofs: Annotated[tuple[f.SignatureBytes, ...], Meta(max_length=2)] = ()


class ReviewerRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="reviewer"):
    """A reviewer asks for a certificate for a key of their own, which signs the request."""

    operator: f.Operator
    reviewer: f.Reviewer
    public_key: f.PublicKeyBytes
    proofs: Annotated[tuple[f.SignatureBytes, ...], Meta(max_length=2)] = ()


Request = CentralRequest | ReviewerRequest


class Credentials(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The operator root's public key, and what it certified for one site's central."""

    root_public_key: f.PublicKeyBytes
    central: Certificate
    issuer: Certificate


def _keys(request: Request) -> tuple[bytes, ...]:
    if isinstance(request, CentralRequest):
        return request.public_key, request.issuer_public_key
    return (request.public_key,)


def _request_bytes(request: Request) -> bytes:
    return joined(_REQUEST, canonical(msgspec.structs.replace(request, proofs=())))


def central_request(operator: OperatorId, site: SiteId, central: Signer, issuer: Signer) -> CentralRequest:
    """What central asks the root for, at the beginning and at each renewal."""
    asked = CentralRequest(operator, site, central.public_key, issuer.public_key)
    signed = _request_bytes(asked)
    return msgspec.structs.replace(asked, proofs=(central.sign(signed), issuer.sign(signed)))


def reviewer_request(operator: OperatorId, reviewer: f.Reviewer, own: Signer) -> ReviewerRequest:
    """What a reviewer asks the root for."""
    asked = ReviewerRequest(operator, reviewer, own.public_key)
    return msgspec.structs.replace(asked, proofs=(own.sign(_request_bytes(asked)),))


def check_request(request: Request) -> None:
    """Admit a request for the root to sign; raises RefusedError."""
    keys, signed = _keys(request), _request_bytes(request)
    proven = len(request.proofs) == len(keys) == len(set(keys))
    if not proven or not all(map(verifies, keys, request.proofs, [signed] * len(keys))):
        raise RefusedError("the request is not signed by the keys it names: have it made anew")


def certify(
    operator: OperatorId,
    role: Role,
    *,
    name: str,
    site: str,
    public_key: bytes,
    now_ms: int,
    by: Signer,
    days: int | None = None,
) -> Certificate:
    """A certificate for a key, by the root or an issuer, for as long as the role allows or `days`."""
    begins_ms = max(0, now_ms - CLOCK_SLACK_MS)
    return sign_certificate(
        Certificate(
            operator=operator,
            role=role,
            name=name,
            site=site,
            public_key=public_key,
            not_before_ms=begins_ms,
            not_after_ms=begins_ms + (days or CERTIFIED_DAYS[role]) * DAY_MS,
            signature=b"",
        ),
        by,
    )


def central_credentials(request: CentralRequest, root: Signer, now_ms: int) -> Credentials:
    """Certify central, and an issuer for the kiosks of its site; raises RefusedError."""
    operator, site = request.operator, request.site
    check_request(request)
    central = certify(
        operator,
        Role.CENTRAL,
        name=CENTRAL_NAME,
        site=site,
        public_key=request.public_key,
        now_ms=now_ms,
        by=root,
    )
    issuer = certify(
        operator,
        Role.ISSUER,
        name=ISSUER_NAME,
        site=site,
        public_key=request.issuer_public_key,
        now_ms=now_ms,
        by=root,
    )
    return Credentials(root.public_key, central, issuer)


def reviewer_certificate(
    request: ReviewerRequest, root: Signer, now_ms: int, days: int | None = None
) -> Certificate:
    """Certify a reviewer's own key, for at most 90 days; raises RefusedError."""
    longest = CERTIFIED_DAYS[Role.REVIEWER]
    if days is not None and not 1 <= days <= longest:
        raise RefusedError(f"a reviewer's certificate lasts 1 to {longest} days, not {days}")
    check_request(request)
    return certify(
        request.operator,
        Role.REVIEWER,
        name=request.reviewer,
        site="",
        public_key=request.public_key,
        now_ms=now_ms,
        by=root,
        days=days,
    )


def credential_fault(
    credentials: Credentials, *, operator: OperatorId, site: SiteId, keys: tuple[bytes, bytes]
) -> str | None:
    """Why credentials are not those of the central that holds `keys` (its own and its issuer's), or None.

    Dates are not looked at: a central whose certificates are over still serves the kiosks that know it.
    """
    for role, certificate, key in zip(
        (Role.CENTRAL, Role.ISSUER), (credentials.central, credentials.issuer), keys, strict=True
    ):
        if certificate.public_key != key:
            return f"certifies another {role} key than the one beside it"
        at_ms = certificate.not_before_ms
        if certificate.site != site or not root_certified(
            certificate, role, credentials.root_public_key, operator, at_ms
        ):
            return f"holds no {role} certificate of operator {operator!r}'s root for site {site!r}"
    return None
