"""Opening a pack: every file is the one its manifest names, or the pack is refused."""

from __future__ import annotations

import shutil
from importlib import resources
from pathlib import Path

import pytest

from models.errors import FileDigestError, FileMissingError, PackNotFoundError
from models.registry import MANIFEST_FILE, open_pack

MAX_PACK_BYTES = 15_000_000
"""What the default pack may weigh (issue 2)."""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    with resources.as_file(resources.files("models") / "packs" / "default") as folder:
        return Path(shutil.copytree(folder, tmp_path / "copy"))


def test_a_copy_of_the_default_pack_is_the_same_pack(copy: Path) -> None:
    ours, theirs = open_pack(), open_pack(copy)
    assert (ours.digest, ours.recipe_digest) == (theirs.digest, theirs.recipe_digest)


@pytest.mark.parametrize(
    "file",
    ["blazeface_back.onnx", "blazeface_short.onnx", "face_mesh.onnx", "dlib_descriptor.onnx", "golden.npz"],
)
def test_a_file_with_one_wrong_bit_is_refused_by_a_message_that_names_it(copy: Path, file: str) -> None:
    content = bytearray((copy / file).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / file).write_bytes(content)
    with pytest.raises(FileDigestError) as refused:
        open_pack(copy)
    assert refused.value.file == file
    assert file in str(refused.value)
    assert "install the pack again" in str(refused.value)


def test_a_file_replaced_after_opening_is_refused_when_it_is_read(copy: Path) -> None:
    pack = open_pack(copy)
    (copy / "face_mesh.onnx").write_bytes(b"another network")
    with pytest.raises(FileDigestError, match=r"face_mesh\.onnx"):
        pack.read("face_mesh.onnx")
    assert pack.read("blazeface_back.onnx")


def test_a_missing_file_is_named(copy: Path) -> None:
    (copy / "dlib_descriptor.onnx").unlink()
    with pytest.raises(FileMissingError, match=r"dlib_descriptor\.onnx"):
        open_pack(copy)


def test_a_folder_without_a_manifest_is_named(tmp_path: Path) -> None:
    with pytest.raises(PackNotFoundError, match=str(tmp_path)):
        open_pack(tmp_path)


def test_only_declared_files_can_be_read(copy: Path) -> None:
    (copy / "other.onnx").write_bytes(b"x")
    with pytest.raises(KeyError):
        open_pack(copy).read("other.onnx")


def test_the_default_pack_is_small_and_names_a_licence_and_a_source_for_every_file(copy: Path) -> None:
    pack = open_pack(copy)
    assert sum(path.stat().st_size for path in copy.iterdir()) < MAX_PACK_BYTES
    listed = {file.path for file in pack.manifest.files} | {"golden.npz", MANIFEST_FILE}
    assert {path.name for path in copy.iterdir()} == listed
    notice = (Path(__file__).parents[3] / "NOTICE").read_text(encoding="utf-8")
    for file in pack.manifest.files:
        assert file.licence in {"Apache-2.0", "CC0-1.0"}
        assert file.path in notice
        assert f"{file.source.package} {file.source.version}" in notice
