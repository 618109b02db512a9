"""The kiosk's side of the wire against a real central over a real broker."""

from __future__ import annotations

import asyncio
import os
import socket
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from central.app import load_config
from central.rules.authority import certify
from central.rules.enrolment import Consent
from central.rules.restriction import Terms
from central.service.feeds import FeedKind
from central.trial import add_reviewer, issue_restriction
from edge.adapters.central.uplink import Uplink
from edge.adapters.storage.cache import FeedName
from edge.adapters.storage.vault import Vault
from edge.compare.claim import QrClaim
from edge.compare.gallery import Template
from edge.compare.member import KnownMember, UnknownMember, WithdrawnMember
from edge.confirm.pin import PinOutcome
from edge.decide.standing import StandingConfig
from edge.decide.verdict import Age, Membership, RestrictionState
from tests.doubles.central_rig import RIDE, Rig
from tests.doubles.kiosk_rig import Host, Kiosk, Watcher, enrol, face, filled, forge
from tests.doubles.waiting import eventually
from tests.doubles.wire_samples import pass_record
from wire import topics
from wire.canonical import canonical
from wire.environment import utc_ms
from wire.fleet import Command, CommandAction, Head, Presence
from wire.ids import ClaimId, GateId, KioskId, Nonce, ReasonCode, ReviewerId
from wire.records import Receipt
from wire.requests import StandingReply
from wire.sealing import open_seal, template_binding
from wire.signing import Signer, endorse
from wire.topics import Address, TopicKind
from wire.values import Role, Tombstone

KIOSK = KioskId("gate-1")
STRANGER = Signer.from_seed(b"x" * 32)
HOUR_MS = 3_600_000


async def test_a_new_kiosk_fills_its_caches_and_knows_a_member_by_their_claim(rig: Rig, kiosk: Kiosk):
    subject, claim = enrol(rig, seed=3)
    rig.central.publish_heads()  # else the change may come once more as a delta, after the snapshot
    async with kiosk.running() as uplink:
        await eventually(lambda: uplink.cache.standing(subject))
        await eventually(lambda: uplink.cache.member(subject))
        known = await uplink.members.resolve(claim)
        assert isinstance(known, KnownMember)
        assert known.subject == subject
        assert known.template is not None
        assert float(known.template.vector @ face(3)) == pytest.approx(1, abs=1e-5)
        assert known.template.images == 3
        assert not known.enrol_again
        view = await uplink.members.standing(subject)
        assert (view.age, view.membership, view.age_ms) == (Age.FRESH, Membership.ACTIVE, 0)
        assert uplink.link.ignored == {}


async def test_templates_lie_at_central_turned_by_the_sites_secret_rotation(rig: Rig, kiosk: Kiosk):
    subject, _ = enrol(rig, seed=3)
    stored = rig.central.use_cases.members.entry(subject).template
    context = rig.central.use_cases.context
    binding = template_binding(context.operator, context.site, subject, stored.recipe_digest)
    plain = np.frombuffer(open_seal(context.gallery_keys, stored.sealed, binding), "<f4")
    assert abs(float(plain @ face(3))) < 0.5
    assert np.linalg.norm(plain) == pytest.approx(1, abs=1e-5)


async def test_who_is_not_cached_is_asked_for(rig: Rig, kiosk: Kiosk):
    async with kiosk.running(standing=patient()) as uplink:
        await filled(uplink)
        subject, claim = enrol(rig)
        assert uplink.cache.member(subject) is None
        known = await uplink.members.resolve(claim)
        assert isinstance(known, KnownMember)
        assert known.subject == subject
        view = await uplink.members.standing(subject)
        assert (view.age, view.standing is not None) == (Age.FRESH, True)


def patient():
    """Loopback answers in milliseconds, but this machine may be busy."""
    return StandingConfig(miss_deadline_ms=2000)


