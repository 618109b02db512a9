"""Broken code, one break for each worker, for the harness to notice. Named by `STILE_HARNESS_SABOTEUR`."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from edge.adapters.central import members
from edge.adapters.central.commands import Commands
from edge.adapters.storage import checkouts
from edge.adapters.storage.outbox import Outbox
from edge.decide.standing import CachedStanding, StandingConfig
from edge.decide.verdict import Age, Grant, RestrictionState
from scripts.harness import clients
from wire.ids import RecordId
from wire.records import Charge, ChargeOutcome
from wire.values import AgreeBy, Standing


def forget_records() -> None:
    """An outbox that says it keeps every record, and keeps two of three."""
    settle, seen = Outbox.settle, []

    async def forgetful(self, record):
        seen.append(record)
        if len(seen) % 3:
            await settle(self, record)

    Outbox.settle = forgetful


def count_twice() -> None:
    """An outbox that gives every passage another record besides."""
    settle = Outbox.settle

    async def generous(self, record):
        await settle(self, record)
        other = RecordId(record.record_id[::-1])
        await settle(self, msgspec.structs.replace(record, record_id=other))

    Outbox.settle = generous


def never_stale() -> None:
    """A kiosk for which no cache is ever too old."""
    assess = members.assess

    def trusting(cached, *, config, **given):
        return assess(cached, config=StandingConfig(config.fresh_s, 10**6), **given)

    members.assess = trusting


def any_purpose() -> None:
    """A kiosk that takes a standing made for whatever purpose."""
    assess = members.assess

    def careless(cached, *, purpose, **given):
        if isinstance(cached, CachedStanding) and isinstance(cached.entry, Standing):
            purpose = cached.entry.purpose
        return assess(cached, purpose=purpose, **given)

    members.assess = careless


def obey_everything() -> None:
    """A kiosk that asks of no command whether it is late, or new."""
    Commands._refusal = lambda self, command, retained: None


def _overlook(age: Age) -> None:
    decide = clients.decide

    def overlooking(circumstances):
        if circumstances.age is age:
            circumstances = replace(circumstances, restriction=RestrictionState.NONE)
        return decide(circumstances)

    clients.decide = overlooking


def overlook_when_fresh() -> None:
    """A kiosk that overlooks restrictions while its cache is fresh."""
    _overlook(Age.FRESH)


def overlook_when_stale() -> None:
    """A kiosk that overlooks restrictions while its cache is stale."""
    _overlook(Age.STALE)


def spend_offline() -> None:
    """A kiosk that charges on a stale standing, whatever is allowed, and without any checkout."""
    made = clients.pass_record
    checkouts.note_begun = checkouts.note_settled = lambda *_: None

    def costly(account, identity, stamp):
        record = made(account, identity, stamp)
        if not isinstance(account.verdict, Grant) or record.circumstances.age != "stale":
            return record
        taken = Charge(record.record_id, "bistro", "tea", ChargeOutcome.OFFLINE, AgreeBy.BUTTON)
        return msgspec.structs.replace(record, amount_minor=900_000, currency="EUR", charge=taken)

    clients.pass_record = costly


BREAKS = (
    forget_records,
    count_twice,
    never_stale,
    any_purpose,
    obey_everything,
    overlook_when_fresh,
    overlook_when_stale,
    spend_offline,
)


def two_each(worker: int) -> None:
    """Break something else in each of four workers."""
    for broken in BREAKS[worker], BREAKS[7 - worker]:
        broken()
