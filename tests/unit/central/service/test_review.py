"""Reviewers: their keys do what no other key does, and no more; disputes, contests, rulings, the report."""

from __future__ import annotations

import itertools
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from central.adapters.keyfiles import load_trial_root
from central.app import (
    UseCases,
    init_central,
    load_config,
    open_use_cases,
)
from central.errors import CentralError, ConflictError, RefusedError, UnknownError
from central.rules.authority import certify, reviewer_certificate, reviewer_request
from central.rules.enrolment import Consent
from central.rules.restriction import (
    CONTEST_DAYS,
    LOW_N,
    Share,
    Tally,
    Terms,
    binomial_at_least,
    share_of,
)
from central.rules.review import (
    CASES_MAX,
    Case,
    Matter,
    Outcome,
    Ruling,
    admit_case,
    lifting_bytes,
    rule,
    ruling_holds,
    settled,
)
from central.rules.scorecard import Event, EventKind, EventOutcome
from central.trial import (
    TrialReviewer,
    add_reviewer,
    issue_restriction,
    lift_restriction,
    make_reviewer,
    settle,
)
from wire.canonical import canonical
from wire.environment import Environment, utc_ms
from wire.ids import OperatorId, Purpose, ReasonCode, ReviewerId, SubjectId
from wire.signing import DAY_MS, Signer, kiosk_certified, root_certified
from wire.values import Certificate, Restriction, Role

METRO, RIDE, ADA = OperatorId("metro"), Purpose("ride"), SubjectId("a" * 32)
NOW_MS = 1_795_000_000_000
ROOT, RITA_KEY = Signer.from_seed(b"r" * 32), Signer.from_seed(b"v" * 32)
RITA = certify(
    METRO, Role.REVIEWER, name="rita", site="", public_key=RITA_KEY.public_key, now_ms=NOW_MS, by=ROOT
)


def case(**changes: Any) -> Case:
    return replace(Case(Matter.EVENT, "e1", 1, ADA, RIDE, NOW_MS, "member", "That was not me."), **changes)


def ruling(
    of: Case | None = None, signer: Signer = RITA_KEY, own: Certificate = RITA, **changes: Any
) -> Ruling:
    made = rule(
        of or case(),
        Outcome.STRUCK,
        note="The camera agrees.",
        reviewer=signer,
        certificate=own,
        at_ms=NOW_MS,
    )
    return msgspec.structs.replace(made, **changes)


# Rules


def test_a_ruling_of_a_certified_reviewer_holds_and_settles_its_case():
    assert ruling_holds(ruling(), ROOT.public_key, METRO)
    closed = settled(case(), ruling(), (), NOW_MS)
    assert (closed.open, closed.settled_at_ms, closed.ruling) == (False, NOW_MS, ruling())


@pytest.mark.parametrize(
    "bent",
    [
        {"outcome": Outcome.UPHELD},
        {"target": "e2"},
        {"number": 2},
        {"note": "Otherwise."},
        {"matter": Matter.RESTRICTION},
        {"ruled_at_ms": NOW_MS + 1},
        {"reviewer": ReviewerId("rosa")},
        {"operator": OperatorId("bus")},
        {"signature": b""},
    ],
)
def test_a_ruling_changed_in_any_field_does_not_hold(bent: dict[str, Any]):
    assert not ruling_holds(ruling(**bent), ROOT.public_key, METRO)


@pytest.mark.parametrize("role", [Role.CENTRAL, Role.ISSUER, Role.KIOSK])
def test_no_other_role_can_rule(role: Role):
    own = certify(METRO, role, name="rita", site="", public_key=RITA_KEY.public_key, now_ms=NOW_MS, by=ROOT)
    assert not ruling_holds(ruling(own=own), ROOT.public_key, METRO)


def test_a_reviewer_cannot_certify_anybody():
    made = certify(
        METRO,
        Role.KIOSK,
        name="gate-9",
        site="",
        public_key=RITA_KEY.public_key,
        now_ms=NOW_MS,
        by=RITA_KEY,
    )
    assert not any(root_certified(made, role, ROOT.public_key, METRO, NOW_MS) for role in Role)
    assert not kiosk_certified(made, RITA, ROOT.public_key, METRO, NOW_MS)


