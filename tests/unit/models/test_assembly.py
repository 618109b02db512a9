"""Assembly: what a recipe makes of the default pack and of files that are stand-ins of the same shapes."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
import numpy as np
import pytest

from models.assembly import OTHER_CONVERSION, AssembledPack, Tensors, assemble, write_arrays
from models.brought import BroughtContent, read_brought
from models.errors import BroughtFileError, LicenceError, ManifestError, RecipeError, TensorError
from models.manifest import Manifest, OperatingPoint, parse_manifest, recipe_digest
from models.manifest_text import write_manifest
from models.recipes import FoundRecipe, find_recipe
from models.registry import open_pack
from scripts.packs.networks import SessionNetwork
from tests.doubles import pack_standins as standins

EMBEDDER = BroughtContent("mine.onnx", standins.embedder("mobileface-v2"))


def _tensors(content: bytes, _: str, __: tuple[int, ...]) -> Tensors:
    return SessionNetwork(content).tensors()


def _no_mxnet(_: bytes, __: bytes) -> bytes:
    raise AssertionError("no MXNet file was given")


def _assembled(found: FoundRecipe, *brought: BroughtContent, non_commercial: bool = False) -> AssembledPack:
    return assemble(found, open_pack(), brought, _tensors, _no_mxnet, non_commercial=non_commercial)


def _read_back(manifest: Manifest) -> Manifest:
    return parse_manifest(write_manifest(manifest, "a test"))


def test_a_second_embedder_joins_the_default_one_with_the_recipes_weights() -> None:
    built = _assembled(standins.without_evidence("default+mobileface-v2"), EMBEDDER)
    named = [(each.name, each.weight, each.dimensions) for each in built.manifest.embedders]
    assert named == [("dlib-resnet", 0.7401, 128), ("mobileface-v2", 0.2599, 256)]
    assert built.manifest.dimensions == 384
    assert built.manifest.name == "default-mobileface-v2"
    assert set(built.contents) == {*(file.path for file in built.manifest.files), "golden.npz"}
    assert _read_back(built.manifest) == built.manifest


def test_an_embedder_that_the_weights_do_not_name_is_left_out_with_its_file_and_alignment() -> None:
    manifest = _assembled(standins.without_evidence("mobileface-v2"), EMBEDDER).manifest
    assert [each.name for each in manifest.embedders] == ["mobileface-v2"]
    assert [each.name for each in manifest.alignments] == ["arcface-112-wide"]
    assert "dlib_descriptor.onnx" not in {file.path for file in manifest.files}


def test_the_default_packs_golden_vectors_are_kept_for_the_networks_that_stay() -> None:
    built = _assembled(standins.without_evidence("mobileface-v2"), EMBEDDER)
    assert built.manifest.golden is not None
    assert built.manifest.golden.sha256 == hashlib.sha256(built.contents["golden.npz"]).hexdigest()


def test_a_conversion_names_its_tensors_as_it_likes() -> None:
    content = standins.embedder("mobileface-v2", names=("data", "fc5"))
    found = FoundRecipe(
        msgspec.structs.replace(standins.without_evidence("mobileface-v2").recipe),
        find_recipe("mobileface-v2").golden,
    )
    built = _assembled(found, BroughtContent("mine.onnx", content))
    file = built.manifest.file("mobileface_v2.onnx")
    assert (file.inputs[0].name, file.outputs[0].name) == ("data", "fc5")
    assert b"mobileface_v2.onnx/fc5" in built.contents["golden.npz"]


def test_a_network_with_other_tensors_is_refused_and_both_are_told() -> None:
    for content in (standins.anti_spoofing(), standins.yunet("yunet-2026may")):
        with pytest.raises(TensorError, match="112, 112"):
            _assembled(standins.without_evidence("mobileface-v2"), BroughtContent("mine.onnx", content))


def test_passive_detection_leaves_the_recipe_digest_and_its_operating_points_alone() -> None:
    first = BroughtContent("minifasnet_v2_2.7.onnx", standins.anti_spoofing())
    second = BroughtContent("minifasnet_v1se_4.0.onnx", standins.anti_spoofing(("input", "output")))
    built = _assembled(standins.without_evidence("minifasnet"), second, first)
    assert recipe_digest(built.manifest) == open_pack().recipe_digest
    assert built.manifest.operating_points == open_pack().manifest.operating_points
    assert [(each.name, each.crop_scale) for each in built.manifest.pad] == [
        ("minifasnet-v2", 2.7),
        ("minifasnet-v1se", 4.0),
    ]
    assert built.manifest.file("minifasnet_v1se.onnx").inputs[0].name == "input"


def test_a_detector_is_added_and_becomes_the_default() -> None:
    yunet = BroughtContent("any.onnx", standins.yunet("yunet-2026may"))
    manifest = _assembled(standins.without_evidence("yunet-2026may"), yunet).manifest
    assert manifest.default_detector().name == "yunet"
    assert [each.name for each in manifest.detectors] == ["back", "short", "yunet"]


def test_a_file_with_a_digest_that_the_recipe_does_not_list_is_refused() -> None:
    sface = BroughtContent("face_recognition_sface_2021dec.onnx", standins.embedder("sface"))
    with pytest.raises(BroughtFileError, match="0ba9fbfa01b5") as refused:
        _assembled(find_recipe("sface"), sface)
    assert sface.sha256[:12] in str(refused.value)
    assert "obtain it from upstream again" in str(refused.value)


def test_somebodys_own_conversion_is_taken_and_named_as_unknown() -> None:
    built = _assembled(find_recipe("mobileface-v2"), EMBEDDER)
    assert built.unknown == ("mine.onnx",)


def test_a_missing_file_is_told_with_the_names_that_would_do() -> None:
    with pytest.raises(BroughtFileError, match=r"V2-0000\.params and .*json, or mobileface_v2\.onnx"):
        _assembled(find_recipe("mobileface-v2"))


def test_a_file_that_the_recipe_has_no_use_for_is_refused() -> None:
    with pytest.raises(BroughtFileError, match="is not a file that this recipe uses"):
        _assembled(standins.without_evidence("mobileface-v2"), EMBEDDER, BroughtContent("b.txt", b"x"))


def _forbidding() -> FoundRecipe:
    found = standins.without_evidence("mobileface-v2")
    files = (msgspec.structs.replace(found.recipe.files[0], licence="CC-BY-NC-4.0"),)
    return FoundRecipe(msgspec.structs.replace(found.recipe, files=files), None)


def test_weights_that_forbid_commerce_need_the_operators_word_and_carry_it() -> None:
    with pytest.raises(LicenceError, match="--non-commercial"):
        _assembled(_forbidding(), EMBEDDER)
    manifest = _assembled(_forbidding(), EMBEDDER, non_commercial=True).manifest
    assert manifest.non_commercial
    text = write_manifest(manifest, "a test")
    assert parse_manifest(text).non_commercial
    with pytest.raises(ManifestError, match="CC-BY-NC"):
        parse_manifest(text.replace(b"non_commercial = true\n", b""))


def test_weights_that_allow_commerce_are_not_marked_whatever_was_said() -> None:
    found = standins.without_evidence("mobileface-v2")
    assert not _assembled(found, EMBEDDER, non_commercial=True).manifest.non_commercial


def test_files_are_read_up_to_what_the_recipe_allows(tmp_path: Path) -> None:
    recipe = find_recipe("mobileface-v2").recipe
    (tmp_path / "large.onnx").write_bytes(bytes(8_000_001))
    with pytest.raises(BroughtFileError, match=r"large\.onnx: is larger than 8000000 bytes"):
        read_brought(recipe, [tmp_path / "large.onnx"])
    for missing in (tmp_path / "none.onnx", tmp_path):
        with pytest.raises(BroughtFileError, match="there is no such file"):
            read_brought(recipe, [missing])
    symbol = BroughtContent("MobileFace_Identification_V2-symbol.json", bytes(1_000_001))
    parameters = BroughtContent("MobileFace_Identification_V2-0000.params", b"x")
    with pytest.raises(BroughtFileError):
        _assembled(find_recipe("mobileface-v2"), parameters, symbol)


def test_a_weight_without_its_embedder_is_refused() -> None:
    found = standins.without_evidence("mobileface-v2", weights={"nobody": 1.0})
    with pytest.raises(RecipeError, match="nobody"):
        _assembled(found, EMBEDDER)


def _point(digest: str) -> OperatingPoint:
    return OperatingPoint(
        recipe_digest=digest,
        images_per_template=1,
        frames_per_probe=1,
        max_fmr="1e-3",
        threshold=0.5,
        false_matches=1,
        non_mated=1000,
        true_matches=9,
        mated=10,
        clash_margin=0.0,
        test_set="a set",
    )


def _measured(*, golden: bool, base_changed: bool = False) -> Manifest:
    """A pack from an unknown conversion, its recipe measured with the one that it lists."""
    found = find_recipe("mobileface-v2")
    plain = _assembled(found, EMBEDDER).manifest
    (listed,) = found.recipe.files[0].ways[-1].files
    files = tuple(
        msgspec.structs.replace(file, sha256=listed.sha256[0]) if file.path == "mobileface_v2.onnx" else file
        for file in plain.files
    )
    digest = recipe_digest(msgspec.structs.replace(plain, files=files))
    point = _point("0" * 64 if base_changed else digest)
    recipe = msgspec.structs.replace(found.recipe, operating_points=(point,))
    return _assembled(FoundRecipe(recipe, found.golden if golden else None), EMBEDDER).manifest


def test_a_measurement_holds_for_another_conversion_of_the_same_weights_and_says_so() -> None:
    manifest = _measured(golden=True)
    (point,) = [each for each in manifest.operating_points if each.test_set.startswith("a set")]
    assert point.recipe_digest == recipe_digest(manifest)
    assert point.test_set == f"a set{OTHER_CONVERSION}"


def test_a_measurement_is_not_carried_over_without_golden_vectors_or_to_another_recipe() -> None:
    for manifest in (_measured(golden=False), _measured(golden=True, base_changed=True)):
        (point,) = [each for each in manifest.operating_points if each.test_set.startswith("a set")]
        assert point.recipe_digest != recipe_digest(manifest)


def test_the_same_arrays_give_the_same_bytes() -> None:
    arrays = {"b/x": np.arange(3), "a/y": np.ones((2, 2), np.float32)}
    assert write_arrays(arrays) == write_arrays(dict(reversed(arrays.items())))
