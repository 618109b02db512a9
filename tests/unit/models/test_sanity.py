"""The sanity set: what it refuses, proven on embedders that are wrong in a known way."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np
import pytest

from models.errors import ModelsError, SanityError
from models.registry import Pack, open_pack
from models.sanity import EmbedImage, SanityPicture, verify_sanity
from models.verify import Check, Floats
from scripts.packs.networks import open_embedder, portraits


class Named:
    """Embeds a picture as the direction (degrees) it was taught for the picture's bytes."""

    def __init__(self, **degrees: float) -> None:
        self._degrees = degrees

    def __call__(self, content: bytes) -> Floats | None:
        angle = self._degrees.get(content.decode())
        if angle is None:
            return None
        vector = np.zeros(128, np.float32)
        vector[:2] = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        return vector


PICTURES = [
    SanityPicture("ada", "p1", b"a1"),
    SanityPicture("ada", "p2", b"a2"),
    SanityPicture("bob", "p3", b"b1"),
]


def _verified(
    taught: Named,
    pictures: Sequence[SanityPicture] = PICTURES,
    threshold: float | None = 0.9,
    exchanged: Named | None = None,
) -> list[Check]:
    ours = open_pack().recipe_digest

    def opened(pack: Pack, _: str) -> EmbedImage:
        return taught if exchanged is None or pack.recipe_digest == ours else exchanged

    return list(verify_sanity(open_pack(), opened, pictures, threshold))


def _error(checks: list[Check]) -> str:
    errors = [check.error for check in checks if check.error is not None]
    assert errors
    assert all(isinstance(error, SanityError) for error in errors)
    return str(errors[0])


def test_people_who_are_told_apart_pass_with_every_detector() -> None:
    checks = _verified(Named(a1=0, a2=11, b1=90))
    assert all(check.passed for check in checks)
    assert [(check.name, check.file) for check in checks] == [
        ("sanity", "blazeface_back.onnx"),
        ("channels", "dlib_descriptor.onnx"),
        ("sanity", "blazeface_short.onnx"),
    ]


def test_two_people_above_the_threshold_are_refused() -> None:
    assert "threshold 0.9" in _error(_verified(Named(a1=0, a2=2, b1=18)))


def test_one_person_below_the_threshold_is_refused() -> None:
    assert "threshold 0.9" in _error(_verified(Named(a1=0, a2=40, b1=180)))


def test_two_different_people_at_99_are_refused_whatever_the_threshold() -> None:
    for threshold in (None, 0.999):
        told = _error(_verified(Named(a1=0, a2=1, b1=6), threshold=threshold))
        assert "two different people are alike at 0.99" in told
        assert "saturate" in told


def test_without_a_measured_threshold_mated_pairs_must_lie_above_the_others() -> None:
    assert all(check.passed for check in _verified(Named(a1=0, a2=50, b1=150), threshold=None))
    assert "does not know people again" in _error(_verified(Named(a1=0, a2=50, b1=60), threshold=None))


def test_people_known_better_with_red_and_blue_exchanged_are_refused() -> None:
    faint, clear = Named(a1=0, a2=20, b1=60), Named(a1=0, a2=5, b1=90)
    checks = _verified(faint, exchanged=clear)
    assert "red and blue exchanged" in _error(checks)
    assert all(check.passed for check in _verified(clear, exchanged=faint))


def test_a_person_in_whom_no_face_is_found_is_named() -> None:
    assert "ada" in _error(_verified(Named()))


def test_two_renditions_of_one_photograph_prove_nothing_and_are_not_counted() -> None:
    pictures = [*PICTURES, SanityPicture("ada", "p1", b"a3")]
    checks = _verified(Named(a1=0, a2=11, a3=30, b1=180), pictures, threshold=None)
    assert checks[0].detail.startswith("2 mated pairs")


def _default(**preprocessing: object) -> Pack:
    """The default pack, its embedder fed otherwise than it was trained."""
    pack = open_pack()
    files = tuple(
        msgspec.structs.replace(
            file, preprocessing=msgspec.structs.replace(file.preprocessing, **preprocessing)
        )
        if file.path == "dlib_descriptor.onnx"
        else file
        for file in pack.manifest.files
    )
    short = tuple(each for each in pack.manifest.detectors if each.default)
    manifest = msgspec.structs.replace(pack.manifest, files=files, detectors=short)
    return Pack(manifest, pack.digest, pack.recipe_digest, pack.root)


@pytest.mark.parametrize("scale", [1 / 127.5, 1 / 255])
def test_the_real_embedder_fed_pixels_scaled_twice_is_refused(scale: float) -> None:
    pack = _default(scale=scale)
    checks = list(verify_sanity(pack, open_embedder, portraits(), None))
    assert "two different people are alike" in _error(checks)


def test_the_real_embedder_fed_rightly_passes_without_any_threshold() -> None:
    errors: list[ModelsError | None] = [
        check.error for check in verify_sanity(_default(), open_embedder, portraits(), None)
    ]
    assert errors == [None, None]
