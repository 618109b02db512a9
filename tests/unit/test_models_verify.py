"""Verification on onnxruntime: golden vectors hold, and a pack that computes otherwise is told apart."""

from __future__ import annotations

import hashlib
import io
import shutil
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from models.errors import GoldenError, ManifestError, TensorError
from models.registry import MANIFEST_FILE, Pack, open_pack
from models.verify import Floats, SanityPicture, relative_difference, verify_pack, verify_sanity
from scripts.models import SessionNetwork, portraits


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
    checks = list(verify_pack(open_pack(), SessionNetwork))
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
    (failed,) = [check for check in verify_pack(pack, SessionNetwork) if not check.passed]
    assert isinstance(failed.error, GoldenError)
    assert failed.file == "dlib_descriptor.onnx"
    assert "dlib_descriptor.onnx" in str(failed.error)


def test_another_network_under_a_corrected_digest_is_caught_by_its_tensors(copy: Path) -> None:
    pack = _disguised(copy, "blazeface_short.onnx", (copy / "blazeface_back.onnx").read_bytes())
    (failed,) = [check for check in verify_pack(pack, SessionNetwork) if not check.passed]
    assert isinstance(failed.error, TensorError)
    assert "blazeface_short.onnx" in str(failed.error)


def _disguised(folder: Path, file: str, content: bytes) -> Pack:
    """The pack with other bytes under that name, and a manifest that vouches for them."""
    old = hashlib.sha256((folder / file).read_bytes()).hexdigest()
    (folder / file).write_bytes(content)
    return _rewritten(folder, old, hashlib.sha256(content).hexdigest())


def test_bytes_that_are_no_network_are_a_failed_check_and_not_a_crash(copy: Path) -> None:
    pack = _disguised(copy, "face_mesh.onnx", b"no network")
    (failed,) = [check for check in verify_pack(pack, SessionNetwork) if not check.passed]
    assert (failed.name, failed.file) == ("tensors", "face_mesh.onnx")
    assert "cannot be read" in str(failed.error)


def test_golden_vectors_that_are_no_archive_are_named(copy: Path) -> None:
    for content in (b"no archive", b"", (copy / "golden.npz").read_bytes()[:1000]):
        pack = _disguised(copy, "golden.npz", content)
        with pytest.raises(ManifestError, match=r"golden\.npz"):
            list(verify_pack(pack, SessionNetwork))


def test_golden_pictures_of_the_wrong_size_fail_the_check(copy: Path) -> None:
    with np.load(copy / "golden.npz", allow_pickle=False) as arrays:
        cut = {
            name: values[:, :-1] if name == "face_mesh.onnx/input" else values
            for name, values in arrays.items()
        }
    written = io.BytesIO()
    np.savez_compressed(written, **cut)
    pack = _disguised(copy, "golden.npz", written.getvalue())
    (failed,) = [check for check in verify_pack(pack, SessionNetwork) if not check.passed]
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
    folder = Path(__file__).parents[2] / "scripts" / "portraits"
    listed = (folder / "portraits.toml").read_text(encoding="utf-8")
    readme = (folder / "README.md").read_text(encoding="utf-8")
    pictures = {path.name for path in folder.iterdir()} - {"portraits.toml", "README.md"}
    assert pictures == {line.split('"')[1] for line in listed.splitlines() if line.startswith("file = ")}
    for name in pictures:
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() in listed
        assert f"`{name}`" in readme


class Named:
    """An embedder that tells people apart by the names it was taught."""

    def __init__(self, **directions: tuple[float, float]) -> None:
        self._directions = directions

    def __call__(self, content: bytes) -> Floats | None:
        direction = self._directions.get(content.decode())
        return None if direction is None else np.array(direction, np.float32)


def _picture(person: str, photograph: str, content: str) -> SanityPicture:
    return SanityPicture(person, photograph, content.encode())


def test_the_sanity_set_fails_a_pack_that_takes_one_person_for_another() -> None:
    pictures = [_picture("ada", "p1", "a1"), _picture("ada", "p2", "a2"), _picture("bob", "p3", "b1")]
    pack = open_pack()
    apart = Named(a1=(1, 0), a2=(0.98, 0.199), b1=(0, 1))
    assert verify_sanity(pack, apart, pictures, 0.9).passed
    alike = Named(a1=(1, 0), a2=(0.98, 0.199), b1=(0.95, 0.312))
    assert not verify_sanity(pack, alike, pictures, 0.9).passed
    torn = Named(a1=(1, 0), a2=(0, 1), b1=(-1, 0))
    assert not verify_sanity(pack, torn, pictures, 0.9).passed


def test_the_sanity_set_names_the_person_in_whom_no_face_is_found() -> None:
    check = verify_sanity(open_pack(), Named(), [_picture("ada", "p1", "a1")], 0.9)
    assert not check.passed
    assert "ada" in str(check.error)


def test_two_renditions_of_one_photograph_prove_nothing_and_are_not_counted() -> None:
    pictures = [_picture("ada", "p1", "a1"), _picture("ada", "p1", "a2")]
    check = verify_sanity(open_pack(), Named(a1=(1, 0), a2=(0, 1)), pictures, 0.9)
    assert check.detail.startswith("0 mated pairs")


def test_there_are_several_photographs_of_one_person_to_be_sane_about() -> None:
    shown = [(picture.person, picture.photograph) for picture in portraits()]
    assert len(set(shown)) == len(shown)
    assert max([person for person, _ in shown].count(person) for person, _ in shown) >= 3
