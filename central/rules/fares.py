"""Fares: what a passage costs, and on which local day it counts towards the cap. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import msgspec
from msgspec import Meta

from central.rules.ledger import Day
from wire import fields as f
from wire.ids import KioskId
from wire.records import GateOutcome, IdentifiedBy, PassRecord

EXIT_KIOSKS_MAX = 256
CHARGED_FOR = frozenset({GateOutcome.PASSED, GateOutcome.TAILGATED})
"""Gate outcomes that are known to be a passage; a time-out, a refusal or silence costs nothing."""

ZoneText = Annotated[str, Meta(min_length=1, max_length=64)]  # a name of the IANA time zone database
DayOf = Callable[[int], Day]
"""From an instant in UTC milliseconds to the operator's local day."""


class FareConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Section `fares.PURPOSE`: minor units for a passage in and out, and at most a day.

    Records say no direction: passages at `exit_kiosks` are exits, all others entries.
    """

    entry_minor: f.AmountMinor
    currency: f.Currency
    exit_minor: f.AmountMinor = 0
    day_cap_minor: f.AmountMinor | None = None
    timezone: ZoneText = "UTC"
    exit_kiosks: Annotated[tuple[f.Kiosk, ...], Meta(max_length=EXIT_KIOSKS_MAX)] = ()


@dataclass(frozen=True, slots=True)
class Tariff:
    """One purpose's fares, with the operator's calendar."""

    config: FareConfig
    day_of: DayOf

    def fare_minor(self, kiosk: KioskId) -> int:
        """What a passage at a kiosk costs before the cap."""
        return self.config.exit_minor if kiosk in self.config.exit_kiosks else self.config.entry_minor

    def due_minor(self, kiosk: KioskId, charged_minor: int) -> int:
        """What a passage costs after `charged_minor` of its day: all of a day cost at most the cap.

        So the day's sum is min(cap, sum of fares), in whichever order the passages become known.
        """
        fare, cap = self.fare_minor(kiosk), self.config.day_cap_minor
        return fare if cap is None else max(0, min(fare, cap - charged_minor))


def is_passage(record: PassRecord) -> bool:
    """Whether a fare is owed: a member was granted and seen to pass. Nobody pays for staff's release."""
    return (
        record.subject is not None
        and record.verdict == "grant"
        and record.identified_by not in (None, IdentifiedBy.STAFF)
        and record.gate_outcome in CHARGED_FOR
    )
