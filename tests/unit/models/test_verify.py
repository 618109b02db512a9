"""Verification on onnxruntime: golden vectors hold, and a pack that computes otherwise is told apart."""

from __future__ import annotations

import hashlib
import io
import shutil
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from models.errors import GoldenError, GraphError, ManifestError, SaturationError, TensorError
from models.registry import MANIFEST_FILE, Pack, open_pack
from models.verify import Check, cosines, relative_difference
from models.verify import verify_pack as verified
from scripts.packs.networks import SessionNetwork, portraits
from scripts.people.cast import PORTRAITS


class Clock:
    """A clock that says what it is told: three milliseconds a look."""

    def __init__(self) -> None:
        self._now_ms = 0.0

    def __call__(self) -> float:
        self._now_ms += 3.0
        return self._now_ms


def _checks(pack: Pack) -> list[Check]:
    return list(verified(pack, SessionNetwork, Clock()))


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    with resources.as_file(resources.files("models") / "packs" / "default") as folder:
        return Path(shutil.copytree(folder, tmp_path / "copy"))


def _rewritten(folder: Path, before: str, after: str) -> Pack:
    manifest = folder / MANIFEST_FILE
    text = manifest.read_text(encoding="utf-8")
    assert before in text
    manifest.write_text(text.replace(before, after, 1), encoding="utf-8")
    return open_pack(folder)


def test_every_network_of_the_default_pack_answers_as_the_original_does() -> None:
    checks = _checks(open_pack())
    assert [str(check.error) for check in checks if not check.passed] == []
    golden = sorted(check.file for check in checks if check.name == "golden")
    assert golden == [
        *("blazeface_back.onnx", "blazeface_back.onnx"),
        *("blazeface_short.onnx", "blazeface_short.onnx"),
        "dlib_descriptor.onnx",
        *("face_mesh.onnx", "face_mesh.onnx"),
    ]


def test_wrong_preprocessing_is_caught_by_the_golden_vectors(copy: Path) -> None:
    pack = _rewritten(copy, "scale = 1.0, offset = 0.0", "scale = 1.0, offset = -128.0")
    (failed,) = [check for check in _checks(pack) if not check.passed]
    assert isinstance(failed.error, GoldenError)
    assert failed.file == "dlib_descriptor.onnx"
    assert "dlib_descriptor.onnx" in str(failed.error)


def test_another_network_under_a_corrected_digest_is_caught_by_its_tensors(copy: Path) -> None:
    pack = _disguised(copy, "blazeface_short.onnx", (copy / "blazeface_back.onnx").read_bytes())
    (failed,) = [check for check in _checks(pack) if not check.passed]
    assert isinstance(failed.error, TensorError)
    assert "blazeface_short.onnx" in str(failed.error)


def _disguised(folder: Path, file: str, content: bytes) -> Pack:
    """The pack with other bytes under that name, and a manifest that vouches for them."""
    old = hashlib.sha256((folder / file).read_bytes()).hexdigest()
    (folder / file).write_bytes(content)
    return _rewritten(folder, old, hashlib.sha256(content).hexdigest())


def test_bytes_that_are_no_network_are_a_failed_check_and_not_a_crash(copy: Path) -> None:
    pack = _disguised(copy, "face_mesh.onnx", b"no network")
    (failed,) = [check for check in _checks(pack) if not check.passed]
    assert (failed.name, failed.file) == ("tensors", "face_mesh.onnx")
    assert isinstance(failed.error, GraphError)
    assert "no whole ONNX file" in str(failed.error)


def test_golden_vectors_that_are_no_archive_are_named(copy: Path) -> None:
    for content in (b"no archive", b"", (copy / "golden.npz").read_bytes()[:1000]):
        pack = _disguised(copy, "golden.npz", content)
        with pytest.raises(ManifestError, match=r"golden\.npz"):
            _checks(pack)


def test_golden_pictures_of_the_wrong_size_fail_the_check(copy: Path) -> None:
    with np.load(copy / "golden.npz", allow_pickle=False) as arrays:
        cut = {
            name: values[:, :-1] if name == "face_mesh.onnx/input" else values
            for name, values in arrays.items()
        }
    written = io.BytesIO()
    np.savez_compressed(written, **cut)
    pack = _disguised(copy, "golden.npz", written.getvalue())
    (failed,) = [check for check in _checks(pack) if not check.passed]
    assert (failed.name, failed.file) == ("golden", "face_mesh.onnx")


