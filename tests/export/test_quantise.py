"""`stile models quantise` in the export environment: a new recipe, judged by what this machine computes."""

from __future__ import annotations

import io
import json
from importlib import resources
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("onnx", reason="needs the export environment")

from models.preprocessing import to_input
from models.registry import open_pack
from models.verify import INT8_MIN_COSINE, cosines
from scripts.cli.models import app
from scripts.packs.networks import SessionNetwork
from scripts.people.cast import PORTRAITS

pytestmark = pytest.mark.export

RUNNER = CliRunner()


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped portraits in several lights, which may be used for this."""
    folder = tmp_path_factory.mktemp("faces")
    for path in sorted(PORTRAITS.iterdir()):
        picture = cv2.imread(str(path)) if path.suffix in (".jpg", ".png") else None
        if picture is None:
            continue
        for gain in (0.6, 0.8, 1.0, 1.2):
            lit = np.clip(picture.astype(np.float32) * gain, 0, 255).astype(np.uint8)
            cv2.imwrite(str(folder / f"{path.stem}-{gain}.jpg"), lit)
    (folder / "broken.jpg").write_bytes(b"no picture")
    return folder


@pytest.mark.parametrize("reduce_range", [False, True])
def test_the_int8_pack_is_another_recipe_and_is_judged_by_its_cosine_to_float32(
    faces: Path, tmp_path: Path, reduce_range: bool
) -> None:
    with resources.as_file(resources.files("models") / "packs" / "default") as default:
        arguments = ["quantise", str(default), "--calibration", str(faces), "--to", str(tmp_path / "int8")]
        more = ["--json", *(["--reduce-range"] if reduce_range else [])]
        ended = RUNNER.invoke(app, [*arguments, *more])
    assert ended.exit_code in (0, 1), ended.output
    said = json.loads(ended.stdout.splitlines()[-1])
    assert [path.name for path in tmp_path.iterdir()] == ["int8"]
    pack, original = open_pack(tmp_path / "int8"), open_pack()
    assert pack.recipe_digest != original.recipe_digest
    assert pack.manifest.operating_points == ()
    file = pack.manifest.file("dlib_descriptor_int8.onnx")
    assert file.arithmetic == "int8"
    content = pack.read(file.path)
    # A quarter of float32's size; the default pack stores float16.
    assert len(content) < 0.6 * len(original.read("dlib_descriptor.onnx"))
    golden = pack.read_golden()
    assert golden is not None
    with np.load(io.BytesIO(golden), allow_pickle=False) as arrays:
        pictures, expected = arrays[f"{file.path}/input"], arrays[f"{file.path}/descriptors"]
    network = SessionNetwork(content)
    fed = to_input(pictures, file.preprocessing)
    found = np.concatenate([network.run({"chips": one[None]})["descriptors"] for one in fed])
    worst = float(cosines(found, expected).min())
    print(f"reduce_range {reduce_range}: worst cosine {worst:.4f}")
    assert 0.8 < worst <= 1
    passed = worst >= INT8_MIN_COSINE
    golden_checks = [
        each for each in said["checks"] if each["check"] == "golden" and each["file"] == file.path
    ]
    assert [each["ok"] for each in golden_checks] == [passed]
    assert ended.exit_code == (0 if said["ok"] else 1)
    if not passed:
        assert "VNNI" in golden_checks[0]["detail"]
        assert "--reduce-range" in golden_checks[0]["detail"]
        assert "this machine must not use it" in ended.stderr


def test_a_pack_that_is_int8_already_is_refused(faces: Path, tmp_path: Path) -> None:
    with resources.as_file(resources.files("models") / "packs" / "default") as default:
        first = ["quantise", str(default), "--calibration", str(faces), "--to", str(tmp_path / "a")]
        assert RUNNER.invoke(app, first).exit_code in (0, 1)
    second = ["quantise", str(tmp_path / "a"), "--calibration", str(faces), "--to", str(tmp_path / "b")]
    refused = RUNNER.invoke(app, second)
    assert refused.exit_code == 2
    assert "int8 embedders already" in refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_folder_with_too_few_faces_is_refused_with_the_number_needed(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "grey.png").write_bytes(
        cv2.imencode(".png", np.full((64, 64, 3), 128, np.uint8))[1].tobytes()
    )
    with resources.as_file(resources.files("models") / "packs" / "default") as default:
        arguments = [
            "quantise",
            str(default),
            "--calibration",
            str(tmp_path / "none"),
            "--to",
            str(tmp_path / "x"),
        ]
        refused = RUNNER.invoke(app, arguments)
    assert refused.exit_code == 2
    assert "0 usable faces in 1 pictures, at least 20" in refused.stderr
    assert not (tmp_path / "x").exists()
