"""Members' pages as a browser without scripts sees them: forms, answers, and what nobody learns from them."""

from __future__ import annotations

import asyncio
import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest

from central.adapters.http.member_pages import counter as counters
from central.adapters.http.member_pages.attempts import EACH_MAX, SPAN_MS, Attempts, network_of
from central.adapters.http.member_pages.forms import (
    FormError,
    claim_of,
    contest_of,
    note_of,
    pin_of,
    read_form,
)
from central.adapters.http.member_pages.texts import MESSAGES, chosen, read_messages
from central.adapters.http.member_pages.tickets import KEPT_MAX, LIFE_MS, Step, Tickets
from central.app import load_config
from central.errors import UnknownError
from central.rules.restriction import Terms
from central.rules.subjects import FIRST_WAIT_MS, PIN_TRIES
from central.service import visits
from central.trial import add_reviewer, issue_restriction
from edge.compare.claim import qr_text
from edge.decide.verdict import Reason
from tests.doubles.central_rig import RIDE, Rig, held, kiosk_state, new_config, running
from tests.doubles.ledger_samples import asked
from tests.doubles.waiting import WAIT_S
from tests.doubles.wire_samples import SUBJECT
from wire.claims import ClaimKind
from wire.environment import utc_ms
from wire.ids import ClaimId, ReasonCode, ReviewerId, SubjectId
from wire.requests import ChargeReason
from wire.signing import DAY_MS
from wire.topics import TopicKind

WORDS = read_messages()
EN = WORDS["en"]
PIN = "4711"


def pages(rig: Rig) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=rig.central.http_url, headers={"accept-language": "en"})


def said(answer: httpx.Response) -> str:
    """What a page says, without its tags."""
    text = re.sub(r"<[^>]+>", " ", answer.text)
    return re.sub(r"\s+", " ", unescape(text))


def ticket_in(answer: httpx.Response) -> str:
    (found,) = re.findall(r'name="ticket" value="([0-9a-f]{32})"', answer.text)
    return found


async def restricted(rig: Rig, text: str = "Incident 12") -> tuple[SubjectId, ClaimId, str]:
    """A member with a restriction of ada's and bea's, and the contest code."""
    config, names = load_config(rig.config), [ReviewerId(name) for name in ("ada", "bea")]
    reviewers = [await asyncio.to_thread(add_reviewer, config, name) for name in names]
    rig.clock.advance(max(0, utc_ms() + 1 - rig.clock.ms))
    subject, claim = rig.add_member(PIN)
    terms = Terms(subject, "metro", RIDE, ReasonCode("assault"), text, rig.clock.ms + DAY_MS)
    return subject, claim, issue_restriction(rig.central.use_cases, terms, reviewers).contest_code


async def test_a_restriction_is_read_and_contested_by_its_code_alone(rig: Rig, tmp_path: Path) -> None:
    subject, _, code = await restricted(rig, "Nobody may <b>shout</b> & run")
    async with pages(rig) as member:
        told = await member.post("/contest", data={"contest": code.replace("-", " ").lower()})
        assert told.status_code == 200
        assert "Nobody may &lt;b&gt;shout&lt;/b&gt; &amp; run" in told.text
        for sentence in (EN.state["in force"], "two reviewers of metro, two people", code):
            assert sentence in said(told)
        empty = await member.post("/contest/note", data={"contest": code, "note": "  "})
        assert empty.status_code == 422
        assert EN.problem["note_needed"].title in said(empty)
        sent = await member.post("/contest/note", data={"contest": code, "note": "I was <i>elsewhere</i>."})
        assert (sent.status_code, EN.contest.sent in said(sent)) == (200, True)
        assert "I was &lt;i&gt;elsewhere&lt;/i&gt;." in sent.text
        again = await member.post("/contest/note", data={"contest": code, "note": "Again."})
        assert (again.status_code, EN.problem["not_contested"].title in said(again)) == (409, True)
        for hidden in (subject, "ada"):
            assert hidden not in told.text + sent.text + again.text
    (case,) = rig.central.use_cases.reviews.open_cases()
    assert case.note == "I was <i>elsewhere</i>."


