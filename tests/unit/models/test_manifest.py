"""The manifest: what it refuses, and what the recipe digest covers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import msgspec
import pytest

from models.errors import ManifestError
from models.manifest import Manifest, QualityFloors, parse_manifest, recipe_digest
from models.manifest_text import write_manifest
from models.registry import MANIFEST_FILE, open_pack

Rewrite = Callable[[Manifest], Manifest]


@pytest.fixture(scope="module")
def text() -> bytes:
    return (open_pack().root / MANIFEST_FILE).read_bytes()


@pytest.fixture(scope="module")
def manifest(text: bytes) -> Manifest:
    return parse_manifest(text)


@pytest.mark.parametrize(
    ("before", "after", "named"),
    [
        (b"summary =", b"sumary = 'x'\nsummary =", "sumary"),
        (b"region_scale = 1.5", b"region_scale = 1.5\nregion_scael = 2.0", "region_scael"),
        (b"format = 1\n", b"format = 2\n", "format"),
        (b"weight = 1.0", b"weight = 0.5", "sum to 0.5"),
        (b'alignment = "dlib-150"', b'alignment = "dlib-151"', "dlib-151"),
        (b'file = "face_mesh.onnx"', b'file = "mesh.onnx"', "mesh.onnx"),
        (b"default = false", b"default = true", "exactly one of detectors"),
        (b"landmarks = [[263], [362], ", b"landmarks = [[263], ", "4 landmark groups and 5 template points"),
        (b"landmarks = [[263], ", b"landmarks = [[468], ", "landmarks"),
        (b'kind = "mesh468"', b'kind = "mesh478"', "kind"),
        (b'path = "face_mesh.onnx"', b'path = "../face_mesh.onnx"', "path"),
        (b'channels = "RGB"', b'channels = "GBR"', "channels"),
        (b"false_matches = 241\n", b"false_matches = 4938861\n", "more matches than comparisons"),
        (b"side = 256", b"side = 255", "blazeface_back.onnx is [1, 3, 256, 256]"),
        (b"side = 150", b"side = 112", "alignments.dlib-150.side is 112"),
        (b"dimensions = 128", b"dimensions = 512", "dimensions is 512"),
        (b'name = "short"', b'name = "back"', "twice"),
        (b"[landmarks]", b"[quality]\nmin_sharp = 0.1\n[landmarks]", "min_sharp"),
        (b"[landmarks]", b"[quality]\nmax_yaw = 1.5\n[landmarks]", "quality.max_yaw"),
        (
            b"[landmarks]",
            b"[quality]\nmax_yaw = 0.1\n[landmarks]",
            "good_yaw is above quality.max_yaw",
        ),
    ],
)
def test_a_wrong_manifest_is_refused_by_a_message_that_names_what_is_wrong(
    text: bytes, before: bytes, after: bytes, named: str
) -> None:
    assert before in text
    with pytest.raises(ManifestError, match=r"pack/manifest\.toml") as refused:
        parse_manifest(text.replace(before, after, 1), where="pack/manifest.toml")
    assert named in str(refused.value)


def test_text_that_is_no_toml_is_refused_as_a_manifest_error() -> None:
    for broken in (b"\xff\xfe", b"format = ", b""):
        with pytest.raises(ManifestError):
            parse_manifest(broken)


def test_a_pack_without_quality_floors_has_those_its_points_were_measured_with(text: bytes) -> None:
    assert b"[quality]" not in text
    assert parse_manifest(text).quality == QualityFloors()


def test_quality_floors_of_a_pack_are_read_and_written(manifest: Manifest) -> None:
    stricter = _floors(manifest)
    written = write_manifest(stricter, "a test")
    assert b"[quality]" in written
    assert parse_manifest(written) == stricter
    assert b"[quality]" not in write_manifest(manifest, "a test")


def test_the_whole_vector_is_as_long_as_its_parts_together(manifest: Manifest) -> None:
    part = manifest.embedders[0]
    assert msgspec.structs.replace(manifest, embedders=(part, part)).dimensions == 2 * part.dimensions


def _points(manifest: Manifest) -> Manifest:
    changed = tuple(msgspec.structs.replace(p, threshold=0.5) for p in manifest.operating_points)
    return msgspec.structs.replace(manifest, operating_points=changed)


def _licences(manifest: Manifest) -> Manifest:
    changed = tuple(msgspec.structs.replace(f, licence="MIT") for f in manifest.files)
    return msgspec.structs.replace(manifest, files=changed)


def _default_detector(manifest: Manifest) -> Manifest:
    changed = tuple(msgspec.structs.replace(d, default=not d.default) for d in manifest.detectors)
    return msgspec.structs.replace(manifest, detectors=changed)


def _detector_order(manifest: Manifest) -> Manifest:
    return msgspec.structs.replace(manifest, detectors=manifest.detectors[::-1])


def _floors(manifest: Manifest) -> Manifest:
    return msgspec.structs.replace(manifest, quality=QualityFloors(max_yaw=0.5))


def _text(manifest: Manifest) -> Manifest:
    return msgspec.structs.replace(manifest, name="other", version="9", summary="other", golden=None)


@pytest.mark.parametrize("change", [_points, _licences, _default_detector, _detector_order, _floors, _text])
def test_what_does_not_shape_a_template_leaves_the_recipe_digest_alone(
    manifest: Manifest, change: Rewrite
) -> None:
    assert change(manifest) != manifest
    assert recipe_digest(change(manifest)) == recipe_digest(manifest)


def _weights(manifest: Manifest) -> Manifest:
    other = hashlib.sha256(b"other weights").hexdigest()
    changed = tuple(
        msgspec.structs.replace(f, sha256=other) if f.path == manifest.embedders[0].file else f
        for f in manifest.files
    )
    return msgspec.structs.replace(manifest, files=changed)


def _template(manifest: Manifest) -> Manifest:
    (recipe,) = manifest.alignments
    moved = ((recipe.template[0][0] + 1, recipe.template[0][1]), *recipe.template[1:])
    return msgspec.structs.replace(manifest, alignments=(msgspec.structs.replace(recipe, template=moved),))


def _flip(manifest: Manifest) -> Manifest:
    changed = tuple(msgspec.structs.replace(e, flip_averaged=False) for e in manifest.embedders)
    return msgspec.structs.replace(manifest, embedders=changed)


def _fusion(manifest: Manifest) -> Manifest:
    changed = tuple(msgspec.structs.replace(e, weight=0.5) for e in manifest.embedders)
    return msgspec.structs.replace(manifest, embedders=changed)


def _pixels(manifest: Manifest) -> Manifest:
    changed = tuple(
        msgspec.structs.replace(f, preprocessing=msgspec.structs.replace(f.preprocessing, channels="BGR"))
        for f in manifest.files
    )
    return msgspec.structs.replace(manifest, files=changed)


def _region(manifest: Manifest) -> Manifest:
    changed = msgspec.structs.replace(manifest.landmarks, region_scale=1.6)
    return msgspec.structs.replace(manifest, landmarks=changed)


def _decoder(manifest: Manifest) -> Manifest:
    changed = tuple(msgspec.structs.replace(d, kind="yunet") for d in manifest.detectors)
    return msgspec.structs.replace(manifest, detectors=changed)


@pytest.mark.parametrize("change", [_weights, _template, _flip, _fusion, _pixels, _region, _decoder])
def test_what_shapes_a_template_changes_the_recipe_digest(manifest: Manifest, change: Rewrite) -> None:
    assert recipe_digest(change(manifest)) != recipe_digest(manifest)


def test_the_default_pack_was_measured_with_its_own_recipe(manifest: Manifest) -> None:
    assert {point.recipe_digest for point in manifest.operating_points} == {recipe_digest(manifest)}
    for point in manifest.operating_points:
        assert point.fmr <= float(point.max_fmr)
