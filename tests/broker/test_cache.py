"""What a kiosk's caches are filled from: heads, chunks, and requests on a miss."""

from __future__ import annotations

import msgspec

from central.app import load_config
from central.rules.restriction import Terms
from central.rules.scorecard import Event, EventKind, EventOutcome
from central.service.feeds import LEASE_MS
from central.trial import add_reviewer, issue_restriction
from tests.doubles.central_rig import LOAN, RECIPE, RIDE, KioskEnd, Rig, kiosk_state
from tests.doubles.waiting import eventually
from wire.canonical import canonical
from wire.environment import utc_ms
from wire.fleet import Head, Presence
from wire.ids import GalleryName, ReasonCode, ReviewerId, SubjectId
from wire.packing import row_number, rows_digest, unpack_gallery, unpack_standings
from wire.requests import (
    ClaimRequest,
    GalleryChunkRequest,
    HeadRequest,
    Refusal,
    SnapshotChunkRequest,
    StandingRequest,
)
from wire.sealing import open_seal, template_binding
from wire.signing import DAY_MS, restriction_holds
from wire.topics import TopicKind
from wire.values import GalleryRow, Standing, Tombstone

MEMBERS = GalleryName("members")


async def standings_of(end: KioskEnd) -> dict[str, Standing | Tombstone]:
    """Take the whole cache, as wire/README.md says."""
    head = (await end.ask(HeadRequest)).head
    rows = []
    for index, digest in enumerate(head.chunk_digests):
        chunk = await end.ask(SnapshotChunkRequest, epoch=head.epoch, version=head.version, index=index)
        unpacked = unpack_standings(chunk.packed)
        assert unpacked is not None
        assert unpacked.digest == digest
        rows += unpacked.rows
    assert len(rows) == head.count
    assert rows_digest(sum(row_number(canonical(row)) for row in rows)) == head.rows_digest
    return {row.subject: row for row in rows}


def fare(rig: Rig, subject: SubjectId, number: int, outcome: EventOutcome = EventOutcome.KEPT) -> None:
    event = Event(f"e{number}", subject, RIDE, EventKind.FARE, outcome, rig.clock.ms - number)
    rig.central.use_cases.standings.record_event(event)


async def test_a_kiosk_takes_every_standing_from_nothing(rig: Rig):
    subjects = [rig.add_member()[0] for _ in range(40)]
    for number in range(30):
        fare(rig, subjects[0], number)
    rig.central.publish_heads()
    async with rig.kiosk() as end:
        cache = await standings_of(end)
        assert sorted(cache) == sorted(subjects)
        assert (cache[subjects[0]].tier, cache[subjects[1]].tier) == ("priority", "standard")
        assert cache[subjects[0]].factors[0].text == "You paid your fares."


async def test_a_template_opens_with_the_sites_key_for_its_own_subject_only(rig: Rig):
    subject, claim = rig.add_member()
    rig.central.publish_heads()
    async with rig.kiosk() as end:
        head = (await end.ask(HeadRequest, gallery=MEMBERS)).head
        asked = {"gallery": MEMBERS, "epoch": head.epoch, "version": head.version, "index": 0}
        chunk = await end.ask(GalleryChunkRequest, **asked)
        unpacked = unpack_gallery(chunk.packed)
        (row,) = unpacked.rows
        assert unpacked.digest == head.chunk_digests[0]
        assert row.claim_digests == (end.claim_digest(claim),)
        keys = {key.version: key.key for key in end.secrets.gallery_keys}
        binding = template_binding(end.grant.operator, end.grant.site, subject, RECIPE)
        assert len(open_seal(keys, row.template.sealed, binding)) == 512


