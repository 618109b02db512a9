"""The HTTP API: a token, bounded bodies, and errors that say what is wrong."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3

import httpx
import msgspec
import pytest

from central.app import load_config
from central.rules.restriction import CONTEST_DAYS, Terms
from central.rules.review import Outcome, lift, rule
from central.trial import add_reviewer, issue_restriction
from tests.doubles.central_rig import CONSENT, RIDE, Rig, member_body
from wire.environment import utc_ms
from wire.ids import ReasonCode, ReviewerId
from wire.signing import DAY_MS


async def test_a_member_is_enrolled_given_a_claim_and_a_pin_and_explained(rig: Rig):
    subject = "1" * 32
    async with rig.http() as client:
        assert (await client.post("/v1/subjects", json=member_body(rig, subject))).status_code == 201
        claim = await client.post(f"/v1/subjects/{subject}/claims", json={"kind": "qr"})
        assert len(claim.json()["claim_id"]) == 32
        card = await client.post(f"/v1/subjects/{subject}/claims", json={"kind": "card", "text": "12345678"})
        assert card.status_code == 201
        assert (await client.put(f"/v1/subjects/{subject}/pin", json={"pin": "4711"})).status_code == 200
        event = {
            "event_id": "fare-1",
            "purpose": "ride",
            "kind": "fare",
            "outcome": "kept",
            "at_ms": rig.clock.ms,
        }
        assert (await client.post(f"/v1/subjects/{subject}/events", json=event)).text == "510"
        twice = await client.post(f"/v1/subjects/{subject}/events", json=event)
        assert (twice.status_code, twice.json()["error"]) == (409, "conflict")
        told = (await client.get(f"/v1/subjects/{subject}/standing/ride")).json()
        assert (told["score"], told["tier"], told["events_counted"]) == (510, "standard", 1)
        assert told["factors"] == [{"kind": "fare_kept", "points": 10, "text": "You paid your fares."}]
        assert (await client.get(f"/v1/subjects/{subject}/standing/locker")).json()["score"] == 500
        disputed = await client.post("/v1/events/fare-1/dispute", json={"note": "That was not me."})
        assert (disputed.status_code, disputed.json()["opened_by"]) == (201, "member")
        told = (await client.get(f"/v1/subjects/{subject}/standing/ride")).json()
        assert (told["score"], told["events_disputed"]) == (500, 1)
        assert (await client.delete(f"/v1/subjects/{subject}")).status_code == 200
        assert (await client.get(f"/v1/subjects/{subject}/standing/ride")).status_code == 409


async def test_without_the_token_nothing_answers_but_pairing_and_what_members_may_read(rig: Rig):
    async with httpx.AsyncClient(base_url=rig.central.http_url) as client:
        told = (await client.get("/v1/scorecards")).json()
        assert told["scorecards"] == [{"purpose": "locker", "version": 1}, {"purpose": "ride", "version": 1}]
        assert (await client.get("/v1/scorecards/ride")).json()["base"] == 500
        text = await client.get("/v1/scorecards/ride/text")
        assert "fare broken: -60 points each" in text.text
        assert (await client.get("/v1/scorecards/none")).status_code == 404
        assert (await client.get("/v1/contests/K7PD-2MXW")).status_code == 404
        assert (await client.get("/v1/contests/../kiosks")).status_code in (401, 404)
        for path in ("/v1/restrictions", "/v1/cases", "/v1/scorecards-of-others", "/v1/contests"):
            assert (await client.get(path)).status_code == 401, path
        assert (await client.post("/v1/rulings", content=b"{}")).status_code == 401
        assert (await client.get("/v1/kiosks")).status_code == 401
        wrong = {"authorization": "Bearer wrong"}
        assert (await client.get("/v1/kiosks", headers=wrong)).status_code == 401
        assert (await client.post("/v1/pair", content=b"{}")).status_code == 422


async def test_a_member_contests_by_code_alone_and_a_reviewers_signature_settles_it(rig: Rig):
    config, use_cases = load_config(rig.config), rig.central.use_cases
    names = [ReviewerId(name) for name in ("ada", "cas", "bea")]
    reviewers = [await asyncio.to_thread(add_reviewer, config, name) for name in names]
    rig.clock.advance(max(0, utc_ms() + 1 - rig.clock.ms))
    subject, _ = rig.add_member()
    terms = Terms(subject, "metro", RIDE, ReasonCode("assault"), "Incident 12", rig.clock.ms + DAY_MS)
    made = issue_restriction(use_cases, terms, reviewers[:2])
    path = f"/v1/contests/{made.contest_code}"
    async with httpx.AsyncClient(base_url=rig.central.http_url) as member:
        told = await member.get(path)
        assert (told.json()["state"], told.json()["reason_text"]) == ("in force", "Incident 12")
        contested = await member.post(path, json={"note": "I was not there."})
        assert (contested.status_code, contested.json()["state"]) == (201, "contested")
        assert contested.json()["decide_by_ms"] == rig.clock.ms + CONTEST_DAYS * DAY_MS
        assert (await member.post(path, json={"note": "Again."})).status_code == 409
        assert (await member.post(path, json={"note": ""})).status_code == 422
        for hidden in (subject, made.restriction_id, "ada", "cas"):
            assert hidden not in told.text + contested.text
    (case,) = use_cases.reviews.open_cases()
    rulings = [
        rule(
            case,
            Outcome.STRUCK,
            note="Mistaken.",
            reviewer=own.signer,
            certificate=own.certificate,
            at_ms=rig.clock.ms,
        )
        for own in reviewers[1:]
    ]
    async with rig.http() as client:
        waiting = (await client.get("/v1/cases")).json()
        assert [each["target"] for each in waiting] == [made.restriction_id]
        forged = msgspec.structs.replace(rulings[1], outcome=Outcome.UPHELD)
        for refused in (rulings[0], forged):
            answer = await client.post("/v1/rulings", content=msgspec.json.encode(refused))
            assert (answer.status_code, answer.json()["error"]) == (422, "refused")
        assert (await client.post("/v1/rulings", content=b"[]")).status_code == 422
        answer = await client.post("/v1/rulings", content=msgspec.json.encode(rulings[1]))
        assert (answer.status_code, answer.json()["settled_by"]) == (201, "bea")
        (listed,) = (await client.get("/v1/restrictions")).json()
        assert (listed["state"], listed["contests"][0]["ruling"]) == ("struck", "Mistaken.")
    assert use_cases.standings.issued(subject, RIDE).restrictions == ()


async def test_a_restriction_is_lifted_over_http_by_one_reviewers_signature(rig: Rig):
    config, use_cases = load_config(rig.config), rig.central.use_cases
    names = [ReviewerId(name) for name in ("ada", "bea")]
    reviewers = [await asyncio.to_thread(add_reviewer, config, name) for name in names]
    rig.clock.ms = max(rig.clock.ms, utc_ms() + 1)
    subject, _ = rig.add_member()
    terms = Terms(subject, "metro", RIDE, ReasonCode("assault"), "Incident 12", rig.clock.ms + DAY_MS)
    made = issue_restriction(use_cases, terms, reviewers)
    ada = reviewers[0]
    signed = lift(
        made.restriction_id,
        note="Settled.",
        reviewer=ada.signer,
        certificate=ada.certificate,
        at_ms=rig.clock.ms,
    )
    async with rig.http() as client:
        for bent in (b"[]", msgspec.json.encode(msgspec.structs.replace(signed, note="Otherwise."))):
            assert (await client.post("/v1/liftings", content=bent)).status_code == 422
        assert len(use_cases.standings.issued(subject, RIDE).restrictions) == 1
        answer = await client.post("/v1/liftings", content=msgspec.json.encode(signed))
        assert (answer.status_code, answer.json()) == (201, {"lifted": made.restriction_id})
    assert use_cases.standings.issued(subject, RIDE).restrictions == ()


async def test_a_template_sealed_for_somebody_else_is_refused(rig: Rig):
    async with rig.http() as client:
        answer = await client.post("/v1/subjects", json=member_body(rig, "1" * 32, sealed_for="2" * 32))
        assert (answer.status_code, answer.json()["error"]) == (422, "refused")
        missing = await client.get(f"/v1/subjects/{'1' * 32}/standing/ride")
        assert missing.status_code == 404


@pytest.mark.parametrize(
    ("path", "sent", "named"),
    [
        ("/v1/subjects", {"subject": "1" * 31, "consent": CONSENT}, "body.subject"),
        ("/v1/subjects", {"subject": "1" * 32, "consent": CONSENT, "photo": "x"}, "`photo`"),
        ("/v1/kiosks", {"kiosk": "Gate", "purpose": "ride"}, "body.kiosk"),
        ("/v1/kiosks", {"kiosk": "gate-1", "purpose": "none"}, "purpose"),
        (f"/v1/subjects/{'1' * 32}/claims", {"kind": "face"}, "body.kind"),
        ("/v1/restrictions", {}, "array"),
    ],
)
async def test_an_invalid_body_is_refused_by_name(rig: Rig, path: str, sent: object, named: str):
    async with rig.http() as client:
        answer = await client.post(path, json=sent)
    assert answer.status_code in (404, 422)
    assert named in answer.json()["detail"]


async def test_a_body_past_the_bound_is_refused_unread(rig: Rig):
    async with rig.http() as client:
        assert (await client.post("/v1/subjects", content=b" " * 8193)).status_code == 413

        async def of_unknown_length():
            yield b"{}"

        answer = await client.post("/v1/subjects", content=of_unknown_length())
        assert (answer.status_code, answer.headers["connection"]) == (413, "close")


async def test_central_goes_on_answering_while_another_program_holds_its_database(rig: Rig):
    held = sqlite3.connect(rig.config.parent / "central.db", isolation_level=None)
    with contextlib.closing(held) as other:
        other.execute("BEGIN IMMEDIATE")
        async with rig.http() as client:
            enrolling = asyncio.create_task(client.post("/v1/subjects", json=member_body(rig, "1" * 32)))
            for _ in range(10):  # the request is on its way, and waits for the database
                assert (await client.get("/v1/restrictions")).status_code == 200
            assert not enrolling.done()
            other.execute("ROLLBACK")
            assert (await enrolling).status_code == 201
