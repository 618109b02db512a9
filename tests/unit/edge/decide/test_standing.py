"""What a cached standing is worth, with real signatures: who may be refused, and by whose hand."""

from __future__ import annotations

import itertools

import msgspec
import pytest

from edge.decide.standing import (
    AHEAD_MAX_MS,
    CachedStanding,
    StandingConfig,
    StandingView,
    assess,
    beside_gallery,
)
from edge.decide.verdict import (
    Age,
    Circumstances,
    ContestCode,
    Deny,
    GateState,
    Grant,
    Identification,
    Liveness,
    Membership,
    Payment,
    RestrictionState,
    SecondFactor,
    Tier,
    decide,
)
from wire.ids import (
    ContestCode as WireContestCode,
)
from wire.ids import OperatorId, Purpose, ReasonCode, RestrictionId, SubjectId
from wire.signing import Signer, endorse, restriction_holds, sign_certificate
from wire.values import Certificate, Limits, Restriction, Role, Standing, Tombstone

OPERATOR, PURPOSE = OperatorId("metro"), Purpose("entry")
SUBJECT = SubjectId("5" * 32)
NOW_MS = 1_800_000_000_000
DAY_MS = 86_400_000
CONFIG = StandingConfig()
ROOT, RITA, CENTRAL, NOBODY, BEA = (Signer.from_seed(bytes([n]) * 32) for n in (1, 2, 3, 4, 5))


def certificate(signer: Signer, role: Role, root: Signer = ROOT, name: str = "rita") -> Certificate:
    unsigned = Certificate(OPERATOR, role, name, "", signer.public_key, NOW_MS - DAY_MS, NOW_MS + DAY_MS, b"")
    return sign_certificate(unsigned, root)


def restriction(
    signer: Signer = RITA, certified: Certificate | None = None, expires_at_ms: int = NOW_MS + 1
) -> Restriction:
    """Signed by bea, and by somebody besides."""
    unsigned = Restriction(
        RestrictionId("6" * 32),
        SUBJECT,
        OPERATOR,
        PURPOSE,
        ReasonCode("assault"),
        "an incident on the premises",
        WireContestCode("K7PD-2MXW"),
        NOW_MS - 1_000,
        expires_at_ms,
    )
    return signed(unsigned, signer, certified)


def signed(unsigned: Restriction, signer: Signer = RITA, certified: Certificate | None = None) -> Restriction:
    drafted = msgspec.structs.replace(unsigned, endorsements=())
    once = endorse(drafted, BEA, certificate(BEA, Role.REVIEWER, name="bea"))
    return endorse(once, signer, certified or certificate(RITA, Role.REVIEWER))


def standing(*restrictions: Restriction, score: int = 500, tier: str = "standard") -> Standing:
    return Standing(
        SUBJECT,
        OPERATOR,
        PURPOSE,
        score,
        ReasonCode(tier),
        (),
        Limits(1_000, 500, "EUR"),
        restrictions,
        NOW_MS - DAY_MS,
        NOW_MS + DAY_MS,
    )


def view_of(
    entry: Standing | Tombstone | None, age_s: float = 0, now_ms: int | None = NOW_MS
) -> StandingView:
    return assess(
        CachedStanding(entry, 1, 1, NOW_MS - round(age_s * 1000)),
        operator=OPERATOR,
        purpose=PURPOSE,
        now_ms=now_ms,
        config=CONFIG,
        verify=lambda found: restriction_holds(found, ROOT.public_key, OPERATOR),
    )


def verdict_on(view: StandingView) -> object:
    return decide(
        Circumstances(
            emergency=False,
            gate=GateState.READY,
            membership=view.membership,
            identification=Identification.MATCH,
            liveness=Liveness.NOT_ASKED,
            restriction=view.restriction_state,
            age=view.age,
            tier=view.tier,
            second_factor=SecondFactor.GOOD,
            payment=Payment.NONE,
            central_answers=True,
            restriction_reason=view.restriction.reason if view.restriction else "",
            contest_code=ContestCode(view.restriction.contest_code if view.restriction else ""),
        )
    )


@pytest.mark.parametrize(
    ("age_s", "age"),
    [
        (0, Age.FRESH),
        (CONFIG.fresh_s, Age.FRESH),
        (CONFIG.fresh_s + 0.001, Age.STALE),
        (CONFIG.grace_s, Age.STALE),
        (CONFIG.grace_s + 0.001, Age.BEYOND_GRACE),
        (-AHEAD_MAX_MS / 1000, Age.FRESH),
        (-AHEAD_MAX_MS / 1000 - 0.001, Age.CLOCK_UNSURE),
    ],
)
def test_age_is_counted_from_the_last_verified_head(age_s: float, age: Age) -> None:
    assert view_of(standing(), age_s).age is age


def test_without_a_sure_clock_no_age_is_known() -> None:
    assert view_of(standing(), now_ms=None).age is Age.CLOCK_UNSURE


