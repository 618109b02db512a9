"""Central's store: all tables over one database. Each method is one transaction."""

from __future__ import annotations

from central.adapters.command_tables import CommandTables
from central.adapters.enrol_tables import EnrolTables
from central.adapters.feed_tables import FeedTables
from central.adapters.fleet_tables import FleetTables
from central.adapters.member_tables import MemberTables
from central.adapters.passage_tables import PassageTables
from central.adapters.record_tables import RecordTables
from central.adapters.reenrol_tables import ReEnrolTables
from central.adapters.retention_tables import RetentionTables
from central.adapters.standing_tables import StandingTables


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
