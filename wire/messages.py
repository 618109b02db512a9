"""The union of all messages of the wire, and the schema version they share."""

from __future__ import annotations

from wire.fleet import (
    Command,
    Desired,
    GalleryDelta,
    Head,
    Health,
    KioskState,
    Reported,
    RollCall,
    StandingDelta,
)
from wire.records import Receipt, RecordBatch
from wire.requests import Reply, Request

SCHEMA_VERSION = 1
"""Raised when a message changes so that an older reader would misread it."""

Message = (
    KioskState
    | Health
    | RecordBatch
    | Receipt
    | Request
    | Reply
    | Command
    | Desired
    | Reported
    | Head
    | StandingDelta
    | GalleryDelta
    | RollCall
)