async def test_a_member_withdraws_with_code_and_pin_and_only_by_confirming(rig: Rig) -> None:
    subject, claim = rig.add_member(PIN)
    async with pages(rig) as member:
        asked = await member.post("/withdraw", data={"code": qr_text(claim), "pin": PIN})
        assert asked.status_code == 200
        for sentence in EN.withdraw.consequences:
            assert sentence.replace("{days}", "30") in said(asked)
        assert rig.central.use_cases.members.active(subject)
        assert PIN not in asked.text
        assert claim not in asked.text.lower()
        ticket = ticket_in(asked)
        done = await member.post("/withdraw/confirm", data={"ticket": ticket})
        assert (done.status_code, EN.withdraw.done in said(done)) == (200, True)
        twice = await member.post("/withdraw/confirm", data={"ticket": ticket})
        assert (twice.status_code, EN.problem["late"].title in said(twice)) == (422, True)
    assert rig.central.use_cases.members.entry(subject).withdrawn_at_ms == rig.clock.ms


async def test_who_withdrew_sees_kiosk_after_kiosk_confirm_it(rig: Rig) -> None:
    _, claim = rig.add_member(PIN)
    async with rig.kiosk("gate-1") as kiosk, pages(rig) as member:
        asked = await member.post("/withdraw", data={"code": claim, "pin": PIN})
        done = await member.post("/withdraw/confirm", data={"ticket": ticket_in(asked)})
        assert EN.withdraw.heard.format(heard=0, all=1) in said(done)
        rig.central.publish_heads()
        use_cases = rig.central.use_cases
        heads = {"gallery": use_cases.feeds.gallery_heads(), "standing": use_cases.feeds.standing_heads()}
        versions = {
            "gallery": heads["gallery"]["members"].version,
            "standings": heads["standing"][RIDE].version,
        }
        kiosk.send(TopicKind.STATE, kiosk_state(kiosk, caches=held(**versions)))
        async with asyncio.timeout(WAIT_S):
            while EN.withdraw.heard_all.format(all=1) not in said(done):
                done = await member.post("/withdraw/heard", data={"ticket": ticket_in(done)})
                assert done.status_code == 200
        assert "ticket" not in done.text


async def test_a_ticket_serves_who_it_was_given_to_once_and_for_ten_minutes() -> None:
    tickets = Tickets(iter_bytes())
    first = tickets.give(Step.WITHDRAW, SUBJECT, 0)
    assert tickets.use("0" * 32, Step.WITHDRAW, 0) is None
    assert tickets.use(first, Step.HEARD, 0) is None  # for another step; and it is used up
    second = tickets.give(Step.WITHDRAW, SUBJECT, 0)
    assert tickets.use(second, Step.WITHDRAW, LIFE_MS + 1) is None
    third = tickets.give(Step.WITHDRAW, SUBJECT, 0)
    assert tickets.use(third, Step.WITHDRAW, LIFE_MS) == SUBJECT
    oldest = tickets.give(Step.WITHDRAW, SUBJECT, 0)
    for _ in range(KEPT_MAX):
        newest = tickets.give(Step.WITHDRAW, SUBJECT, 0)
    assert tickets.use(oldest, Step.WITHDRAW, 0) is None
    assert tickets.use(newest, Step.WITHDRAW, 0) == SUBJECT


def iter_bytes():
    numbers = iter(range(1, 10_000))
    return lambda size: next(numbers).to_bytes(size, "big")


async def test_why_somebody_was_asked_is_told_with_the_factors_and_the_last_passages(
    rig: Rig, tmp_path: Path
) -> None:
    subject, claim, code = await restricted(rig)
    use_cases = rig.central.use_cases
    event = {
        "event_id": "fare-1",
        "purpose": "ride",
        "kind": "fare",
        "outcome": "broken",
        "at_ms": rig.clock.ms,
    }
    async with rig.http() as operator:
        assert (await operator.post(f"/v1/subjects/{subject}/events", json=event)).status_code == 201
    async with rig.kiosk() as kiosk:
        kiosk.write_records(
            3, subject=subject, verdict="grant", reasons=("standing_absent", "second_factor_good")
        )
        kiosk.write_records(1)  # of somebody else
        kiosk.write_records(1, subject=subject, verdict="deny", reasons=("restriction", "later_invented"))
        await kiosk.deliver(kiosk.batch(1, 5))
    async with pages(rig) as member:
        told = await member.post("/why", data={"code": claim, "pin": PIN})
    text = said(told)
    (factor,) = use_cases.standings.explain(subject, RIDE).standing.factors
    assert f"{factor.text} ( {factor.points:+d} points )" in text.replace("(", "( ").replace(
        ")", " )"
    ).replace("  ", " ")
    assert text.count(EN.reason["standing_absent"]) == 3
    assert EN.reason["restriction"] in text
    assert "later_invented" in text
    assert code in text
    assert told.text.count("<h3><bdi") == 4
    assert subject not in told.text


