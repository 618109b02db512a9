"""What kiosks say of themselves, what central tells them, and the heads and deltas of the feeds."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from wire import fields as f
from wire.values import GalleryEntry, StandingEntry

CACHES_MAX = 8
COUNTERS_MAX = 32
NOTES_MAX = 16
ANSWERS_MAX = 8
"""Orders answered lately; staff give them one at a time."""
METRICS_MAX = 64
SETTINGS_MAX = 48
"""48 times 64 + 64 characters stay within the shadow's 8 KB."""
CHUNKS_MAX = 8192
"""Chunk digests of one head: 256 KiB."""
DELTA_MAX_ROWS = 1024


class Presence(StrEnum):
    """Where a kiosk is in its life; `lost` is said by its will alone."""

    INIT = "init"
    READY = "ready"
    ALERT = "alert"
    DISCONNECTED = "disconnected"
    LOST = "lost"


class CacheAge(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One cache: its last verified head, the age of that, and what the age means here."""

    name: f.Slug
    epoch: f.Count
    version: f.Count
    age_ms: f.SpanMs | None
    freshness: f.Code


class Counter(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """How often something was ignored, by reason."""

    reason: f.Code
    count: f.Count


class OrderOutcome(StrEnum):
    """What became of a command; all but `obeyed` say why nothing was done."""

    OBEYED = "obeyed"  # the lane is as ordered, or the gate took the release
    PASSAGE_UNDER_WAY = "passage_under_way"  # somebody is in a passage: order it again once they are through
    FREE_GATE = "free_gate"  # emergency: the gate stands open already
    GATE_FAULT = "gate_fault"
    GATE_REFUSED = "gate_refused"
    GATE_UNANSWERED = "gate_unanswered"  # the gate may have opened: the passage's record says
    NOT_KEPT = "not_kept"  # the kiosk's disk did not take the record, so nothing was opened
    OTHER_GATE = "other_gate"  # the order names a gate that is not this kiosk's
    NOT_READY = "not_ready"  # the kiosk is starting
    LATE = "late_command"
    LONG = "long_command"
    RETAINED = "retained_command"
    BEFORE_START = "command_before_start"
    CLOCK_UNSURE = "command_clock_unsure"
    TOO_MANY = "too_many_commands"


class OrderAnswer(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What became of the command with this nonce, and the passage it opened the gate for."""

    nonce: f.NonceBytes
    outcome: OrderOutcome
    passage: f.Passage | None = None


class SearchOffer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One to many at a kiosk: whether it is offered now, and the false identifications it would make.

    `fpir`: the most of the passages of people who are not enrolled that would name somebody, 0 to 1;
    `most_subjects`: the largest gallery that stays within `max_fpir`.
    """

    offered: bool
    fpir: Annotated[float, Meta(ge=0, le=1)]
    max_fpir: Annotated[float, Meta(ge=0, le=1)]
    subjects: f.Count
    most_subjects: f.Count


class KioskState(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="kiosk_state"):
    """A kiosk's birth, change or death. A will carries the boot id of the life that ended.

    `search` is None where every passage begins with a claim. `orders` answers the commands of late.
    """

    kiosk: f.Kiosk
    presence: Presence
    boot_id: f.Boot
    issued_at_ms: f.InstantMs
    clock_sure: bool
    software: f.VersionText
    pack_digest: f.HexDigest | None
    recipe_digest: f.HexDigest | None
    caches: Annotated[tuple[CacheAge, ...], Meta(max_length=CACHES_MAX)] = ()
    ignored: Annotated[tuple[Counter, ...], Meta(max_length=COUNTERS_MAX)] = ()
    notes: Annotated[tuple[f.Code, ...], Meta(max_length=NOTES_MAX)] = ()
    roll_call: f.NonceBytes | None = None
    search: SearchOffer | None = None
    orders: Annotated[tuple[OrderAnswer, ...], Meta(max_length=ANSWERS_MAX)] = ()


class Metric(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One measured number; its name ends in its unit."""

    name: f.Code
    value: float


class Health(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="health"):
    """Metrics, every 10 s; lost ones do not matter."""

    kiosk: f.Kiosk
    boot_id: f.Boot
    issued_at_ms: f.InstantMs
    metrics: Annotated[tuple[Metric, ...], Meta(max_length=METRICS_MAX)]


class CommandAction(StrEnum):
    """What staff may order from afar."""

    RELEASE_ENTRY = "release_entry"
    RELEASE_EXIT = "release_exit"
    CLOSE_LANE = "close_lane"
    OPEN_LANE = "open_lane"


class Command(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="command"):
    """An order that expires: late, repeated, retained or foreign ones do nothing.

    `gate` None is the kiosk's own gate, whatever it is called.
    """

    nonce: f.NonceBytes
    issued_at_ms: f.InstantMs
    not_after_ms: f.InstantMs
    action: CommandAction
    gate: f.Gate | None
    staff: f.Slug


class Setting(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One entry of the shadow; a key of `match`, `search`, `confirm`, `gate` or `keys` does not decode."""

    key: f.SettingKey
    value: f.SettingText


class Desired(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="desired"):
    """The configuration central would like a kiosk to have beside its own file; each version is whole."""

    version: f.Count
    settings: Annotated[tuple[Setting, ...], Meta(max_length=SETTINGS_MAX)]


class SettingRemark(StrEnum):
    """Why a desired setting is not in effect."""

    NEEDS_RESTART = "needs_restart"  # kept, and in effect from the kiosk's next start on
    NOT_SETTABLE = "not_settable"  # this kiosk takes that key from its own file alone
    BAD_VALUE = "bad_value"  # out of bounds, or of another kind


class RemarkedSetting(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A desired setting that is not in effect."""

    key: f.SettingKey
    remark: SettingRemark


class Reported(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="reported"):
    """A kiosk's value of every setting central may desire, and the desired version it knows (0: none)."""

    version: f.Count
    settings: Annotated[tuple[Setting, ...], Meta(max_length=SETTINGS_MAX)]
    remarks: Annotated[tuple[RemarkedSetting, ...], Meta(max_length=SETTINGS_MAX)] = ()


class Head(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="head"):
    """What a feed holds at `issued_at_ms`, signed again every 60 s; later means larger (epoch, version).

    `rows_digest` is that of all its rows (`packing.rows_digest`), whichever way they came.
    """

    name: f.Slug
    epoch: f.Count
    version: f.Count
    issued_at_ms: f.InstantMs
    count: f.Count
    rows_digest: f.DigestBytes
    chunk_digests: Annotated[tuple[f.DigestBytes, ...], Meta(max_length=CHUNKS_MAX)]


class StandingDelta(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="standing_delta"):
    """The standings that changed from `version` - 1 to `version`, tombstones included.

    Of those in `gone` nothing is left, their tombstones neither: retention took them.
    """

    epoch: f.Count
    version: f.Count
    issued_at_ms: f.InstantMs
    rows: Annotated[tuple[StandingEntry, ...], Meta(max_length=DELTA_MAX_ROWS)]
    gone: Annotated[tuple[f.Subject, ...], Meta(max_length=DELTA_MAX_ROWS)] = ()


class GalleryDelta(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="gallery_delta"):
    """The gallery entries that changed from `version` - 1 to `version`, tombstones and `gone` included."""

    epoch: f.Count
    version: f.Count
    issued_at_ms: f.InstantMs
    rows: Annotated[tuple[GalleryEntry, ...], Meta(max_length=DELTA_MAX_ROWS)]
    gone: Annotated[tuple[f.Subject, ...], Meta(max_length=DELTA_MAX_ROWS)] = ()


class RollCall(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="roll_call"):
    """Central is here: each kiosk answers with its state within 5 s, with jitter, quoting the nonce."""

    nonce: f.NonceBytes
    issued_at_ms: f.InstantMs