async def test_a_miss_is_answered_by_the_standing_at_once(rig: Rig):
    async with rig.kiosk() as end:
        subject, claim = rig.add_member()
        reply = await end.ask(StandingRequest, subject=subject)
        assert isinstance(reply.entry, Standing)
        assert (reply.entry.purpose, reply.entry.operator) == ("ride", "metro")
        row = (await end.ask(ClaimRequest, gallery=MEMBERS, claim_digest=end.claim_digest(claim))).entry
        assert isinstance(row, GalleryRow)
        assert row.subject == subject
        assert (await end.ask(StandingRequest, subject=SubjectId("0" * 32))).entry is None
        unknown = end.claim_digest("0" * 32)
        assert (await end.ask(ClaimRequest, gallery=MEMBERS, claim_digest=unknown)).entry is None


async def test_a_standing_of_another_purpose_is_never_served(rig: Rig):
    subject, _ = rig.add_member()
    for number in range(30):
        fare(rig, subject, number)
    rig.central.publish_heads()
    async with rig.kiosk("lockers", LOAN) as end:
        reply = await end.ask(StandingRequest, subject=subject)
        assert (reply.entry.purpose, reply.entry.score) == ("locker", 500)
        assert {row.purpose for row in (await standings_of(end)).values()} == {"locker"}
        end.send(TopicKind.REQUEST, StandingRequest(end.nonce(), end.clock.ms + 1, subject), RIDE)
        await eventually(lambda: rig.central.router.ignored["wrong_purpose"] == 1)
        assert {received.purpose for received in end.heard} <= {LOAN, ""}


async def test_another_purposes_head_is_no_head_for_this_kiosk(rig: Rig):
    async with rig.kiosk("gate-1", RIDE) as end:
        assert (await end.ask(HeadRequest)).head.name == RIDE
        refused = await end.ask(HeadRequest, gallery=GalleryName("others"))
        assert refused.reason is Refusal.UNKNOWN_FEED


async def test_an_older_version_is_served_while_it_is_asked_for_and_superseded_after(rig: Rig):
    rig.add_member()
    rig.central.publish_heads()
    async with rig.kiosk() as end:
        old = (await end.ask(HeadRequest)).head
        rig.add_member()
        rig.central.publish_heads()
        for _ in range(3):
            rig.clock.advance(LEASE_MS)
            chunk = await end.ask(SnapshotChunkRequest, epoch=old.epoch, version=old.version, index=0)
            unpacked = unpack_standings(chunk.packed)
            assert unpacked is not None
            assert unpacked.digest == old.chunk_digests[0]
        rig.clock.advance(LEASE_MS + 1)
        rig.central.publish_heads()
        refused = await end.ask(SnapshotChunkRequest, epoch=old.epoch, version=old.version, index=0)
        assert refused.reason is Refusal.SUPERSEDED
        new = (await end.ask(HeadRequest)).head
        assert (new.epoch, new.version, new.count) == (old.epoch, old.version + 1, 2)
        beyond = await end.ask(SnapshotChunkRequest, epoch=new.epoch, version=new.version, index=99)
        assert beyond.reason is Refusal.UNKNOWN_FEED


async def test_a_change_by_the_command_line_reaches_the_head_by_itself(rig: Rig):
    async with rig.kiosk() as end:
        before = (await end.ask(HeadRequest)).head.version
        rig.add_member()
        heard = await end.wait_for(
            lambda: next(
                (
                    r.message
                    for r in end.heard
                    if isinstance(r.message, Head) and r.message.name == RIDE and r.message.version > before
                ),
                None,
            )
        )
        assert heard.count == 1


async def test_an_unchanged_feed_keeps_its_version_over_a_new_signature(rig: Rig):
    rig.add_member()
    rig.central.publish_heads()
    async with rig.kiosk() as end:
        first = (await end.ask(HeadRequest)).head
        rig.clock.advance(60_000)
        rig.central.publish_heads()
        again = (await end.ask(HeadRequest)).head
        assert again == msgspec.structs.replace(first, issued_at_ms=first.issued_at_ms + 60_000)