async def test_receipts_are_read_with_the_code_alone_and_a_strangers_code_shows_nothing(rig: Rig) -> None:
    subject, claim = rig.add_member(PIN)
    ledger = rig.central.use_cases.ledger
    ledger.top_up(subject, 1000, "EUR")
    attempt = asked(1, 250, purpose=RIDE, subject=subject, reference="Tea & <b>cake</b>")
    assert ledger.charge(*attempt) is ChargeReason.CHARGED
    async with pages(rig) as member:
        told = await member.post("/receipts", data={"code": qr_text(claim)})
        for sentence in ("2.50 EUR", "7.50 EUR", "cafe", "till-1"):
            assert sentence in said(told)
        assert "Tea &amp; &lt;b&gt;cake&lt;/b&gt;" in told.text
        assert subject not in told.text
        _, new = rig.add_member(PIN)
        strangers = [await member.post("/receipts", data={"code": code}) for code in ("0" * 32, new)]
        assert {answer.status_code for answer in strangers} == {200}
        assert len({answer.text for answer in strangers}) == 1
        assert EN.receipts.none in said(strangers[0])


async def test_nobody_learns_whether_there_is_such_a_member(rig: Rig) -> None:
    use_cases = rig.central.use_cases
    _, known = rig.add_member(PIN)
    _, without_pin = rig.add_member()
    gone, withdrawn = rig.add_member(PIN)
    use_cases.members.withdraw(gone)
    lost, revoked = rig.add_member(PIN)
    use_cases.members.renew_qr_claim(lost)
    answers = []
    async with pages(rig) as stranger:
        for claim in ("0" * 32, known, known, without_pin, withdrawn, revoked):
            pin = "4712" if claim == known else PIN
            answers.append(await stranger.post("/withdraw", data={"code": claim, "pin": pin}))
    assert {answer.status_code for answer in answers} == {422}
    assert len({answer.text for answer in answers}) == 1
    drop = {"date"}
    assert (
        len({tuple(sorted((k, v) for k, v in each.headers.items() if k not in drop)) for each in answers})
        == 1
    )


