"""A challenge, on a simulated clock, to heads that turn and to what is held up in their place."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.capture.sample import Points, Probe
from edge.capture.tracking import TrackId
from edge.confirm.challenge import (
    FLAT_FRAMES,
    ORDERS,
    Challenge,
    Gesture,
    Likeness,
    Outcome,
    Sighting,
    begin,
    draw,
    expire,
    judge,
    needs_probe,
)
from edge.confirm.liveness import (
    CHALLENGE_TRIES,
    TRIES_KEPT_MS,
    ChallengeTries,
    ConfirmConfig,
    RecentUse,
)
from tests.doubles.examples import examples
from tests.doubles.turning_head import head, picture
from wire.ids import SubjectId

FRAME_MS = 50
CONFIG = ConfirmConfig(challenge="always")
LIKENESS = Likeness(same=0.95, turned=0.9)
TRACK = TrackId(1)
OWN = np.array((1, 0), np.float32)
OTHER = np.array((0, 1), np.float32)
AT_REST = (0.0, 0.0)
LIMIT_DEGREES = 26.0
POSES: dict[Gesture, tuple[float, float]] = {
    Gesture.TURN_LEFT: (LIMIT_DEGREES, 0.0),
    Gesture.TURN_RIGHT: (-LIMIT_DEGREES, 0.0),
    Gesture.LOOK_UP: (0.0, LIMIT_DEGREES),
    Gesture.NOD: (0.0, -LIMIT_DEGREES),
}
Shape = Callable[..., Points]


def probe(vector: np.ndarray) -> Probe:
    return Probe((vector,), (1.0,), "ab" * 32, 1)


class Stage:
    """Somebody, or something, in front of a challenge, at 20 frames a second."""

    def __init__(self, *prompts: Gesture, config: ConfirmConfig = CONFIG, embeds_all: bool = False) -> None:
        self.config, self.embeds_all = config, embeds_all
        self.now_ms = 1_000
        self.challenge: Challenge = begin(prompts, TRACK, probe(OWN), self.now_ms)
        self.probes = 0
        self.frames = 0

    @property
    def outcome(self) -> Outcome | None:
        return self.challenge.outcome

    def see(self, points: Points, face: np.ndarray = OWN, track: TrackId = TRACK) -> Stage:
        self.now_ms += FRAME_MS
        self.frames += 1
        needed = needs_probe(self.challenge, track, points)
        self.probes += needed
        sighting = Sighting(track, points, self.now_ms, probe(face) if needed or self.embeds_all else None)
        self.challenge = judge(self.challenge, sighting, LIKENESS, self.config)
        return self

    def rest(self, frames: int = 6, face: np.ndarray = OWN, shape: Shape = head) -> Stage:
        for _ in range(frames):
            self.see(shape(*AT_REST, jitter=self.frames), face)
        return self

    def move(self, gesture: Gesture, face: np.ndarray = OWN, shape: Shape = head, steps: int = 8) -> Stage:
        """There and back, in two thirds of a second."""
        left, up = POSES[gesture]
        for part in np.sin(np.linspace(0, np.pi, 2 * steps)):
            self.see(shape(left * part, up * part, jitter=self.frames), face)
        return self

    def swing(self, left: float, up: float, steps: int = 20) -> Stage:
        for part in np.sin(np.linspace(0, np.pi, steps)):
            self.see(picture(left * part, up * part, jitter=self.frames))
        return self


@pytest.mark.parametrize("prompts", ORDERS[2], ids="+".join)
def test_a_head_that_does_what_is_asked_is_bona_fide(prompts: tuple[Gesture, ...]) -> None:
    stage = Stage(*prompts).rest()
    for gesture in prompts:
        assert stage.challenge.asked is gesture
        stage.move(gesture).rest()
    assert stage.outcome is Outcome.BONA_FIDE


def test_a_challenge_embeds_a_face_at_rest_once_a_gesture_and_at_the_end_and_no_other_frame() -> None:
    stage = Stage(Gesture.NOD, Gesture.TURN_LEFT).rest().move(Gesture.NOD).rest().move(Gesture.TURN_LEFT)
    assert stage.rest().outcome is Outcome.BONA_FIDE
    assert stage.probes == 4
    assert stage.frames > 40


@pytest.mark.parametrize(("asked", "shown"), [(a, b) for a in Gesture for b in Gesture if a is not b])
def test_another_gesture_than_the_one_asked_for_is_not_met(asked: Gesture, shown: Gesture) -> None:
    stage = Stage(asked).rest().move(shown).rest()
    assert (stage.challenge.met, stage.challenge.wrong, stage.outcome) == (0, 1, None)
    assert stage.challenge.asked is asked
    stage.move(shown)
    assert stage.outcome is Outcome.UNDETERMINED


@pytest.mark.parametrize("asked", Gesture)
def test_one_misunderstanding_is_forgiven(asked: Gesture) -> None:
    wrong = next(other for other in Gesture if other is not asked)
    assert Stage(asked).rest().move(wrong).rest().move(asked).rest().outcome is Outcome.BONA_FIDE


@pytest.mark.parametrize("prompts", ORDERS[2], ids="+".join)
def test_the_right_gestures_in_the_wrong_order_are_not_met(prompts: tuple[Gesture, ...]) -> None:
    stage = Stage(*prompts).rest().move(prompts[1]).rest().move(prompts[0]).rest()
    assert stage.challenge.met == 1
    assert stage.outcome is None
    assert expire(stage.challenge, stage.now_ms + CONFIG.challenge_ms, CONFIG).outcome is Outcome.UNDETERMINED


def test_a_recording_of_two_gestures_meets_one_order_in_twelve() -> None:
    recorded = (Gesture.NOD, Gesture.TURN_LEFT)
    ended = Counter[Outcome | None]()
    for prompts in ORDERS[2]:
        stage = Stage(*prompts).rest()
        for gesture in recorded:
            stage.move(gesture).rest()
        ended[stage.outcome] += 1
    assert ended[Outcome.BONA_FIDE] == 1
    assert len(ORDERS[2]) == 12


def test_a_gesture_held_all_the_while_is_not_both_prompts() -> None:
    stage = Stage(Gesture.TURN_LEFT, Gesture.NOD).rest().see(head(left=8))
    for _ in range(60):
        stage.see(head(left=26, jitter=stage.frames))
    assert (stage.challenge.met, stage.outcome) == (1, None)


@pytest.mark.parametrize("embeds_all", [False, True])
@pytest.mark.parametrize("gesture", Gesture)
def test_a_picture_of_the_gesture_put_in_the_place_of_another_does_not_count(
    gesture: Gesture, embeds_all: bool
) -> None:
    stage = Stage(gesture, embeds_all=embeds_all).rest()
    for _ in range(4):
        for _ in range(5):
            stage.see(head(*POSES[gesture], jitter=stage.frames))
        stage.rest()
    assert (stage.challenge.met, stage.challenge.wrong) == (0, 0)


def test_another_face_at_rest_when_the_challenge_begins_is_an_attack() -> None:
    assert Stage(Gesture.NOD).rest(face=OTHER).outcome is Outcome.ATTACK


@pytest.mark.parametrize("shown_left", [26, -26])
def test_one_frame_of_a_gesture_does_not_count(shown_left: int) -> None:
    stage = Stage(Gesture.TURN_LEFT, embeds_all=True).rest()
    stage.see(head(left=shown_left / 3)).see(head(left=shown_left)).rest()
    assert (stage.challenge.met, stage.challenge.wrong) == (0, 0)


def test_the_end_is_judged_only_of_a_face_that_looks_at_the_camera_again() -> None:
    stage = bowed(Stage(Gesture.NOD, embeds_all=True).rest())
    for _ in range(10):
        stage.see(head(up=-20))
    assert stage.outcome is None
    assert stage.rest().outcome is Outcome.BONA_FIDE


def test_who_does_nothing_is_undetermined_when_the_prompts_time_is_over() -> None:
    stage = Stage(Gesture.NOD).rest(CONFIG.prompt_ms // FRAME_MS)
    assert stage.outcome is None
    assert stage.rest(10).outcome is Outcome.UNDETERMINED


def test_who_never_looks_at_the_camera_is_undetermined_when_the_whole_time_is_over() -> None:
    stage = Stage(Gesture.NOD)
    for _ in range(CONFIG.challenge_ms // FRAME_MS - 1):
        stage.see(head(left=35))
    assert (stage.challenge.asked, stage.outcome) == (None, None)
    assert stage.see(head(left=35)).outcome is Outcome.UNDETERMINED


def test_time_passes_without_any_frame_too() -> None:
    challenge = Stage(Gesture.NOD).challenge
    assert expire(challenge, 1_000 + CONFIG.challenge_ms - 1, CONFIG).outcome is None
    assert expire(challenge, 1_000 + CONFIG.challenge_ms, CONFIG).outcome is Outcome.UNDETERMINED


def test_a_gesture_that_comes_after_its_time_is_too_late() -> None:
    stage = Stage(Gesture.NOD).rest()
    stage.now_ms += CONFIG.prompt_ms
    assert stage.move(Gesture.NOD).outcome is Outcome.UNDETERMINED


def test_a_frame_taken_before_the_challenge_began_is_not_looked_at() -> None:
    stage = Stage(Gesture.NOD)
    before = judge(stage.challenge, Sighting(TRACK, head(), 999), LIKENESS, CONFIG)
    assert before.settling == ()


@pytest.mark.parametrize("gesture", Gesture)
def test_a_still_picture_meets_nothing(gesture: Gesture) -> None:
    assert Stage(gesture).rest(120, shape=picture).outcome is Outcome.UNDETERMINED


@pytest.mark.parametrize("gesture", Gesture)
@pytest.mark.parametrize("degrees", [15, 25, 45, 60])
def test_a_picture_tilted_as_the_head_was_asked_to_turn_is_never_bona_fide(
    gesture: Gesture, degrees: float
) -> None:
    stage = Stage(gesture).rest(shape=picture)
    left, up = (degrees / LIMIT_DEGREES * angle for angle in POSES[gesture])
    for _ in range(8):
        stage.swing(left, up)
    assert stage.challenge.met == 0
    assert stage.outcome is (Outcome.ATTACK if degrees >= 45 else Outcome.UNDETERMINED)


def test_a_plane_must_be_seen_in_several_frames_on_end_to_be_an_attack() -> None:
    stage = Stage(Gesture.NOD).rest()
    for _ in range(5):
        for _ in range(FLAT_FRAMES - 1):
            stage.see(picture(left=50))
        stage.see(head())
    assert stage.outcome is None


@pytest.mark.parametrize("gesture", Gesture)
def test_another_face_that_does_the_gesture_is_an_attack(gesture: Gesture) -> None:
    stage = Stage(gesture).rest().move(gesture, face=OTHER)
    assert (stage.challenge.met, stage.outcome) == (0, Outcome.ATTACK)


def bowed(stage: Stage) -> Stage:
    """The gesture done, the way back not yet."""
    for down in (7, 15, 26, 26, 26):
        stage.see(head(up=-down))
    assert (stage.challenge.met, stage.outcome) == (1, None)
    return stage


def test_another_face_at_the_end_is_an_attack() -> None:
    assert bowed(Stage(Gesture.NOD).rest()).rest(face=OTHER).outcome is Outcome.ATTACK


def test_a_face_hardly_alike_at_the_end_is_looked_at_again_until_the_time_is_over() -> None:
    between = np.array((0.93, np.sqrt(1 - 0.93**2)), np.float32)
    stage = bowed(Stage(Gesture.NOD).rest())
    assert stage.rest(30, face=between).outcome is None
    assert stage.rest(400, face=between).outcome is Outcome.UNDETERMINED


def test_another_track_with_the_same_face_ends_it_undetermined() -> None:
    stage = Stage(Gesture.NOD).rest().see(head(), track=TrackId(2))
    assert stage.outcome is Outcome.UNDETERMINED


def test_another_track_with_another_face_is_an_attack() -> None:
    stage = Stage(Gesture.NOD).rest()
    stage.see(head(), OTHER, TrackId(2)).see(head(), OTHER, TrackId(2))
    assert stage.outcome is Outcome.ATTACK


def test_what_has_ended_stays_as_it_ended() -> None:
    stage = Stage(Gesture.NOD).rest().move(Gesture.NOD).rest()
    ended = stage.challenge
    assert ended.outcome is Outcome.BONA_FIDE
    assert stage.rest().see(head(), OTHER, TrackId(2)).challenge is ended
    assert expire(ended, 10**9, CONFIG) is ended


def test_the_prompts_follow_from_the_nonce_and_every_order_comes_as_often() -> None:
    drawn = Counter(draw(number.to_bytes(8), 2) for number in range(12_000))
    assert set(drawn) == set(ORDERS[2])
    # 1,000 each expected; six standard deviations are 180.
    assert all(820 <= times <= 1_180 for times in drawn.values())
    assert draw(b"12345678", 2) == draw(b"12345678", 2)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_no_gesture_is_asked_for_twice(count: int) -> None:
    assert all(len(set(order)) == count for order in ORDERS[count])


SHAPES = st.sampled_from([head, picture, picture])
FACES = st.sampled_from([OWN, OWN, OWN, OTHER])
ANGLES = st.integers(-50, 50)


@settings(max_examples=examples(150), deadline=None)
@given(
    st.sampled_from(list(itertools.chain(ORDERS[1], ORDERS[2]))),
    st.lists(st.tuples(SHAPES, ANGLES, ANGLES, FACES, st.integers(1, 4)), max_size=40),
)
def test_whatever_is_shown_only_the_matched_face_gets_on_and_a_picture_never_does(prompts, story) -> None:
    stage = Stage(*prompts)
    for shape, left, up, face, frames in story:
        for _ in range(frames):
            before = stage.challenge
            stage.see(shape(left, up, jitter=stage.frames), face)
            if stage.challenge.met > before.met or stage.outcome is Outcome.BONA_FIDE is not before.outcome:
                assert face is OWN
    if all(shape is picture for shape, *_ in story):
        assert stage.challenge.met == 0
    if stage.outcome is Outcome.BONA_FIDE:
        assert stage.challenge.met == len(prompts)


@pytest.mark.parametrize(
    ("challenge", "first", "again"),
    [("never", False, False), ("on_claim_reuse", False, True), ("always", True, True)],
)
def test_who_is_challenged_follows_from_the_config(challenge, first: bool, again: bool) -> None:
    config = ConfirmConfig(challenge=challenge)
    assert config.asks(used_before=False) is first
    assert config.asks(used_before=True) is again


def test_recent_use_is_remembered_for_its_time_and_only_where_it_is_asked_for() -> None:
    one, other = SubjectId("1" * 32), SubjectId("2" * 32)
    recent = RecentUse(ConfirmConfig(challenge="on_claim_reuse", reuse_s=60))
    recent.note(one, 1_000)
    assert recent.holds(one, 60_999)
    assert not recent.holds(other, 60_999)
    assert not recent.holds(one, 61_000)
    forgetful = RecentUse(ConfirmConfig(challenge="always"))
    forgetful.note(one, 1_000)
    assert not forgetful.holds(one, 1_001)


def test_challenges_that_go_by_unmet_are_counted_and_forgotten_in_time() -> None:
    one, other = SubjectId("1" * 32), SubjectId("2" * 32)
    tries = ChallengeTries()
    for number in range(CHALLENGE_TRIES):
        assert not tries.exhausted(one, number)
        tries.begun(one, number)
    assert tries.exhausted(one, TRIES_KEPT_MS - 1)
    assert not tries.exhausted(other, TRIES_KEPT_MS - 1)
    assert not tries.exhausted(one, TRIES_KEPT_MS)


def test_one_challenge_that_is_met_gives_all_tries_back() -> None:
    one, tries = SubjectId("1" * 32), ChallengeTries()
    for number in range(CHALLENGE_TRIES):
        tries.begun(one, number)
    tries.met(one)
    tries.begun(one, 5)
    assert not tries.exhausted(one, 6)