async def test_an_unknown_claim_and_a_template_of_another_recipe_name_no_face(rig: Rig, kiosk: Kiosk):
    subject, claim = enrol(rig, recipe="cd" * 32)
    async with kiosk.running() as uplink:
        await filled(uplink, subject)
        known = await uplink.members.resolve(claim)
        assert isinstance(known, KnownMember)
        assert known.template is None
        assert known.enrol_again
        assert await uplink.members.resolve(QrClaim(ClaimId("0" * 32))) == UnknownMember()
        assert len(uplink.members.gallery()) == 0


async def test_while_the_recipe_changes_members_are_invited_until_they_have_enrolled_again(
    rig: Rig, kiosk: Kiosk
):
    subject, claim = enrol(rig)
    use_cases = rig.central.use_cases
    next_recipe = "ef" * 32

    async def invited(uplink: Uplink) -> bool:
        known = await uplink.members.resolve(claim)
        assert isinstance(known, KnownMember)
        assert known.template is not None, "the kiosk goes on with the template in use"
        return known.enrol_again

    async with kiosk.running() as uplink:
        await filled(uplink, subject)
        assert not await invited(uplink)
        use_cases.reenrolments.begin("fused", "fe" * 32, next_recipe)
        rig.central.publish_heads()
        await eventually(lambda: uplink.cache.member(subject).enrol_again)
        assert await invited(uplink)
        vault = Vault(use_cases.context.operator, use_cases.context.site, use_cases.context.secrets)
        again = vault.seal(Template(subject, face(2), next_recipe, 3), os.urandom)
        assert use_cases.reenrolments.enrol_again(subject, again, Consent("2026-11", "en", rig.clock.ms))
        rig.central.publish_heads()
        await eventually(lambda: not uplink.cache.member(subject).enrol_again)
        assert not await invited(uplink)


async def test_a_member_who_withdraws_is_withdrawn_at_the_kiosk(rig: Rig, kiosk: Kiosk):
    subject, claim = enrol(rig)
    async with kiosk.running() as uplink:
        await eventually(lambda: uplink.cache.member(subject))
        assert len(uplink.members.gallery()) == 1
        rig.central.use_cases.members.withdraw(subject)
        rig.central.publish_heads()
        await eventually(lambda: isinstance(uplink.cache.member(subject), Tombstone))
        await eventually(lambda: isinstance(uplink.cache.standing(subject), Tombstone))
        assert await uplink.members.resolve(claim) == WithdrawnMember()
        assert (await uplink.members.standing(subject)).membership is Membership.WITHDRAWN
        assert len(uplink.members.gallery()) == 0


async def test_a_restriction_of_two_certified_reviewers_is_verified_at_the_kiosk(rig: Rig, kiosk: Kiosk):
    subject, _ = enrol(rig)
    loaded = load_config(rig.config)
    reviewers = [add_reviewer(loaded, ReviewerId(name)) for name in ("noor", "rita")]
    # Reviewers' certificates begin now, by the machine's clock; the rig's clock must not lie before it.
    issued = issue_restriction_at(rig, subject, reviewers)
    rig.central.publish_heads()
    async with kiosk.running() as uplink:
        await eventually(
            lambda: uplink.cache.standing(subject) and uplink.cache.standing(subject).restrictions
        )
        view = await uplink.members.standing(subject)
        assert view.restriction_state is RestrictionState.VERIFIED
        assert view.restriction == issued


async def test_a_restriction_forged_with_all_of_centrals_keys_refuses_nobody_at_the_kiosk(
    rig: Rig, kiosk: Kiosk, monkeypatch: pytest.MonkeyPatch
):
    subject, _ = enrol(rig)
    use_cases, identity = rig.central.use_cases, rig.central.use_cases.context.identity
    until_ms = rig.clock.ms + 24 * HOUR_MS
    forged = use_cases.standings.draft(
        Terms(subject, "metro", RIDE, ReasonCode("conduct"), "See staff", until_ms)
    )
    for name, own, by in (("noor", identity.signer, identity.issuer), ("rita", identity.issuer, STRANGER)):
        made = certify(
            "metro",
            Role.REVIEWER,
            name=name,
            site="",
            public_key=own.public_key,
            now_ms=rig.clock.ms,
            by=by,
        )
        forged = endorse(forged, own, made)
    # A thief's central checks nothing of what it stores and tells.
    assert use_cases.standings._store.add_restriction(forged, 202611, lowest_tier=False)
    monkeypatch.setattr(use_cases.standings, "binding", list)
    rig.central.publish_heads()
    async with kiosk.running() as uplink:
        await eventually(
            lambda: uplink.cache.standing(subject) and uplink.cache.standing(subject).restrictions
        )
        view = await uplink.members.standing(subject)
        assert view.restriction == forged
        assert view.restriction_state is RestrictionState.UNVERIFIED