@pytest.mark.parametrize(
    ("of", "authors", "at_ms", "said"),
    [
        (case(opened_by="rita"), (), NOW_MS, "another reviewer"),
        (case(), ("bea", "rita"), NOW_MS, "another reviewer"),
        (case(number=2), (), NOW_MS, "another case"),
        (case(target="e2"), (), NOW_MS, "another case"),
        (case(), (), NOW_MS + 3 * 3_600_000, "another time"),
        (case(ruling=ruling()), (), NOW_MS, "settled already"),
    ],
)
def test_a_party_a_stale_ruling_or_one_on_another_case_settles_nothing(
    of: Case, authors: tuple[str, ...], at_ms: int, said: str
):
    with pytest.raises((RefusedError, ConflictError), match=said):
        settled(of, ruling(), authors, at_ms)


def test_a_target_is_reviewed_at_most_three_times_and_one_case_at_a_time():
    done = [case(number=number, ruling=ruling()) for number in range(1, CASES_MAX + 1)]
    assert admit_case(case(number=0), done[:2]).number == 3
    with pytest.raises(RefusedError, match="final"):
        admit_case(case(number=0), done)
    with pytest.raises(ConflictError, match="under review"):
        admit_case(case(number=0), [case()])
    for note in ("", "  ", "x" * 201):
        with pytest.raises(RefusedError, match="at most 200"):
            admit_case(case(number=0, note=note), [])


def test_the_longest_ruling_fits_its_column():
    note = "\N{LATIN SMALL LETTER E WITH ACUTE}" * 200
    assert len(canonical(ruling(note=note, target="e" * 64))) <= 4096


# The report


def tally(issued: int, lowest: int, **changes: Any) -> Tally:
    return replace(
        Tally(RIDE, (ReviewerId("rita"), ReviewerId("bea")), ReasonCode("assault"), 202611, issued, lowest),
        **changes,
    )


def test_a_share_is_told_beside_the_base_rate_and_said_to_be_of_few():
    share = share_of(
        [tally(3, 2), tally(1, 1, purpose=Purpose("locker"))], {RIDE: 0.1, Purpose("locker"): 0.5}
    )
    assert (share.issued, share.lowest_tier, share.share) == (4, 3, 0.75)
    assert share.base_share == pytest.approx((3 * 0.1 + 1 * 0.5) / 4)
    assert (share.low_n, share.follows_score) == (True, False)


def test_many_restrictions_after_low_scores_are_said_to_follow_the_score():
    assert Share(40, 20, 0.1).follows_score
    assert not Share(40, 5, 0.1).follows_score
    assert not Share(LOW_N - 1, LOW_N - 1, 0.1).follows_score, "too few to tell"
    assert Share(0, 0, None).share is None
    assert share_of([tally(30, 30)], {}).by_chance is None, "no members to compare with"


@given(st.integers(0, 8), st.floats(0.01, 0.99))
def test_the_binomial_tail_is_the_sum_over_every_outcome(events: int, rate: float):
    whole = 8
    counted = sum(
        rate ** sum(draw) * (1 - rate) ** (whole - sum(draw))
        for draw in itertools.product((0, 1), repeat=whole)
        if sum(draw) >= events
    )
    assert binomial_at_least(events, whole, rate) == pytest.approx(counted, rel=1e-9)


# In the use cases


