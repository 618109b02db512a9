"""The sums of a deployment: bandwidth, memory, storage, messages a second, from the sizes of real messages.

`python -m scripts.lab.deployment_sums --members 22000000 --kiosks 5000 --sites 250`
prints the tables of deploy/README.md.
Sizes are measured here, by encoding and signing messages; what was measured elsewhere says so beside it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from scripts.output import AsJson, tell_json
from wire import chain, topics
from wire.canonical import canonical
from wire.codec import encode
from wire.fleet import CacheAge, Head, Health, KioskState, Metric, Presence, StandingDelta
from wire.ids import KioskId, Purpose, SiteId
from wire.messages import Message
from wire.packing import CHUNK_MAX_ROWS
from wire.records import PassRecord, Receipt, RecordBatch
from wire.requests import StandingReply, StandingRequest
from wire.signing import Signer, sign_chain_head
from wire.topics import Address, TopicKind
from wire.values import GalleryRow, Standing

HEAD_EVERY_S = 60
"""How often central signs heads again."""
STATE_EVERY_S = 60
"""How often a kiosk sends an unchanged state again."""
HEALTH_EVERY_S = 10
DAY_S = 86_400
PEAK = 2.4
"""The busiest hour has a tenth of the day's passes."""
RECORDS_KEPT_DAYS = 90
"""Central's `retention.records_days`."""
GUESTS = 0.3
"""The share of passes by members whom the kiosk's own site does not hold: each asks for claim and
standing."""
CONNECTION_KB = 27
"""Resident memory of Mosquitto 2.0.11 for a TLS client with 8 subscriptions, measured with 400."""
RECORD_OVERHEAD = 1.35
"""Central's SQLite over the records' own bytes: 1.32 measured with 4,000 records."""
ROW_OVERHEAD = 1.6
"""Assumed for the rows of a kiosk's cache, with their indices."""
MEMBER_DISK_BYTES = (
    2136  # in PostgreSQL 15 with indices: of 100,000 members with two claims and one event each
)