def issue_restriction_at(rig: Rig, subject, reviewers):
    rig.clock.advance(max(0, utc_ms() + 1 - rig.clock.ms))
    until_ms = rig.clock.ms + 24 * HOUR_MS
    terms = Terms(subject, "metro", RIDE, ReasonCode("conduct"), "See staff", until_ms)
    return issue_restriction(rig.central.use_cases, terms, reviewers)


# --- without central, without a broker


async def test_without_broker_the_cache_answers_and_grows_older(rig: Rig, kiosk: Kiosk):
    subject, claim = enrol(rig, seed=5)
    async with kiosk.running() as uplink:
        await filled(uplink, subject)
    await asyncio.to_thread(rig.central.embedded.stop)
    async with kiosk.running() as uplink:
        assert (await uplink.members.standing(subject)).age is Age.CLOCK_UNSURE
        known = await uplink.members.resolve(claim)
        assert float(known.template.vector @ face(5)) == pytest.approx(1, abs=1e-5)
        assert await uplink.members.resolve(QrClaim(ClaimId("0" * 32))) == UnknownMember()
        assert (await uplink.pins.check(subject, "1234")).outcome is PinOutcome.UNAVAILABLE
        assert not uplink.link.connected


async def test_a_cache_ages_from_fresh_to_stale_to_beyond_grace_while_central_is_silent(
    rig: Rig,
    kiosk: Kiosk,
):
    subject, _ = enrol(rig)
    async with kiosk.running() as uplink:
        await filled(uplink, subject)
        await eventually(lambda: uplink.clock.sure)
        assert uplink.central_seen
        await rig.central.link.close()
        assert await uplink.members.resolve(QrClaim(ClaimId("0" * 32))) == UnknownMember()
        assert (uplink.link.connected, uplink.central_seen) == (True, False)
        ages = []
        for step_ms in (0, 300_000, 1, 86_400_000):
            kiosk.host.passes(step_ms)
            ages.append((await uplink.members.standing(subject)).age)
        assert ages == [Age.FRESH, Age.FRESH, Age.STALE, Age.BEYOND_GRACE]


async def test_a_kiosk_that_starts_before_its_broker_connects_by_itself_and_loses_no_record(
    rig: Rig,
    kiosk: Kiosk,
):
    await asyncio.to_thread(rig.central.embedded.stop)
    async with kiosk.running() as uplink:
        for number in range(1, 6):
            await uplink.outbox.settle(pass_record(KIOSK, number))
        await eventually(lambda: uplink.link.connection.trouble)
        assert uplink.outbox.backlog.waiting == 5
        await asyncio.to_thread(rig.central.embedded.restart)
        await eventually(lambda: uplink.outbox.backlog.waiting == 0)
    (report,) = rig.central.use_cases.records.verify()
    assert (report.records, report.broken_at) == (5, None)


async def test_a_broker_that_restarts_costs_nothing(rig: Rig, kiosk: Kiosk):
    async with kiosk.running() as uplink:
        await filled(uplink)
        await uplink.outbox.settle(pass_record(KIOSK, 1))
        await eventually(lambda: uplink.outbox.backlog.waiting == 0)
        await asyncio.to_thread(rig.central.embedded.restart)
        await uplink.outbox.settle(pass_record(KIOSK, 2))
        await eventually(lambda: uplink.link.connection.connects == 2)
        await eventually(lambda: uplink.outbox.backlog.waiting == 0)
    (report,) = rig.central.use_cases.records.verify()
    assert (report.records, report.broken_at) == (2, None)


# --- what is not to be believed


async def send(rig: Rig, address: Address, payload: bytes) -> None:
    assert rig.central.link.publish(address, payload)