async def test_a_restored_central_begins_a_new_epoch_that_is_later_than_every_version_before(rig: Rig):
    rig.add_member()
    rig.central.publish_heads()
    async with rig.kiosk() as end:
        before = (await end.ask(HeadRequest)).head
        rig.central.use_cases.feeds.restored()
        rig.central.publish_heads()
        after = (await end.ask(HeadRequest)).head
        gallery = (await end.ask(HeadRequest, gallery=MEMBERS)).head
        assert after.epoch == gallery.epoch > before.epoch
        assert after.epoch >= rig.clock.ms // 1000  # the same backup restored again gives another epoch
        assert len(await standings_of(end)) == 1


async def test_a_withdrawn_subject_is_answered_by_a_tombstone_and_nothing_else_is_left(rig: Rig):
    subject, claim = rig.add_member("4711")
    fare(rig, subject, 1)
    async with rig.kiosk() as end:
        rig.central.use_cases.members.withdraw(subject)
        rig.central.publish_heads()
        assert (await end.ask(StandingRequest, subject=subject)).entry == Tombstone(subject, rig.clock.ms)
        gone = (await end.ask(ClaimRequest, gallery=MEMBERS, claim_digest=end.claim_digest(claim))).entry
        assert gone == Tombstone(subject, rig.clock.ms, (end.claim_digest(claim),))
        assert isinstance((await standings_of(end))[subject], Tombstone)


async def test_a_revoked_claim_is_named_as_revoked(rig: Rig):
    subject, claim = rig.add_member()
    async with rig.kiosk() as end:
        rig.central.use_cases.members.revoke_claim(end.claim_digest(claim))
        row = (await end.ask(ClaimRequest, gallery=MEMBERS, claim_digest=end.claim_digest(claim))).entry
        assert (row.subject, row.claim_digests) == (subject, ())
        assert row.revoked_digests == (end.claim_digest(claim),)


async def test_a_restriction_reaches_the_kiosk_with_its_reviewers_signatures(rig: Rig):
    subject, _ = rig.add_member()
    config = load_config(rig.config)
    reviewers = [add_reviewer(config, ReviewerId(name)) for name in ("ada", "bea")]
    # The reviewers' certificates are of today, the rig's clock is not.
    rig.clock.advance(utc_ms() - rig.clock.ms)
    terms = Terms(
        subject, config.settings.operator, RIDE, ReasonCode("staff_assaulted"), "12", rig.clock.ms + DAY_MS
    )
    made = issue_restriction(rig.central.use_cases, terms, reviewers)
    async with rig.kiosk() as end:
        entry = (await end.ask(StandingRequest, subject=subject)).entry
        assert entry.restrictions == (made,)
        assert restriction_holds(made, end.grant.root_public_key, end.grant.operator)
        rig.clock.advance(DAY_MS)
        assert (await end.ask(StandingRequest, subject=subject)).entry.restrictions == ()


async def test_a_late_request_is_told_so_except_for_a_head(rig: Rig):
    subject, _ = rig.add_member()
    async with rig.kiosk() as end:
        assert (await end.ask(StandingRequest, subject=subject, late=True)).reason is Refusal.TOO_LATE
        assert (await end.ask(HeadRequest, late=True)).head.name == RIDE


async def test_a_kiosks_state_is_known_and_a_will_of_an_earlier_life_is_not_believed(rig: Rig):
    async with rig.kiosk() as end:
        sightings = rig.central.use_cases.kiosks.sightings
        end.send(TopicKind.STATE, kiosk_state(end, Presence.READY, "2"))
        await eventually(lambda: sightings().get("gate-1"))
        end.send(TopicKind.STATE, kiosk_state(end, Presence.LOST, "1"))
        await eventually(lambda: rig.central.router.ignored["late_will"] == 1)
        assert sightings()["gate-1"].presence == "ready"
        end.send(TopicKind.STATE, kiosk_state(end, Presence.LOST, "2"))
        await eventually(lambda: sightings()["gate-1"].presence == "lost")
