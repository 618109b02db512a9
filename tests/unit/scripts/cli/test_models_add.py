"""`stile models add`: a whole verified pack appears, or a sentence and nothing at all."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from typer.testing import CliRunner

from models.errors import GraphError
from models.graph_outline import MAX_NODES
from models.registry import open_pack
from scripts.cli.models import app
from scripts.packs.networks import probe_tensors
from tests.doubles import pack_standins as standins
from tests.doubles.onnx_standin import INT64, Graph, block, integer, number, tensor, uniform, value

RUNNER = CliRunner()
SHAPE = ["N", 3, 112, 112]
BOOL = 9


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """The MobileFace recipe without golden vectors, as the stand-in is not MobileFace."""
    text = (resources.files("models") / "recipes" / "mobileface-v2.toml").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("golden = ")]
    path = tmp_path / "recipe.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def _add(recipe: Path | str, content: bytes | None, where: Path, *more: str) -> Result:
    brought = where / "mine.onnx"
    if content is not None:
        brought.write_bytes(content)
    arguments = ["add", "--recipe", str(recipe), str(brought), "--to", str(where / "pack"), "--json", *more]
    return RUNNER.invoke(app, arguments)


def _left(where: Path) -> set[str]:
    return {path.name for path in where.iterdir()} - {"mine.onnx", "recipe.toml"}


def test_a_pack_that_verifies_is_kept_whole_and_verifies_again(tmp_path: Path, recipe: Path) -> None:
    added = _add(recipe, standins.embedder("mobileface-v2"), tmp_path)
    assert added.exit_code == 0, added.output
    said = json.loads(added.stdout.splitlines()[-1])
    assert (said["ok"], said["kept"], said["unknown_files"]) == (True, True, ["mine.onnx"])
    assert "mine.onnx is in no recipe" in added.stderr
    assert _left(tmp_path) == {"pack"}
    pack = open_pack(tmp_path / "pack")
    assert said["recipe_digest"] == pack.recipe_digest != open_pack().recipe_digest
    assert pack.manifest.file("mobileface_v2.onnx").source.file == "mine.onnx"
    verified = RUNNER.invoke(app, ["verify", str(tmp_path / "pack"), "--json"])
    assert verified.exit_code == 0, verified.output


def _refused(added: Result, where: Path, code: int) -> str:
    assert added.exit_code == code, added.output
    assert added.exception is None or isinstance(added.exception, SystemExit)
    assert "Traceback" not in added.output
    assert _left(where) == set()
    return added.output


def test_another_network_than_the_golden_vectors_are_of_is_refused(tmp_path: Path) -> None:
    told = _refused(_add("mobileface-v2", standins.embedder("mobileface-v2"), tmp_path), tmp_path, 1)
    assert "golden" in told
    assert "mobileface_v2.onnx" in told
    assert "the pack was not kept" in told


def test_a_network_made_for_the_other_channel_order_is_refused(tmp_path: Path, recipe: Path) -> None:
    told = _refused(_add(recipe, standins.embedder("mobileface-v2", "BGR"), tmp_path), tmp_path, 1)
    assert "red and blue exchanged" in told


def test_a_network_that_answers_nearly_the_same_to_everybody_is_refused(tmp_path: Path, recipe: Path) -> None:
    told = _refused(_add(recipe, uniform("image", SHAPE, "out", 256), tmp_path), tmp_path, 1)
    assert "two different people are alike" in told
    assert "saturate" in told


def _many_nodes() -> bytes:
    graph = Graph()
    graph.inputs.append(value("image", SHAPE))
    for index in range(MAX_NODES + 1):
        graph.node("Identity", ["image"], f"x{index}")
    graph.outputs.append(value("x0", SHAPE))
    return graph.content


def _four_terabytes() -> bytes:
    """Small to store, and nothing can hold what it asks for."""
    graph = Graph()
    graph.inputs.append(value("image", SHAPE))
    graph.node("ConstantOfShape", [graph.constant("sizes", np.array([2**40], np.int64))], "large")
    graph.node("ReduceMax", ["large"], "one", integer("keepdims", 0))
    graph.node("GlobalAveragePool", ["image"], "mean")
    graph.node("Mul", ["mean", "one"], "scaled")
    graph.node("Flatten", ["scaled"], "flat", integer("axis", 1))
    graph.node("MatMul", ["flat", graph.constant("w", np.ones((3, 256), np.float32))], "out")
    graph.outputs.append(value("out", ["N", 256]))
    return graph.content


def _outside() -> bytes:
    graph = Graph()
    graph.inputs.append(value("image", SHAPE))
    graph.tensors.append(tensor("w", np.zeros((3, 256), np.float32), external="weights.bin"))
    graph.node("GlobalAveragePool", ["image"], "mean")
    graph.node("Flatten", ["mean"], "flat", integer("axis", 1))
    graph.node("MatMul", ["flat", "w"], "out")
    graph.outputs.append(value("out", ["N", 256]))
    return graph.content


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (None, "there is no such file"),
        (b"", "no whole ONNX file"),
        (b"<html>404</html>", "no whole ONNX file"),
        (standins.embedder("mobileface-v2")[:2000], "no whole ONNX file"),
        (standins.anti_spoofing(), "80"),
        (standins.yunet("yunet-2026may"), "tensors"),
        (bytes(8_000_001), "larger than 8000000 bytes"),
        (_outside(), "another file"),
        (_many_nodes(), f"at most {MAX_NODES}"),
        (_four_terabytes(), "cannot be used as a network"),
    ],
    ids=["missing", "empty", "html", "truncated", "pad", "detector", "large", "external", "nodes", "memory"],
)
def test_a_file_that_cannot_be_used_ends_with_2_a_sentence_and_nothing_left(
    tmp_path: Path, recipe: Path, content: bytes | None, named: str
) -> None:
    told = _refused(_add(recipe, content, tmp_path), tmp_path, 2)
    assert named in told
    assert "error: " in told


def test_a_wrong_digest_ends_with_2(tmp_path: Path) -> None:
    told = _refused(_add("sface", standins.embedder("sface"), tmp_path), tmp_path, 2)
    assert "obtain it from upstream again" in told


def test_an_unknown_recipe_ends_with_2_and_the_names_there_are(tmp_path: Path) -> None:
    told = _refused(_add("facenet", b"x", tmp_path), tmp_path, 2)
    assert "default+mobileface-v2" in told


def test_mxnet_files_need_the_export_environment_and_say_so(tmp_path: Path, recipe: Path) -> None:
    try:
        import onnx  # noqa: F401
    except ImportError:
        text = recipe.read_text(encoding="utf-8")
        lines = [
            line.split(", sha256")[0] + " }," if "max_bytes" in line else line for line in text.splitlines()
        ]
        recipe.write_text("\n".join(lines), encoding="utf-8")
        for name in ("V2-0000.params", "V2-symbol.json"):
            (tmp_path / name).write_bytes(b"{}")
        arguments = ["add", "--recipe", str(recipe), "--to", str(tmp_path / "pack")]
        brought = [str(tmp_path / name) for name in ("V2-0000.params", "V2-symbol.json")]
        refused = RUNNER.invoke(app, [*arguments, *brought])
        assert refused.exit_code == 2
        assert "requirements/export.txt" in refused.stderr
        assert not (tmp_path / "pack").exists()
    else:
        pytest.skip("this is the export environment: tests/export proves the conversion")


def test_a_folder_that_is_there_is_never_written_into(tmp_path: Path, recipe: Path) -> None:
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "mine").write_text("kept", encoding="utf-8")
    refused = _add(recipe, standins.embedder("mobileface-v2"), tmp_path)
    assert refused.exit_code == 2
    assert "is there already" in refused.stderr
    assert [path.name for path in (tmp_path / "pack").iterdir()] == ["mine"]


def test_a_folder_that_cannot_be_written_ends_with_2(tmp_path: Path, recipe: Path) -> None:
    (tmp_path / "mine.onnx").write_bytes(standins.embedder("mobileface-v2"))
    to = tmp_path / "nowhere" / "pack"
    arguments = ["add", "--recipe", str(recipe), str(tmp_path / "mine.onnx"), "--to", str(to)]
    refused = RUNNER.invoke(app, arguments)
    assert refused.exit_code == 2
    assert "--to" in refused.stderr


def test_weights_that_forbid_commerce_are_added_only_on_the_operators_word(
    tmp_path: Path, recipe: Path
) -> None:
    text = recipe.read_text(encoding="utf-8").replace('licence = "MIT"', 'licence = "CC-BY-NC-4.0"')
    recipe.write_text(text, encoding="utf-8")
    told = _refused(_add(recipe, standins.embedder("mobileface-v2"), tmp_path), tmp_path, 2)
    assert "--non-commercial" in told
    added = _add(recipe, None, tmp_path, "--non-commercial")
    assert added.exit_code == 0, added.output
    assert json.loads(added.stdout.splitlines()[-1])["non_commercial"] is True
    assert open_pack(tmp_path / "pack").manifest.non_commercial


def test_the_recipes_are_listed_with_the_digests_that_files_must_have() -> None:
    listed = RUNNER.invoke(app, ["recipes", "--json"])
    assert listed.exit_code == 0, listed.output
    (line,) = listed.stdout.splitlines()
    known = {each["name"]: each for each in json.loads(line)["recipes"]}
    (file,) = known["yunet"]["files"].values()
    assert file["brought"] == [
        {
            "face_detection_yunet_2023mar.onnx": [
                "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
            ]
        }
    ]
    plain = RUNNER.invoke(app, ["recipes"])
    assert "Not measured by us" in plain.stdout


def test_the_first_look_from_outside_reports_what_the_file_says() -> None:
    inputs, outputs = probe_tensors(standins.embedder("sface"), "mine.onnx", (-1, 3, 112, 112))
    assert [each.shape for each in inputs] == [(-1, 3, 112, 112)]
    assert [(each.name, each.dtype, each.shape) for each in outputs] == [("out", "float32", (-1, 128))]


def _without_end() -> bytes:
    """A loop of 2**62 turns over an addition."""
    body = b"".join(
        [
            block(1, block(1, "go") + block(2, "go_on") + block(4, "Identity")),
            block(1, block(1, "x") + block(1, "x") + block(2, "y") + block(4, "Add")),
            block(2, "body"),
            block(11, value("turn", [], INT64)),
            block(11, value("go", [], BOOL)),
            block(11, value("x", SHAPE)),
            block(12, value("go_on", [], BOOL)),
            block(12, value("y", SHAPE)),
        ]
    )
    graph = Graph()
    graph.inputs.append(value("image", SHAPE))
    turns = graph.constant("turns", np.array(2**62, np.int64))
    attribute = block(5, block(1, "body") + block(6, body) + number(20, 5))
    graph.node("Loop", [turns, "", "image"], "out", attribute)
    graph.outputs.append(value("out", SHAPE))
    return graph.content


def test_a_network_that_never_answers_ends_the_child_and_not_the_command() -> None:
    with pytest.raises(GraphError, match=r"ended the process.*3 s of processor time"):
        probe_tensors(_without_end(), "mine.onnx", (-1, 3, 112, 112), seconds=3)


def test_golden_vectors_recorded_here_hold_here(tmp_path: Path) -> None:
    recorded = RUNNER.invoke(
        app, ["golden", "--to", str(tmp_path / "g.npz"), "--pack", str(_default()), "--json"]
    )
    assert recorded.exit_code == 0, recorded.output
    with np.load(tmp_path / "g.npz", allow_pickle=False) as arrays:
        assert arrays["dlib_descriptor.onnx/descriptors"].shape == (2, 128)
        assert {key.split("/")[0] for key in arrays} == {file.path for file in open_pack().manifest.files}


def _default() -> Path:
    with resources.as_file(resources.files("models") / "packs" / "default") as folder:
        return folder