async def test_heads_that_are_not_to_be_believed_are_counted_and_the_last_verified_cache_stays(
    rig: Rig,
    kiosk: Kiosk,
):
    subject, _ = enrol(rig)
    rig.central.publish_heads()  # else it may come once more as a delta, after the snapshot
    context = rig.central.use_cases.context
    central, site = context.identity.signer, context.site
    address = topics.standing_head(site, RIDE)
    later = Head(RIDE, 9, 9, rig.clock.ms + 1, 0, bytes(32), ())
    good = forge(address, later, central)
    envelope = msgspec.msgpack.decode(good)
    signed = msgspec.structs.replace(later, version=10)
    watcher = Watcher()
    async with watcher.watching(rig), kiosk.running() as uplink:
        await filled(uplink, subject)
        held = uplink.cache.held(FeedName.STANDING)
        await send(rig, address, forge(address, later, STRANGER))  # nobody's key
        await send(rig, address, canonical([*envelope[:4], b"\0" * 64, msgspec.Raw(canonical(signed))]))
        await send(rig, address, forge(address, later, central, purpose="locker"))
        await send(rig, address, forge(address, later, central, operator="tram"))
        await send(rig, address, canonical([2, *envelope[1:]]))
        await send(rig, address, forge(address, Head("locker", 9, 9, 1, 0, bytes(32), ()), central))
        await send(
            rig, address, forge(address, Head(RIDE, 0, 1, rig.clock.ms + 1, 0, bytes(32), ()), central)
        )
        replayed = Head(RIDE, held.epoch, held.version, held.issued_at_ms - HOUR_MS, 1, bytes(32), ())
        await send(rig, address, forge(address, replayed, central))
        await send(rig, address, b"\xc1 not a message")
        receipt = topics.kiosk_topic(TopicKind.RECEIPT, site, KIOSK)
        await send(rig, receipt, b"\0" * (receipt.rule.max_bytes + 1))
        expected = {
            "unknown_key": 1,
            "bad_signature": 1,
            "wrong_purpose": 1,
            "wrong_operator": 1,
            "unknown_version": 1,
            "wrong_feed": 1,
            "older_head": 2,
            "malformed": 1,
            "oversized": 1,
        }
        await eventually(lambda: uplink.link.ignored == expected)
        assert uplink.cache.held(FeedName.STANDING) == held
        assert (await uplink.members.standing(subject)).age is Age.FRESH
        told = await watcher.state(lambda state: len(state.ignored) == len(expected))
        assert {counter.reason: counter.count for counter in told.ignored} == expected


async def test_a_snapshot_whose_chunk_is_not_the_one_the_head_named_is_not_used(rig: Rig, kiosk: Kiosk):
    subject, _ = enrol(rig)
    context = rig.central.use_cases.context
    async with kiosk.running() as uplink:
        await filled(uplink, subject)
        held = uplink.cache.held(FeedName.STANDING)
        address = topics.standing_head(context.site, RIDE)
        wrong = Head(RIDE, held.epoch, held.version, rig.clock.ms, 1, held.digest, (b"w" * 32,))
        feeds = rig.central.use_cases.feeds
        feed = feeds._feeds[FeedKind.STANDING, RIDE]
        # A head of central's own key that names other rows than central then sends.
        feed.snapshot = replace(feed.snapshot, version=held.version + 1)
        wrong = msgspec.structs.replace(wrong, version=held.version + 1, issued_at_ms=rig.clock.ms + 1)
        await send(rig, address, forge(address, wrong, context.identity.signer))
        await eventually(lambda: uplink.link.ignored["wrong_chunk"] == 1)
        assert uplink.cache.held(FeedName.STANDING) == held
        assert uplink.cache.standing(subject) is not None