async def test_whoever_is_refused_costs_the_same_work(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    members = rig.central.use_cases.members
    hasher, worked = members._hasher, []
    monkeypatch.setattr(members, "_hasher", Counted(hasher, worked))
    subject, claim = rig.add_member()
    members.set_pin(subject, PIN)
    worked.clear()
    seen = []
    for tried in ("0" * 32, claim, claim):  # nobody; a wrong PIN; too soon
        assert rig.central.use_cases.visits.proven(ClaimId(tried), "4712") is None
        seen.append(len(worked))
    members.unlock_pin(subject)
    for _ in range(PIN_TRIES + 1):  # the last one is locked already
        rig.clock.advance(FIRST_WAIT_MS << PIN_TRIES)
        assert rig.central.use_cases.visits.proven(claim, "4712") is None
        seen.append(len(worked))
    assert seen == list(range(1, len(seen) + 1))


class Counted:
    """A hasher that counts how often it works."""

    def __init__(self, hasher: object, worked: list[str]) -> None:
        self._hasher, self._worked = hasher, worked

    def __getattr__(self, name: str) -> object:
        self._worked.append(name)
        return getattr(self._hasher, name)


async def test_five_wrong_pins_here_lock_the_pin_everywhere(rig: Rig) -> None:
    subject, claim = rig.add_member(PIN)
    async with pages(rig) as member:
        for _ in range(PIN_TRIES):
            assert (await member.post("/why", data={"code": claim, "pin": "4712"})).status_code == 422
            rig.clock.advance(FIRST_WAIT_MS << PIN_TRIES)
        assert (await member.post("/why", data={"code": claim, "pin": PIN})).status_code == 422
        assert rig.central.use_cases.members.check_pin(subject, PIN).tries_left == 0
        rig.central.use_cases.members.unlock_pin(subject)
        assert (await member.post("/why", data={"code": claim, "pin": PIN})).status_code == 200


async def test_card_numbers_and_phone_digits_open_nothing_here(rig: Rig) -> None:
    subject, _ = rig.add_member(PIN)
    card = "ab" * 16  # a card's number may look like a member code
    rig.central.use_cases.members.add_claim(subject, ClaimKind.CARD, card)
    rig.central.use_cases.members.add_claim(subject, ClaimKind.PHONE, "12345678")
    async with pages(rig) as member:
        for code in (card, "12345678"):
            assert (await member.post("/why", data={"code": code, "pin": PIN})).status_code == 422


async def test_a_stranger_has_so_many_tries_and_members_are_not_counted(rig: Rig) -> None:
    _, claim = rig.add_member(PIN)
    async with pages(rig) as stranger:
        for _ in range(EACH_MAX + 5):
            assert (await stranger.post("/why", data={"code": claim, "pin": PIN})).status_code == 200
        for number in range(EACH_MAX):
            code = f"K7PD-2M{'ABCDEFGHJKLMNPQRSTUVWXYZ'[number]}W"
            assert (await stranger.post("/contest", data={"contest": code})).status_code == 404
        refused = await stranger.post("/why", data={"code": claim, "pin": PIN})
        assert (refused.status_code, EN.problem["too_many"].title in said(refused)) == (429, True)
        rig.clock.advance(SPAN_MS)
        assert (await stranger.post("/why", data={"code": claim, "pin": PIN})).status_code == 200


def test_tries_are_bounded_for_each_address_and_in_sum() -> None:
    attempts = Attempts(each_max=2, total_max=3, span_ms=10)
    assert [attempts.take("192.0.2.1", 5) for _ in range(3)] == [True, True, False]
    assert [attempts.take(each, 9) for each in ("192.0.2.2", "192.0.2.3")] == [True, False]
    attempts.give_back("192.0.2.1")
    assert attempts.take("192.0.2.3", 9)
    assert attempts.take("192.0.2.1", 10)
    assert network_of("2001:db8::1") == network_of("2001:db8::ffff:1") != network_of("2001:db8:0:1::1")
    assert network_of("::ffff:192.0.2.1") == network_of("192.0.2.1")


async def test_pins_that_wait_are_bounded(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counters, "WAITING_MAX", 0)
    _, claim = rig.add_member(PIN)
    async with running(new_config(rig.config.parent / "other", rig.clock), rig.clock) as other:
        _, claim = other.add_member(PIN)
        async with pages(other) as member:
            assert (await member.post("/why", data={"code": claim, "pin": PIN})).status_code == 429


async def test_a_page_of_another_site_can_send_none_of_the_forms(rig: Rig) -> None:
    subject, claim = rig.add_member(PIN)
    foreign = {"sec-fetch-site": "cross-site", "origin": "https://evil.example"}
    async with pages(rig) as member:
        proof = {"code": claim, "pin": PIN}
        ticket = ticket_in(await member.post("/withdraw", data=proof))
        for path, sent in (
            ("/withdraw", proof),
            ("/withdraw/confirm", {"ticket": ticket}),
            ("/why", proof),
            ("/contest", {"contest": "K7PD-2MXW"}),
            ("/contest/note", {"contest": "K7PD-2MXW", "note": "x"}),
        ):
            answer = await member.post(path, data=sent, headers=foreign)
            assert (answer.status_code, EN.problem["foreign_page"].title in said(answer)) == (403, True), path
    assert rig.central.use_cases.members.active(subject)


@pytest.mark.parametrize("language", sorted(WORDS))
async def test_every_page_is_whole_in_every_language(rig: Rig, language: str) -> None:
    words = WORDS[language]
    async with pages(rig) as member:
        for path, title in (
            ("/", words.home.title.replace("{operator}", "metro")),
            ("/contest", words.contest.title),
            ("/withdraw", words.withdraw.title),
            ("/why", words.why.title),
            ("/receipts", words.receipts.title),
        ):
            answer = await member.get(path, headers={"accept-language": f"tlh, {language}-XX;q=0.5"})
            assert (answer.status_code, answer.headers["content-language"]) == (200, language)
            assert f'<html lang="{language}" dir="{words.direction}">' in answer.text
            assert f"<h1>{title}</h1>" in answer.text
            assert "{" not in answer.text
            assert "script" not in answer.text
            Balanced().check(answer.text)
            other = "de" if language != "de" else "en"
            switched = await member.get(f"{path}?lang={other}", headers={"accept-language": language})
            assert switched.headers["content-language"] == other
            assert f'href="/contest?lang={other}"' in switched.text


class Balanced(HTMLParser):
    """Every tag that is opened is closed, and every id is there once."""

    VOID = frozenset({"meta", "link", "input"})

    def check(self, text: str) -> None:
        self.open: list[str] = []
        self.ids: list[str] = []
        self.feed(text)
        assert self.open == []
        assert len(self.ids) == len(set(self.ids))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.ids += [value for name, value in attrs if name == "id" and value is not None]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("language", sorted(WORDS))
def test_there_is_a_text_for_every_reason_a_kiosk_gives(language: str) -> None:
    assert set(WORDS[language].reason) == {reason.value for reason in Reason}


@pytest.mark.parametrize("language", sorted(WORDS))
def test_every_language_fills_in_what_english_does(language: str) -> None:
    def marks(name: str) -> list[str]:
        return re.findall(r"\{\w*\}", (MESSAGES / f"{name}.json").read_text("utf-8"))

    assert sorted(marks(language)) == sorted(marks("en"))


@pytest.mark.parametrize(
    ("asked", "accepted", "language"),
    [
        (None, "", "en"),
        (None, "tlh", "en"),
        (None, "zh-Hans-CN,zh;q=0.9", "zh"),
        (None, "en;q=0.1, es;q=0.2", "es"),
        (None, "de;q=0, ar;q=0.1", "ar"),
        (None, "de;q=much, *;q=0.5", "en"),
        ("de", "ar", "de"),
        ("../../etc", "ar", "ar"),
    ],
)
def test_the_language_is_the_chosen_one_or_the_browsers(
    asked: str | None, accepted: str, language: str
) -> None:
    assert chosen(asked, accepted, WORDS).language == language


def test_what_is_typed_is_read_as_it_was_meant() -> None:
    assert claim_of({"code": " STILE:0123-4567 89AB\u2011CDEF0123456789ABCDEF\n"}) == "0123456789abcdef" * 2
    assert pin_of({"pin": "٤٧ ١١"}) == pin_of({"pin": "\uff14\uff17\uff11\uff11"}) == PIN
    assert contest_of({"contest": "k7pd 2mxw"}) == "K7PD-2MXW"
    assert note_of({"note": " a\r\nb \u2764\ufe0f\r\n"}) == "a\nb \u2764"


@pytest.mark.parametrize("note", ["", " \n ", "a\x00b", "a\u202eb", "\u3164", "x" * 201])
def test_a_note_that_nobody_can_read_is_refused(note: str) -> None:
    with pytest.raises(FormError, match="note_needed"):
        note_of({"note": note})


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b"{}"),
        ("application/x-www-form-urlencoded", b"code=%ff"),
        ("application/x-www-form-urlencoded", "pin=ü".encode()),
        ("application/x-www-form-urlencoded", b"a&b&c&d&e&f"),
        ("multipart/form-data; boundary=x", b"--x--"),
    ],
)
def test_what_is_no_form_is_refused(kind: str, body: bytes) -> None:
    with pytest.raises(FormError, match="malformed"):
        read_form(kind, body)