KIOSK, SITE, PURPOSE = KioskId("north-entry-1"), SiteId("north"), Purpose("ride")
_SIGNER = Signer.from_seed(bytes(32))
_NOW_MS, _TOKEN, _DIGEST = 1_795_000_000_000, "5" * 32, "a" * 64
_NO_BYTES = bytes(32)


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes of each message as it travels, envelope and signature included, and of each row encoded."""

    standing_row: int
    gallery_row: int
    head: int
    delta_row: int
    record: int
    receipt: int
    state: int
    health: int
    request: int
    reply: int


def _sent(address: Address, message: Message) -> int:
    return len(encode(address, message, _SIGNER, "metro", PURPOSE)) + len(address.topic) + 6  # MQTT's header


def _of_kiosk(kind: TopicKind, message: Message) -> int:
    return _sent(topics.kiosk_topic(kind, SITE, KIOSK), message)


def _made(kind: Any, **fields: Any) -> Any:
    return msgspec.convert(fields, kind)


def _standing() -> Standing:
    factor = ["fare", 40, "Fares were paid in the last month"]
    limits = [5_000, 2_000, "EUR"]
    words = [
        "standing",
        _TOKEN,
        "metro",
        PURPOSE,
        640,
        "standard",
        [factor, factor],
        limits,
        [],
        _NOW_MS,
        _NOW_MS,
    ]
    return msgspec.convert(words, Standing)


def _record() -> PassRecord:
    codes = {"gate": "ready", "membership": "active", "identification": "match", "liveness": "not_asked"}
    codes |= {"restriction": "none", "age": "fresh", "tier": "standard", "second_factor": "not_given"}
    used = {
        "epoch": 1,
        "version": 70_000,
        "issued_at_ms": _NOW_MS,
        "expires_at_ms": _NOW_MS,
        "age_ms": 30_000,
    }
    used |= {"score": 640, "limit_minor": 5_000, "offline_allowance_minor": 2_000, "offline_spent_minor": 0}
    return msgspec.convert(
        {
            "type": "pass",
            "record_id": _TOKEN,
            "passage": _TOKEN,
            "kiosk": KIOSK,
            "gate": "north-1",
            "purpose": PURPOSE,
            "boot_id": _TOKEN,
            "started_at_ms": _NOW_MS,
            "decided_at_ms": _NOW_MS,
            "settled_at_ms": _NOW_MS,
            "clock_sure": True,
            "identified_by": "face",
            "subject": _TOKEN,
            "verdict": "grant",
            "reasons": ["tier_standard"],
            "circumstances": {**codes, "emergency": False, "payment": "none", "central_answers": True},
            "gate_outcome": "passed",
            "lane": "standard",
            "comparison": {
                "similarity": 0.97,
                "threshold": 0.95,
                "pack_digest": _DIGEST,
                "recipe_digest": _DIGEST,
                "agreeing_frames": 3,
            },
            "standing": used,
        },
        PassRecord,
    )


def measured(rows: int, batch: int) -> Sizes:
    """The sizes for caches of so many rows, and batches of so many records."""
    standing, nonce = _standing(), bytes(16)
    template = [bytes(540), 1, _DIGEST, 3]  # 128 float32 beside nonce and tag
    gallery = msgspec.convert(["row", _TOKEN, [_NO_BYTES, _NO_BYTES], [], template], GalleryRow)
    chunks = (_NO_BYTES,) * -(-rows // CHUNK_MAX_ROWS)
    head = Head(PURPOSE, 1, 70_000, _NOW_MS, rows, _NO_BYTES, chunks)
    delta = StandingDelta(1, 70_001, _NOW_MS, (standing,) * 16)
    link, records = chain.genesis(KIOSK), []
    for number in range(1, batch + 1):
        records.append(chain.chained(link, number, _record(), bytes(16)))
        link = records[-1].link
    signed = sign_chain_head(KIOSK, batch, link, _SIGNER)
    caches = tuple(CacheAge(each, 1, 70_000, 30_000, "fresh") for each in ("standing", "gallery"))  # type: ignore[arg-type]
    state = _made(
        KioskState,
        type="kiosk_state",
        kiosk=KIOSK,
        presence=Presence.READY,
        boot_id=_TOKEN,
        issued_at_ms=_NOW_MS,
        clock_sure=True,
        software="0.2.0",
        pack_digest=_DIGEST,
        recipe_digest=_DIGEST,
        caches=caches,
    )
    metrics = tuple(Metric(f"metric_{number}_ms", 1.5) for number in range(12))  # type: ignore[arg-type]
    request = StandingRequest(nonce, _NOW_MS, standing.subject)  # type: ignore[arg-type]
    return Sizes(
        standing_row=len(canonical(standing)),
        gallery_row=len(canonical(gallery)),
        head=_sent(topics.standing_head(SITE, PURPOSE), head),
        delta_row=_sent(topics.standing_delta(SITE, PURPOSE), delta) // 16,
        record=_of_kiosk(TopicKind.RECORD, RecordBatch(KIOSK, _NO_BYTES, tuple(records), signed)) // batch,
        receipt=_of_kiosk(TopicKind.RECEIPT, Receipt(KIOSK, batch, link, _NOW_MS)),
        state=_of_kiosk(TopicKind.STATE, state),
        health=_of_kiosk(TopicKind.HEALTH, Health(KIOSK, state.boot_id, _NOW_MS, metrics)),
        request=_of_kiosk(TopicKind.REQUEST, request),
        reply=_of_kiosk(TopicKind.REPLY, StandingReply(nonce, _NOW_MS, 1, 70_000, standing)),  # type: ignore[arg-type]
    )


@dataclass(frozen=True, slots=True)
class Load:
    """What a deployment asks of its parts; rates are of the busiest hour where they say peak."""

    passes_peak_per_s: float
    rows_at_a_kiosk: int
    kiosk_database_mb: float
    kiosk_down_mb_per_day: float
    kiosk_up_mb_per_day: float
    snapshot_mb: float
    broker_messages_peak_per_s: float
    broker_peak_mbit_per_s: float
    broker_memory_gb: float
    misses_peak_per_s: float
    standings_signed_peak_per_s: float
    records_gb_per_day: float
    records_kept_gb: float
    members_gb: float


def load(sizes: Sizes, members: int, kiosks: int, sites: int, passes_per_day: float) -> Load:
    """The sums. A standing changes once a pass; a kiosk holds the members of its own site."""
    rows, per_site, passes_s = members // sites, kiosks / sites, passes_per_day / DAY_S
    heads_s, changes_s, own_s = 2 / HEAD_EVERY_S, passes_s / sites, passes_s / kiosks

    def down(busy: float) -> float:
        """Bytes a second to a kiosk: heads, changes of its site, receipts, answers about guests."""
        answers = sizes.receipt + GUESTS * (sizes.reply + sizes.gallery_row)
        return heads_s * sizes.head + busy * (changes_s * sizes.delta_row + own_s * answers)

    def up(busy: float) -> float:
        """Bytes a second from a kiosk: state, health, records, questions about guests."""
        said = sizes.record + GUESTS * 2 * sizes.request
        return sizes.state / STATE_EVERY_S + sizes.health / HEALTH_EVERY_S + busy * own_s * said

    # Each message goes into the broker once, and out once, or once for each kiosk of the site.
    fed_s = sites * (heads_s + changes_s * PEAK) * (1 + per_site)
    told_s = kiosks * (1 / STATE_EVERY_S + 1 / HEALTH_EVERY_S) * 2
    passed_s = passes_s * PEAK * (2 + 2 * 2 * GUESTS) * 2
    snapshot = rows * (sizes.standing_row + sizes.gallery_row)
    records_per_day = passes_per_day * sizes.record * RECORD_OVERHEAD
    return Load(
        passes_peak_per_s=passes_s * PEAK,
        rows_at_a_kiosk=rows,
        kiosk_database_mb=snapshot * ROW_OVERHEAD / 1e6,
        kiosk_down_mb_per_day=down(1) * DAY_S / 1e6,
        kiosk_up_mb_per_day=up(1) * DAY_S / 1e6,
        snapshot_mb=snapshot / 1e6,
        broker_messages_peak_per_s=fed_s + told_s + passed_s,
        broker_peak_mbit_per_s=kiosks * (down(PEAK) + up(PEAK)) * 8 / 1e6,
        broker_memory_gb=kiosks * CONNECTION_KB / 1e6,
        misses_peak_per_s=passes_s * PEAK * GUESTS * 2,
        standings_signed_peak_per_s=passes_s * PEAK,
        records_gb_per_day=records_per_day / 1e9,
        records_kept_gb=records_per_day * RECORDS_KEPT_DAYS / 1e9,
        members_gb=members * MEMBER_DISK_BYTES / 1e9,
    )


def main(
    members: Annotated[int, typer.Option(min=1)] = 22_000_000,
    kiosks: Annotated[int, typer.Option(min=1)] = 5_000,
    sites: Annotated[int, typer.Option(min=1, help="Each one shard of central.")] = 250,
    passes_per_day: Annotated[float, typer.Option(min=1)] = 9_000_000,
    as_json: AsJson = False,
) -> None:
    """Print the sizes of messages and rows, and what a deployment of this size needs."""
    sizes = measured(members // sites, batch=16)
    needed = load(sizes, members, kiosks, sites, passes_per_day)
    if as_json:
        tell_json({"sizes_bytes": asdict(sizes), "load": asdict(needed)})
        return
    console = Console()
    for title, found in (("bytes", asdict(sizes)), ("needed", asdict(needed))):
        table = Table("what", title, show_edge=False)
        for name, value in found.items():
            table.add_row(
                name.replace("_", " "), f"{value:,.1f}" if isinstance(value, float) else f"{value:,}"
            )
        console.print(table)


if __name__ == "__main__":
    typer.run(main)