@pytest.mark.parametrize(
    ("gallery_age_s", "age"),
    [
        (0, Age.FRESH),
        (CONFIG.gallery_grace_s, Age.FRESH),
        (CONFIG.gallery_grace_s + 0.001, Age.GALLERY_BEYOND_GRACE),
    ],
)
def test_a_usable_standing_does_not_make_up_for_a_gallery_beyond_its_grace(
    gallery_age_s: float, age: Age
) -> None:
    issued_at_ms = NOW_MS - round(gallery_age_s * 1000)
    assert beside_gallery(view_of(standing()), issued_at_ms, NOW_MS, CONFIG).age is age


def test_a_gallerys_age_changes_nothing_of_a_standing_that_is_unknown_anyway() -> None:
    expired = view_of(msgspec.structs.replace(standing(), expires_at_ms=NOW_MS))
    assert beside_gallery(expired, 0, NOW_MS, CONFIG) == expired
    assert beside_gallery(view_of(standing()), None, NOW_MS, CONFIG) == view_of(standing())
    assert beside_gallery(view_of(standing()), 0, None, CONFIG) == view_of(standing())


def test_a_standing_past_its_own_expiry_is_beyond_grace() -> None:
    assert view_of(msgspec.structs.replace(standing(), expires_at_ms=NOW_MS)).age is Age.BEYOND_GRACE


@pytest.mark.parametrize("change", [{"purpose": Purpose("canteen")}, {"operator": OperatorId("other")}])
def test_a_standing_of_another_purpose_or_operator_is_absent(change: dict[str, str]) -> None:
    view = view_of(msgspec.structs.replace(standing(restriction()), **change))
    assert (view.age, view.standing, view.restriction) == (Age.ABSENT, None, None)


def test_a_tombstone_is_a_withdrawn_member() -> None:
    assert view_of(Tombstone(SUBJECT, NOW_MS)).membership is Membership.WITHDRAWN


def test_a_tier_this_kiosk_does_not_know_is_unknown() -> None:
    assert view_of(standing(tier="platinum")).tier is Tier.UNKNOWN


SOUND = restriction()
FORGERIES = {
    "signed by central, not by the reviewer": restriction(CENTRAL),
    "by a central key with a central certificate": restriction(CENTRAL, certificate(CENTRAL, Role.CENTRAL)),
    "by a kiosk's key": restriction(NOBODY, certificate(NOBODY, Role.KIOSK)),
    "by a reviewer of another root": restriction(NOBODY, certificate(NOBODY, Role.REVIEWER, NOBODY)),
    "by a reviewer whom an issuer certified": restriction(
        NOBODY, certificate(NOBODY, Role.REVIEWER, CENTRAL)
    ),
    "unsigned": msgspec.structs.replace(SOUND, endorsements=()),
    "signed by one reviewer alone": msgspec.structs.replace(SOUND, endorsements=SOUND.endorsements[:1]),
    "signed twice by one reviewer": msgspec.structs.replace(SOUND, endorsements=SOUND.endorsements[:1] * 2),
    "of another subject": signed(msgspec.structs.replace(SOUND, subject=SubjectId("7" * 32))),
    "of another purpose": signed(msgspec.structs.replace(SOUND, purpose=Purpose("canteen"))),
    "with its expiry changed after signing": msgspec.structs.replace(SOUND, expires_at_ms=NOW_MS + DAY_MS),
    "with its reason changed after signing": msgspec.structs.replace(SOUND, reason=ReasonCode("other")),
}


@pytest.mark.parametrize("forged", FORGERIES.values(), ids=FORGERIES.keys())
def test_a_restriction_that_is_not_two_reviewers_own_word_refuses_nobody(forged: Restriction) -> None:
    view = view_of(standing(forged))
    assert view.restriction_state is RestrictionState.UNVERIFIED
    assert isinstance(verdict_on(view), Grant)


def test_no_score_and_no_tier_denies_without_a_reviewers_restriction_and_none_prevents_it() -> None:
    for score, tier in itertools.product(range(0, 1001, 25), [*Tier, "platinum"]):
        assert isinstance(verdict_on(view_of(standing(score=score, tier=str(tier)))), Grant)
        assert isinstance(verdict_on(view_of(standing(SOUND, score=score, tier=str(tier)))), Deny)


def test_a_denial_names_the_reviewers_reason_and_the_contest_code() -> None:
    denied = verdict_on(view_of(standing(SOUND)))
    assert isinstance(denied, Deny)
    assert (denied.restriction_reason, denied.contest_code) == ("assault", "K7PD-2MXW")


def test_a_restriction_ends_at_its_expiry() -> None:
    over = restriction(expires_at_ms=NOW_MS)
    assert view_of(standing(over)).restriction_state is RestrictionState.EXPIRED
    assert isinstance(verdict_on(view_of(standing(over))), Grant)


def test_an_unsure_clock_neither_ends_a_restriction_nor_lets_it_refuse() -> None:
    view = view_of(standing(restriction(expires_at_ms=NOW_MS)), now_ms=None)
    assert view.restriction_state is RestrictionState.VERIFIED
    assert not isinstance(verdict_on(view), Grant | Deny)


def test_a_sound_restriction_holds_whatever_stands_beside_it() -> None:
    view = view_of(standing(*list(FORGERIES.values())[:2], restriction(expires_at_ms=NOW_MS), SOUND))
    assert (view.restriction_state, view.restriction) == (RestrictionState.VERIFIED, SOUND)