def test_a_pair_of_pictures_in_one_run_gives_the_same_descriptors_as_two_runs() -> None:
    network = SessionNetwork(open_pack().read("dlib_descriptor.onnx"))
    seed = 20261123
    print(f"seed {seed}")
    chips = np.random.default_rng(seed).uniform(0, 255, (2, 3, 150, 150)).astype(np.float32)
    together = network.run({"chips": chips})["descriptors"]
    apart = [network.run({"chips": chip[None]})["descriptors"][0] for chip in chips]
    assert relative_difference(together, np.stack(apart)) < 1e-5


def test_nothing_but_finite_numbers_of_the_right_shape_is_near_a_golden_vector() -> None:
    golden = np.ones((1, 4), np.float32)
    assert relative_difference(golden, golden) == 0
    assert relative_difference(np.full((1, 4), np.nan, np.float32), golden) == float("inf")
    assert relative_difference(np.ones((4,), np.float32), golden) == float("inf")


def test_the_portraits_are_those_that_their_table_names() -> None:
    folder = PORTRAITS
    listed = (folder / "portraits.toml").read_text(encoding="utf-8")
    readme = (folder / "README.md").read_text(encoding="utf-8")
    pictures = {path.name for path in folder.iterdir()} - {"portraits.toml", "README.md"}
    assert pictures == {line.split('"')[1] for line in listed.splitlines() if line.startswith("file = ")}
    for name in pictures:
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() in listed
        assert f"`{name}`" in readme


def test_there_are_several_photographs_of_one_person_to_be_sane_about() -> None:
    shown = [(picture.person, picture.photograph) for picture in portraits()]
    assert len(set(shown)) == len(shown)
    assert max([person for person, _ in shown].count(person) for person, _ in shown) >= 3


def test_red_and_blue_exchanged_are_caught_by_the_golden_vectors(copy: Path) -> None:
    manifest = (copy / MANIFEST_FILE).read_text(encoding="utf-8")
    before = 'channels = "RGB", scale = 1.0, offset = 0.0'
    assert before in manifest
    pack = _rewritten(copy, before, before.replace("RGB", "BGR"))
    (failed,) = [check for check in _checks(pack) if not check.passed]
    assert (failed.name, failed.file) == ("golden", "dlib_descriptor.onnx")


def test_latency_is_reported_for_every_network_and_judged_for_none() -> None:
    laps = {check.file: check for check in _checks(open_pack()) if check.name == "latency"}
    assert set(laps) == {file.path for file in open_pack().manifest.files}
    assert {check.detail for check in laps.values()} == {"3.0 ms a run on one thread"}


def test_the_licence_of_every_network_is_told() -> None:
    told = {check.file: check.detail for check in _checks(open_pack()) if check.name == "licence"}
    assert told["dlib_descriptor.onnx"] == "CC0-1.0"
    assert set(told) == {file.path for file in open_pack().manifest.files}


def _as_int8(folder: Path, noise: float) -> Pack:
    """The default pack, its embedder called int8, with golden answers this far (relative) from its own."""
    with np.load(folder / "golden.npz", allow_pickle=False) as arrays:
        kept = dict(arrays)
    key = "dlib_descriptor.onnx/descriptors"
    random = np.random.default_rng(20261123)
    off = random.standard_normal(kept[key].shape)
    lengths = np.linalg.norm(kept[key], axis=1, keepdims=True) / np.linalg.norm(off, axis=1, keepdims=True)
    kept[key] = (kept[key] + noise * off * lengths).astype(np.float32)
    written = io.BytesIO()
    np.savez_compressed(written, **kept)
    _disguised(folder, "golden.npz", written.getvalue())
    licence = 'licence = "CC0-1.0"'
    return _rewritten(folder, licence, f'{licence}\narithmetic = "int8"')


def test_an_int8_network_may_differ_in_value_as_long_as_it_keeps_its_direction(copy: Path) -> None:
    assert all(check.passed for check in _checks(_as_int8(copy, 0.03)))


def test_an_int8_network_that_lost_its_direction_is_refused_with_what_to_do(copy: Path) -> None:
    (failed,) = [check for check in _checks(_as_int8(copy, 0.1)) if not check.passed]
    assert isinstance(failed.error, SaturationError)
    assert 0.98 < failed.error.worst < 0.999
    for told in ("VNNI", "--reduce-range", "0.999"):
        assert told in str(failed.error)


def test_a_row_that_is_not_finite_has_no_direction() -> None:
    expected = np.eye(3, dtype=np.float32)
    broken = expected.copy()
    broken[0, 1], broken[1] = np.nan, 0
    assert cosines(broken, expected).tolist() == [-1, -1, 1]
    assert cosines(broken[:2], expected).tolist() == [-1, -1, -1]