async def test_forged_receipts_and_replies_nobody_asked_for_are_ignored_and_counted(rig: Rig, kiosk: Kiosk):
    context = rig.central.use_cases.context
    to = topics.kiosk_topic(TopicKind.RECEIPT, context.site, KIOSK)
    reply_to = topics.kiosk_topic(TopicKind.REPLY, context.site, KIOSK)
    async with kiosk.running() as uplink:
        await filled(uplink)
        await send(rig, to, forge(to, Receipt(KIOSK, 1, b"l" * 32, 1), STRANGER))
        await send(rig, to, forge(to, Receipt(KIOSK, 0, b"l" * 32, 1), context.identity.signer))
        unasked = StandingReply(Nonce(b"n" * 16), rig.clock.ms, 1, 1, None)
        await send(rig, reply_to, forge(reply_to, unasked, context.identity.signer))
        await eventually(lambda: uplink.link.ignored == {"unknown_key": 1, "unasked_reply": 1})
        await eventually(lambda: uplink.outbox.ignored == {"receipt_mismatch": 1})
        await uplink.outbox.settle(pass_record(KIOSK, 1))
        await eventually(lambda: uplink.outbox.backlog.acknowledged == 1)


async def test_a_clock_set_back_an_hour_makes_standings_unsure_until_central_is_heard_again(
    rig: Rig,
    kiosk: Kiosk,
):
    subject, _ = enrol(rig)
    watcher = Watcher()
    async with watcher.watching(rig), kiosk.running() as uplink:
        await filled(uplink, subject)
        await eventually(lambda: uplink.clock.sure)
        await rig.central.link.close()
        kiosk.host.clock_ms -= HOUR_MS
        assert (await uplink.members.standing(subject)).age is Age.CLOCK_UNSURE
        told = await watcher.state(lambda state: "clock_stepped" in state.notes)
        assert not told.clock_sure
        assert {cache.freshness for cache in told.caches} == {"clock_unsure"}
        rig.clock.advance(60_000)
        rig.central.link.open(rig.central.broker.host, rig.central.broker.port)
        await eventually(lambda: uplink.clock.sure)
        assert (await uplink.members.standing(subject)).age is Age.FRESH


# --- PINs, commands, state


async def test_a_pin_is_judged_by_central_and_wrong_ones_slow_the_kiosk_down_even_after_a_restart(
    rig: Rig,
    kiosk: Kiosk,
):
    subjects = [enrol(rig, seed, pin="2468")[0] for seed in range(5)]
    async with kiosk.running() as uplink:
        await filled(uplink)
        assert (await uplink.pins.check(subjects[0], "2468")).outcome is PinOutcome.RIGHT
        for subject in subjects[:4]:
            judged = await uplink.pins.check(subject, "1111")
            assert (judged.outcome, judged.tries_left) == (PinOutcome.WRONG, 4)
        slowed = await uplink.pins.check(subjects[4], "2468")
        assert (slowed.outcome, slowed.retry_after_ms) == (PinOutcome.WAIT, 1000)
    async with kiosk.running() as uplink:
        await eventually(lambda: uplink.link.connected)
        assert (await uplink.pins.check(subjects[4], "2468")).outcome is PinOutcome.WAIT
        kiosk.host.passes(1000)
        assert (await uplink.pins.check(subjects[4], "2468")).outcome is PinOutcome.RIGHT


async def test_a_command_is_obeyed_once_in_time_and_never_when_retained_or_foreign(rig: Rig, kiosk: Kiosk):
    context = rig.central.use_cases.context
    central = context.identity.signer
    to = topics.kiosk_topic(TopicKind.COMMAND, context.site, KIOSK)

    def order(letter: bytes, issued_ms: int = 1, life_ms: int = 5000) -> Command:
        issued = rig.clock.ms + issued_ms
        return Command(
            Nonce(letter * 16), issued, issued + life_ms, CommandAction.RELEASE_EXIT, GateId("north-1"), "ada"
        )

    async with kiosk.running() as uplink:
        await filled(uplink)
        await eventually(lambda: uplink.clock.sure)
        kiosk.host.passes(1000)
        good = forge(to, order(b"a"), central)
        await send(rig, to, good)
        await eventually(lambda: len(kiosk.host.orders) == 1)
        await send(rig, to, good)
        await send(rig, to, forge(to, order(b"b", life_ms=10), central))
        await send(rig, to, forge(to, order(b"c", issued_ms=-50_000, life_ms=60_000), central))
        await send(rig, to, forge(to, order(b"d", life_ms=60_001), central))
        await send(rig, to, forge(to, order(b"g", issued_ms=100_000, life_ms=60_000), central))
        await send(rig, to, forge(to, order(b"e"), STRANGER))
        assert rig.central.link.publish_retained(to.topic, forge(to, order(b"f"), central))
        refused = {
            "replayed_command": 1,
            "late_command": 1,
            "command_before_start": 1,
            "long_command": 2,
            "unknown_key": 1,
        }
        await eventually(
            lambda: all(uplink.link.ignored[reason] == times for reason, times in refused.items())
        )
        await eventually(lambda: len(kiosk.host.orders) == 2)  # the last one came live, and was obeyed
    async with kiosk.running() as uplink:
        await eventually(lambda: uplink.link.ignored["retained_command"] == 1)
        assert len(kiosk.host.orders) == 2


