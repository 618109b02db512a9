"""Central's store: all tables over one database. Each method is one transaction."""

from __future__ import annotations

from central.adapters.db.commands import CommandTables
from central.adapters.db.enrolments import EnrolTables
from central.adapters.db.feeds import FeedTables
from central.adapters.db.fleet import FleetTables
from central.adapters.db.members import MemberTables
from central.adapters.db.passages import PassageTables
from central.adapters.db.records import RecordTables
from central.adapters.db.reenrolments import ReEnrolTables
from central.adapters.db.retention import RetentionTables
from central.adapters.db.standings import StandingTables


class Store(
    MemberTables,
    EnrolTables,
    StandingTables,
    FleetTables,
    CommandTables,
    RecordTables,
    PassageTables,
    RetentionTables,
    ReEnrolTables,
    FeedTables,
):
    """Fulfils every store Protocol of `central.service`."""