async def test_passages_are_looked_for_in_the_newest_records_of_each_kiosk(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = rig.central.use_cases.visits._store
    async with rig.kiosk("gate-1") as one, rig.kiosk("gate-2") as two:
        for kiosk in (one, two):
            kiosk.write_records(10, subject=SUBJECT)
            kiosk.write_records(2, subject="7" * 32)
            await kiosk.deliver(kiosk.batch(1, 12))
    assert [each.started_at_ms for each in store.passages_of(SUBJECT, 3, visits.RECORDS_LOOKED_AT)] == [
        10_000,
        10_000,
        9000,
    ]
    assert len(store.passages_of(SUBJECT, 20, 8)) == 4
    assert store.passages_of(SubjectId("6" * 32), 3, 100) == []


async def test_an_operator_who_wants_no_pages_has_none(rig: Rig) -> None:
    config = new_config(rig.config.parent / "bare", rig.clock)
    config.write_text(config.read_text().replace("[http]", "[http]\npages = false"))
    async with running(config, rig.clock) as bare, pages(bare) as stranger:
        for path in ("/", "/contest", "/withdraw", "/page.css"):
            answer = await stranger.get(path)
            assert (answer.status_code, answer.json()["error"]) == (401, "no_token"), path
    with pytest.raises(UnknownError):
        bare.central.use_cases.members.active(SUBJECT)
