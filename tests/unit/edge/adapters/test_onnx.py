"""Networks: a file that cannot be used is named."""

import hashlib
import shutil
from pathlib import Path

import pytest

from edge.errors import ConfigError
from edge.modes.common import open_pipeline
from models.errors import FileDigestError, TensorError
from models.registry import MANIFEST_FILE, open_pack

DEFAULT = Path(str(open_pack().root))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DEFAULT, tmp_path / "pack"))


def replace(folder: Path, name: str, content: bytes) -> None:
    """Put other bytes into the pack, and their digest into its manifest."""
    before = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    (folder / name).write_bytes(content)
    manifest = folder / MANIFEST_FILE
    manifest.write_text(manifest.read_text().replace(before, hashlib.sha256(content).hexdigest()))


def test_a_file_that_is_no_network_is_named(folder: Path) -> None:
    replace(folder, "face_mesh.onnx", b"not a network")
    with pytest.raises(TensorError, match=r"face_mesh\.onnx has tensors that onnxruntime cannot load"):
        open_pipeline(open_pack(folder), 1)


def test_a_network_in_anothers_place_is_named_with_what_it_has_and_should_have(folder: Path) -> None:
    replace(folder, "face_mesh.onnx", (folder / "dlib_descriptor.onnx").read_bytes())
    with pytest.raises(TensorError, match=r"face_mesh\.onnx has tensors .*descriptors.* declares .*presence"):
        open_pipeline(open_pack(folder), 1)


def test_a_file_changed_after_the_pack_was_opened_is_not_loaded(folder: Path) -> None:
    pack = open_pack(folder)
    (folder / "dlib_descriptor.onnx").write_bytes(b"swapped")
    with pytest.raises(FileDigestError, match=r"dlib_descriptor\.onnx"):
        open_pipeline(pack, 1)


@pytest.mark.parametrize("threads", [0, -1, 65])
def test_a_number_of_threads_out_of_bounds_is_a_configuration_error(threads: int) -> None:
    with pytest.raises(ConfigError, match="threads"):
        open_pipeline(open_pack(), threads)


def test_only_the_chosen_detector_is_loaded(folder: Path) -> None:
    replace(folder, "blazeface_short.onnx", b"not a network")
    open_pipeline(open_pack(folder), 1, detector="back")
    with pytest.raises(TensorError, match=r"blazeface_short\.onnx"):
        open_pipeline(open_pack(folder), 1, detector="short")
