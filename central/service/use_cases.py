"""Every use case of central, as one value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from central.rules.authority import RENEW_DAYS
from central.service.commands import Commands
from central.service.context import Context
from central.service.enrolling import Enrolling
from central.service.feeds import Feeds
from central.service.kiosks import Kiosks
from central.service.ledger import Ledger
from central.service.members import Members
from central.service.records import Records
from central.service.reenrolments import ReEnrolments
from central.service.retention import Retention
from central.service.reviews import Reviews
from central.service.shadows import Shadows
from central.service.standings import Standings
from central.service.visits import Visits
from central.service.withdrawals import Withdrawals
from wire.signing import DAY_MS


@dataclass(frozen=True, slots=True)
class UseCases:
    """Every use case of central, over one store."""

    context: Context
    members: Members
    standings: Standings
    feeds: Feeds
    kiosks: Kiosks
    records: Records
    reviews: Reviews
    retention: Retention
    reenrolments: ReEnrolments
    commands: Commands
    shadows: Shadows
    visits: Visits
    ledger: Ledger
    enrolling: Enrolling
    withdrawals: Withdrawals
    unreadable: Mapping[str, str]
    """Rows that were left out because they cannot be read, by table and key, and why."""


def state_fields(use_cases: UseCases) -> dict[str, Any]:
    """What central says of itself: its root, its certificates' end, retention, the rows it leaves out."""
    identity = use_cases.context.identity
    held, now_ms = identity.credentials, use_cases.context.now_ms()
    ends_ms = min(held.central.not_after_ms, held.issuer.not_after_ms)
    return {
        "root": "trial, beside central" if identity.root_is_here else "offline",
        "root_public_key": held.root_public_key.hex(),
        "certified_until_ms": ends_ms,
        "certificates_due": now_ms > ends_ms - RENEW_DAYS * DAY_MS,
        "retention_ran_at_ms": use_cases.retention.ran_at_ms,
        "unreadable": dict(use_cases.unreadable),
    }