@dataclass
class Office:
    """A central without network, with a member and reviewers, and a clock that a test moves."""

    use_cases: UseCases
    config: Path
    clock: list[int]
    member: SubjectId
    reviewers: dict[str, TrialReviewer]

    def restrict(
        self, by: tuple[str, ...] = ("rita", "bea"), subject: SubjectId | None = None
    ) -> Restriction:
        ends_ms = self.clock[0] + 90 * DAY_MS
        terms = Terms(subject or self.member, METRO, RIDE, ReasonCode("assault"), "Incident 12", ends_ms)
        return issue_restriction(self.use_cases, terms, [self.reviewers[name] for name in by])

    def lift(self, made: Restriction, by: str = "rita") -> None:
        lift_restriction(self.use_cases, made.restriction_id, self.reviewers[by])

    def event(self, event_id: str = "e1") -> None:
        at_ms = self.clock[0]
        self.use_cases.standings.record_event(
            Event(event_id, self.member, RIDE, EventKind.FARE, EventOutcome.BROKEN, at_ms)
        )

    def settle(self, matter: Matter, target: str, outcome: Outcome, by: str) -> Case:
        return settle(
            self.use_cases,
            matter,
            target=target,
            outcome=outcome,
            note="Looked at it.",
            by=self.reviewers[by],
        )

    @property
    def score(self) -> int:
        return self.use_cases.standings.explain(self.member, RIDE).standing.score

    @property
    def restrictions(self) -> list[str]:
        """What kiosks are told, one by one and all at once."""
        asked = self.use_cases.standings.issued(self.member, RIDE)
        (row,) = [each for each in self.use_cases.standings.everybody(RIDE) if each.subject == self.member]
        assert asked == row
        return [each.restriction_id for each in row.restrictions]  # type: ignore[union-attr]

    def enrol(self) -> SubjectId:
        subject = self.use_cases.members.new_subject_id()
        self.use_cases.members.enrol(subject, None, Consent("1", "en", self.clock[0]))
        return subject


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, TrialReviewer]]:
    """A central's folder with four reviewers, to be copied."""
    config = init_central(tmp_path_factory.mktemp("office"), "metro", "north", "ride")
    names = ("rita", "bea", "cas", "dora")
    return config.parent, {name: add_reviewer(load_config(config), ReviewerId(name)) for name in names}


@pytest.fixture
def office(tmp_path: Path, furnished: tuple[Path, dict[str, TrialReviewer]]) -> Iterator[Office]:
    folder, reviewers = furnished
    config = shutil.copytree(folder, tmp_path / "central") / "central.toml"
    # Reviewers' certificates begin by the machine's clock; a test's stands a little later, and still.
    dice, clock = random.Random(1), [utc_ms()]
    with open_use_cases(
        load_config(config), Environment(utc_ms=lambda: clock[0], random_bytes=dice.randbytes)
    ) as use_cases:
        member = Office(use_cases, config, clock, ADA, {}).enrol()
        yield Office(use_cases, config, clock, member, dict(reviewers))


def test_an_event_that_comes_while_the_feeds_compute_the_standing_counts(
    office: Office, monkeypatch: pytest.MonkeyPatch
):
    store, late = office.use_cases.standings._store, ["e2"]
    found = store.events_among

    def overtaken(*wanted: Any) -> Any:
        events = found(*wanted)
        while late:
            office.event(late.pop())
        return events

    office.event()
    once = office.score
    monkeypatch.setattr(store, "events_among", overtaken)
    office.use_cases.standings._store.add_event(
        Event("e0", office.member, RIDE, EventKind.FARE, EventOutcome.KEPT, office.clock[0])
    )
    office.use_cases.feeds.refresh()
    office.use_cases.feeds.refresh()
    kept = office.use_cases.standings._store.standing(office.member, RIDE)
    assert late == []
    assert kept is not None
    assert kept.score == office.score < once


def test_a_disputed_event_stops_counting_at_once_and_counts_again_when_upheld(office: Office):
    office.event()
    told = [office.score]
    office.use_cases.reviews.dispute("e1", "That was not me.")
    told.append(office.score)
    office.settle(Matter.EVENT, "e1", Outcome.UPHELD, "rita")
    assert [*told, office.score] == [440, 500, 440]


