"""The demo's cast: who is enrolled from what, who is shown, and that the pack tells them apart."""

from __future__ import annotations

import hashlib
import shutil
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from edge.adapters.camera.qr import QrReader
from edge.capture.embedding import fuse
from edge.capture.pipeline import Pipeline
from edge.capture.sample import FailureToAcquire, Frame, Probe, Vector
from edge.compare.claim import QrClaim, qr_text
from edge.errors import FixtureError
from edge.modes.common import open_pipeline
from models.registry import open_pack
from scripts.people.cast import FACES, MEMBERS, PORTRAITS, SCRIPT, Cast, Part, member
from scripts.people.clip import Studio
from wire.ids import ClaimId

SEED = 7
CLAIM = ClaimId("fedcba9876543210fedcba9876543210")
WALKING = [part for part in SCRIPT if part.shown]
by_role = pytest.mark.parametrize("part", WALKING, ids=lambda part: part.role)


@cache
def pipeline() -> Pipeline:
    return open_pipeline(open_pack(), 1)


def threshold(max_fmr: str) -> float:
    """The pack's own, for one frame against a template of three images."""
    points = open_pack().manifest.operating_points
    (found,) = [
        one.threshold
        for one in points
        if (one.images_per_template, one.frames_per_probe, one.max_fmr) == (3, 1, max_fmr)
    ]
    return found


@cache
def template(name: str) -> Vector:
    probes = [acquired(Frame(image, 0, name)) for image in Cast().enrolment_images(member(name), SEED)]
    assert len(probes) == 3
    return fuse([probe for probe in probes if isinstance(probe, Probe)]).vector


def acquired(frame: Frame) -> Probe | FailureToAcquire:
    return pipeline().acquire(frame).probe


def test_every_role_of_the_demo_is_played() -> None:
    assert [(part.role, part.verdict) for part in SCRIPT] == [
        ("priority member", "grant"),
        ("assisted member", "step_up"),
        ("stranger, amber's code", "refer"),
        ("empty scene", None),
        ("standard member", "grant"),
        ("code and PIN, no face", "grant"),
        ("restricted member", "deny"),
    ]


def test_no_member_is_shown_in_a_photograph_they_enrolled_from_unless_the_pass_says_same_photo() -> None:
    cast = Cast()
    enrolled = {cast.credit(file).photograph: one.name for one in MEMBERS for file in one.enrolled_from}
    for part in WALKING:
        assert part.shown is not None
        again = enrolled.get(cast.credit(part.shown).photograph)
        assert (again is not None) == cast.same_photo(part), part.role


def test_only_people_with_one_photograph_are_shown_in_the_one_they_enrolled_from() -> None:
    cast = Cast()
    photographs: dict[str, set[str]] = {}
    for file in FACES:
        credit = cast.credit(file)
        photographs.setdefault(credit.person, set()).add(credit.photograph)
    marked = [part.role for part in SCRIPT if cast.same_photo(part)]
    assert marked == ["assisted member", "standard member"]
    for part in SCRIPT:
        if cast.same_photo(part):
            assert part.shown is not None
            assert len(photographs[cast.credit(part.shown).person]) == 1


def test_nobody_is_enrolled_as_two_subjects_and_the_stranger_as_none() -> None:
    cast = Cast()
    people = [one.person for one in MEMBERS]
    assert len(set(people)) == len(people) == 3
    assert all(cast.credit(file).person == one.person for one in MEMBERS for file in one.enrolled_from)
    for part in WALKING:
        assert part.shown is not None
        assert part.claims is not None
        owner = cast.credit(part.shown).person == member(part.claims).person
        assert owner == (part.verdict != "refer"), part.role
        if part.verdict == "refer":
            assert cast.credit(part.shown).person not in people


def test_every_picture_names_its_source_and_is_the_file_that_was_credited() -> None:
    cast = Cast()
    for file in FACES:
        credit = cast.credit(file)
        assert credit.source
        assert "public domain" in credit.licence
        assert hashlib.sha256((PORTRAITS / file).read_bytes()).hexdigest() == credit.sha256
        assert cast.portrait(file).photograph == credit.photograph


def test_a_picture_that_was_changed_missing_or_never_credited_is_refused_by_name(tmp_path: Path) -> None:
    shutil.copy(PORTRAITS / "portraits.toml", tmp_path)
    (tmp_path / "biden.jpg").write_bytes(b"another picture")
    cast = Cast(tmp_path)
    for file in ("biden.jpg", "obama.jpg", "uncredited.jpg"):
        with pytest.raises(FixtureError, match=file):
            cast.portrait(file)
    with pytest.raises(FixtureError, match=r"portraits\.toml"):
        Cast(tmp_path / "nowhere")


def test_enrolment_images_are_the_same_for_a_seed_and_differ_from_each_other() -> None:
    cast = Cast()
    for one in MEMBERS:
        images = cast.enrolment_images(one, SEED)
        assert all(map(np.array_equal, images, cast.enrolment_images(one, SEED)))
        assert not any(np.array_equal(images[a], images[b]) for a, b in ((0, 1), (0, 2), (1, 2)))


@by_role
def test_a_person_who_walks_up_is_acquired_and_told_from_everybody_else(part: Part) -> None:
    cast = Cast()
    print(f"seed {SEED}")
    assert part.shown is not None
    scene = cast.scene(part, Studio(SEED), qr_text(CLAIM))
    person = cast.credit(part.shown).person
    mated_above, non_mated_below = threshold("1e-5"), threshold("1e-2")
    # Every sixth frame from when the person is near until they leave.
    for index in range(75, 126, 6):
        probe = acquired(Frame(scene[index], 0, part.role))
        assert isinstance(probe, Probe), index
        for one in MEMBERS:
            alike = float(probe.vector @ template(one.name))
            if one.person == person:
                assert alike > mated_above, (index, one.name)
            else:
                assert alike < non_mated_below, (index, one.name)


@by_role
def test_a_code_is_decoded_before_the_face_can_be_recognised(part: Part) -> None:
    scene, reader = Cast().scene(part, Studio(SEED), qr_text(CLAIM)), QrReader()
    # The card is down after 44 frames.
    early = [Frame(scene[n], 0, part.role) for n in range(50)]
    coded = [n for n, frame in enumerate(early) if reader.read(frame) == QrClaim(CLAIM)]
    assert len(coded) >= 20
    assert isinstance(acquired(early[coded[-1]]), FailureToAcquire)


def test_where_nobody_is_shown_no_face_is_acquired() -> None:
    cast, studio = Cast(), Studio(SEED)
    for part in (part for part in SCRIPT if part.shown is None):
        scene = cast.scene(part, studio, qr_text(CLAIM) if part.claims else None)
        for index in range(0, len(scene), 4):
            assert isinstance(acquired(Frame(scene[index], 0, part.role)), FailureToAcquire), index