async def test_a_command_with_the_longest_life_is_obeyed_by_a_kiosk_whose_clock_is_behind(
    rig: Rig, kiosk: Kiosk
):
    context = rig.central.use_cases.context
    to = topics.kiosk_topic(TopicKind.COMMAND, context.site, KIOSK)
    async with kiosk.running() as uplink:
        await filled(uplink)
        now_ms = await eventually(uplink.clock.now_ms)
        issued_ms = now_ms + 4_000
        command = Command(
            Nonce(b"a" * 16), issued_ms, issued_ms + 60_000, CommandAction.RELEASE_EXIT, None, "ada"
        )
        await send(rig, to, forge(to, command, context.identity.signer))
        await eventually(lambda: kiosk.host.orders == [command])


async def test_a_kiosk_says_how_it_is_at_birth_at_changes_at_roll_call_and_at_its_end(rig: Rig, kiosk: Kiosk):
    watcher = Watcher()
    async with watcher.watching(rig):
        async with kiosk.running() as uplink:
            birth = await watcher.state(lambda state: state.presence is Presence.INIT)
            assert (birth.kiosk, birth.software, birth.recipe_digest) == (KIOSK, "0.1.0", "ab" * 32)
            await filled(uplink)
            kiosk.host.presence, kiosk.host.notes = Presence.READY, ["camera_black"]
            ready = await watcher.state(lambda state: "camera_black" in state.notes)
            assert (ready.presence, ready.boot_id) == (Presence.READY, birth.boot_id)
            assert {cache.freshness for cache in ready.caches} == {"fresh"}
            address, payload = rig.central.router.roll_call()
            await send(rig, address, payload)
            await watcher.state(lambda state: state.roll_call is not None)
            health = await eventually(lambda: watcher.healths and watcher.healths[0])
            assert "outbox_waiting_count" in {metric.name for metric in health.metrics}
        await watcher.state(lambda state: state.presence is Presence.DISCONNECTED)
    assert Presence.LOST not in {state.presence for state in watcher.states}


async def test_a_kiosk_that_vanishes_is_lost_by_its_will_and_comes_back_under_the_same_boot_id(
    rig: Rig,
    kiosk: Kiosk,
):
    watcher = Watcher()
    async with watcher.watching(rig), kiosk.running() as uplink:
        birth = await watcher.state(lambda state: state.presence is Presence.INIT)
        cut = uplink.link.connection._client.socket()
        cut.shutdown(socket.SHUT_RDWR)
        lost = await watcher.state(lambda state: state.presence is Presence.LOST)
        assert lost.boot_id == birth.boot_id
        await eventually(lambda: uplink.link.connection.connects == 2)
        await eventually(lambda: watcher.states[-1].presence is Presence.INIT)


async def test_another_life_of_a_kiosk_has_another_boot_id(rig: Rig, kiosk: Kiosk):
    watcher = Watcher()
    async with watcher.watching(rig):
        for _ in range(2):
            async with kiosk.running():
                seen = len(watcher.states)
                await eventually(lambda seen=seen: len(watcher.states) > seen)
    assert len({state.boot_id for state in watcher.states}) == 2
    assert Host().orders == []