def test_a_struck_event_never_counts_again_and_its_history_says_why(office: Office):
    office.event()
    office.use_cases.reviews.dispute("e1", "That was not me.")
    office.settle(Matter.EVENT, "e1", Outcome.STRUCK, "rita")
    found = office.use_cases.standings.explain(office.member, RIDE)
    assert (found.standing.score, found.events_counted, found.events_struck) == (500, 0, 1)
    ((event, (told,)),) = office.use_cases.reviews.events(office.member, RIDE)
    assert (event.struck, event.disputed) == (True, False)
    assert (told.opened_by, told.note) == ("member", "That was not me.")
    assert (told.ruling.reviewer, told.ruling.note) == ("rita", "Looked at it.")


def test_a_reviewer_who_disputed_an_event_does_not_settle_it(office: Office):
    office.event()
    opened_by = office.use_cases.reviews.listed(ReviewerId("rita"))
    office.use_cases.reviews.dispute("e1", "The gate was broken.", opened_by)
    with pytest.raises(RefusedError, match="'rita' is a party"):
        office.settle(Matter.EVENT, "e1", Outcome.STRUCK, "rita")
    assert office.settle(Matter.EVENT, "e1", Outcome.STRUCK, "bea").ruling is not None


def test_an_old_ruling_does_not_settle_a_new_dispute(office: Office):
    office.event()
    office.use_cases.reviews.dispute("e1", "That was not me.")
    old = office.settle(Matter.EVENT, "e1", Outcome.UPHELD, "rita").ruling
    office.use_cases.reviews.dispute("e1", "Here is the receipt.")
    with pytest.raises(RefusedError, match="another case"):
        office.use_cases.reviews.settle(old)
    assert office.score == 500


def test_what_is_not_there_cannot_be_disputed_or_settled(office: Office):
    with pytest.raises(UnknownError):
        office.use_cases.reviews.dispute("e9", "What?")
    office.event()
    with pytest.raises(UnknownError, match="open case"):
        office.settle(Matter.EVENT, "e1", Outcome.STRUCK, "rita")
    with pytest.raises(UnknownError):
        office.use_cases.reviews.contest("K7PD-2MXW", "What?")


def test_a_revoked_reviewers_restrictions_stop_and_they_sign_no_more(office: Office):
    first = office.restrict(("bea", "rita"))
    second = office.restrict(("bea", "cas"))
    assert office.restrictions == sorted([first.restriction_id, second.restriction_id])
    office.use_cases.reviews.revoke(ReviewerId("rita"))
    assert office.restrictions == [second.restriction_id]
    assert office.use_cases.reviews.history(first.restriction_id).state == "of a revoked reviewer"
    with pytest.raises(RefusedError, match="'rita' was revoked"):
        office.restrict(("rita", "cas"))
    with pytest.raises(RefusedError, match="'rita' was revoked"):
        office.lift(second)
    office.event()
    office.use_cases.reviews.dispute("e1", "That was not me.")
    with pytest.raises(RefusedError, match="'rita' was revoked"):
        office.settle(Matter.EVENT, "e1", Outcome.UPHELD, "rita")
    with pytest.raises(UnknownError):
        office.use_cases.reviews.revoke(ReviewerId("rita"))


def test_a_new_key_of_a_revoked_reviewer_does_not_bring_the_old_restrictions_back(office: Office):
    office.restrict()
    office.use_cases.reviews.revoke(ReviewerId("rita"))
    office.reviewers["rita"] = add_reviewer(load_config(office.config), ReviewerId("rita"))
    office.clock[0] = utc_ms()
    assert office.restrictions == []
    newer = office.restrict()
    assert office.restrictions == [newer.restriction_id]


def test_a_reviewers_renewed_certificate_keeps_what_they_signed_and_lets_them_sign_on(office: Office):
    rita, config = office.reviewers["rita"], load_config(office.config)
    first = office.restrict()
    ended_ms = rita.certificate.not_after_ms
    office.clock[0] = ended_ms + 1
    for sign in (office.restrict, lambda: office.lift(first, "rita")):
        with pytest.raises(RefusedError, match="certifi"):
            sign()
    root = load_trial_root(config.keys_path)
    for name in ("rita", "bea"):
        own = office.reviewers[name]
        asked = reviewer_request(METRO, ReviewerId(name), own.signer)
        newer = reviewer_certificate(asked, root, office.clock[0])
        office.reviewers[name] = TrialReviewer(own.signer, newer)
        office.use_cases.reviews.add(newer)
    assert [each.reviewer for each in office.use_cases.reviews.reviewers()] == ["rita", "bea", "cas", "dora"]
    second = office.restrict()
    assert second.restriction_id in office.restrictions
    office.lift(first)
    assert office.use_cases.reviews.history(first.restriction_id).held.lifted_by == "rita"


def test_another_key_of_a_listed_name_is_refused_until_the_name_is_revoked(office: Office):
    with pytest.raises(ConflictError, match="has another key already"):
        add_reviewer(load_config(office.config), ReviewerId("rita"))


def test_one_reviewers_signature_restricts_nobody_and_one_lifts(office: Office):
    for too_few in (("rita",), ("rita", "rita")):
        with pytest.raises(RefusedError, match="not signed by 2 reviewers"):
            office.restrict(too_few)
    made, other = office.restrict(), office.restrict()
    lifting = lift_restriction(office.use_cases, made.restriction_id, office.reviewers["dora"])
    assert office.use_cases.reviews.history(made.restriction_id).held.lifted_by == "dora"
    for bent in (
        {"restriction_id": other.restriction_id},
        {"reviewer": ReviewerId("rita")},
        {"signature": b""},
    ):
        with pytest.raises(RefusedError, match="not signed by a reviewer"):
            office.use_cases.standings.lift_restriction(msgspec.structs.replace(lifting, **bent))
    office.clock[0] += 3 * 3_600_000
    again = msgspec.structs.replace(lifting, restriction_id=other.restriction_id, signature=b"")
    signed = office.reviewers["dora"].signer.sign(lifting_bytes(again))
    with pytest.raises(RefusedError, match="another time"):
        office.use_cases.standings.lift_restriction(msgspec.structs.replace(again, signature=signed))
    assert office.restrictions == [other.restriction_id]


def test_a_reviewer_the_root_certified_but_nobody_listed_restricts_nobody(office: Office):
    office.reviewers["rosa"] = make_reviewer(load_config(office.config), ReviewerId("rosa"), office.clock[0])
    with pytest.raises(RefusedError, match="no such reviewer is listed"):
        office.restrict(("rita", "rosa"))


def test_names_that_histories_use_for_others_and_names_in_use_are_no_reviewers(office: Office):
    for name in ("member", "operator", "rita"):
        with pytest.raises(CentralError):
            add_reviewer(load_config(office.config), ReviewerId(name))


def test_a_contested_restriction_binds_until_another_reviewer_strikes_it(office: Office):
    made = office.restrict()
    office.use_cases.reviews.contest(made.contest_code, "I was not there.")
    assert office.restrictions == [made.restriction_id]
    assert office.use_cases.reviews.history(made.contest_code).state == "contested"
    for party in made.reviewers:
        with pytest.raises(RefusedError, match=f"'{party}' is a party"):
            office.settle(Matter.RESTRICTION, made.restriction_id, Outcome.UPHELD, party)
    office.settle(Matter.RESTRICTION, made.restriction_id, Outcome.STRUCK, "cas")
    assert office.restrictions == []
    history = office.use_cases.reviews.history(made.contest_code)
    assert (history.state, history.held.lifted_at_ms) == ("struck", office.clock[0])
    assert [each.ruling.reviewer for each in history.cases if each.ruling] == ["cas"]


def test_a_contest_nobody_settles_in_time_ends_the_restriction_for_good(office: Office):
    made = office.restrict()
    office.use_cases.reviews.contest(made.contest_code, "I was not there.")
    office.clock[0] += CONTEST_DAYS * DAY_MS - 1
    assert office.restrictions == [made.restriction_id]
    office.clock[0] += 1
    assert office.restrictions == []
    with pytest.raises(RefusedError, match="ended the restriction"):
        office.settle(Matter.RESTRICTION, made.restriction_id, Outcome.UPHELD, "cas")
    assert office.restrictions == []
    assert office.use_cases.reviews.history(made.contest_code).state == "ended by a contest nobody settled"


def test_kiosks_are_told_of_a_lapse_at_once_however_long_standings_last(office: Office):
    card = office.config.parent / "ride.scorecard.toml"
    card.write_text(card.read_text().replace("valid_hours = 48", f"valid_hours = {24 * 366}"))
    with open_use_cases(load_config(office.config), Environment(utc_ms=lambda: office.clock[0])) as use_cases:
        made = office.restrict()
        use_cases.reviews.contest(made.contest_code, "I was not there.")
        assert use_cases.feeds.refresh()
        told = []
        for step_ms in (CONTEST_DAYS * DAY_MS - 1, 1, 1):
            office.clock[0] += step_ms
            told.append(use_cases.feeds.refresh())
        assert told == [False, True, False]


def test_what_binds_no_more_cannot_be_contested(office: Office):
    made = office.restrict()
    office.lift(made)
    with pytest.raises(ConflictError, match="is lifted"):
        office.use_cases.reviews.contest(made.contest_code, "I was not there.")
    over = office.restrict()
    office.clock[0] = over.expires_at_ms
    with pytest.raises(ConflictError, match="is over"):
        office.use_cases.reviews.contest(over.contest_code, "I was not there.")


def test_what_is_explained_replays_with_the_scorecard_that_is_published_now(office: Office):
    office.event()
    assert office.score == 440
    card = office.config.parent / "ride.scorecard.toml"
    text = card.read_text().replace("points = -60", "points = -100").replace("version = 1", "version = 2")
    card.write_text(text)
    with open_use_cases(
        load_config(office.config), Environment(utc_ms=lambda: office.clock[0] + 1)
    ) as use_cases:
        found = use_cases.standings.explain(office.member, RIDE)
        factors = [(each.kind, each.points) for each in found.standing.factors]
        assert (found.scorecard_version, found.standing.score, factors) == (2, 400, [("fare_broken", -100)])
        assert use_cases.standings.issued(office.member, RIDE) == found.standing


def test_an_event_and_its_standing_change_in_one_transaction(office: Office):
    """A program that ends in between leaves no standing of before the event."""
    assert office.score == 500
    store = office.use_cases.standings._store
    store.add_event(Event("e1", office.member, RIDE, EventKind.FARE, EventOutcome.BROKEN, office.clock[0]))
    assert office.score == 440


def test_the_report_counts_by_reviewer_and_reason_and_outlasts_who_was_restricted(office: Office):
    for number in range(3):
        low = office.enrol()
        for fare in range(4):
            event_id = f"{number}-{fare}"
            at_ms = office.clock[0]
            office.use_cases.standings.record_event(
                Event(event_id, low, RIDE, EventKind.FARE, EventOutcome.BROKEN, at_ms)
            )
        office.restrict(("rita", "bea"), low)
        if number == 0:
            office.use_cases.members.withdraw(low)
    office.restrict(("cas", "bea"))
    report = office.use_cases.reviews.report()
    assert (report.overall.issued, report.overall.lowest_tier, report.overall.low_n) == (4, 3, True)
    shares = {name: (each.issued, each.share) for name, each in report.reviewers.items()}
    assert shares == {"rita": (3, 1.0), "bea": (4, 0.75), "cas": (1, 0.0)}
    assert report.reasons["assault"].issued == 4
    base = report.base[RIDE]
    assert (base.tier, base.members, base.lowest_tier) == ("assisted", 3, 2)
    assert report.overall.base_share == pytest.approx(2 / 3)


def test_a_withdrawn_members_cases_go_with_them(office: Office):
    office.event()
    office.use_cases.reviews.dispute("e1", "That was not me.")
    office.use_cases.members.withdraw(office.member)
    assert list(office.use_cases.reviews.open_cases()) == []
