"""In the export environment: our networks against dlib and LiteRT, the committed files against the export."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

REASON = "needs the export environment: pip install -r requirements/export.txt in an environment of its own"
for module in ("onnx", "tflite", "dlib", "ai_edge_litert"):
    pytest.importorskip(module, reason=REASON)

from models.export.default import RECIPES, Recipe, export_default  # noqa: E402
from models.export.dlib_dat import DatError, read_dlib_resnet  # noqa: E402
from models.export.golden import golden_inputs, reference_outputs  # noqa: E402
from models.export.sources import DLIB_DESCRIPTOR, PARITY_TOOLCHAIN, read_source, require_export_environment  # noqa: E402
from models.preprocessing import to_input  # noqa: E402
from models.registry import MANIFEST_FILE, open_pack  # noqa: E402
from models.verify import relative_difference  # noqa: E402
from scripts.cli.models import app  # noqa: E402
from scripts.packs.networks import SessionNetwork  # noqa: E402
from scripts.people.cast import PORTRAITS  # noqa: E402

pytestmark = pytest.mark.export


HALF_TOLERANCE = 1e-3
"""float16 storage against the original, relative to the largest output; measured 4.2e-4 at most."""

SAME_TOLERANCE = 1e-5
"""The original against itself on another machine: instruction sets differ in the order of their sums."""


def test_the_export_environment_is_whole() -> None:
    require_export_environment(PARITY_TOOLCHAIN)


@pytest.mark.parametrize("recipe", RECIPES, ids=[recipe.path for recipe in RECIPES])
def test_each_network_answers_as_the_original_on_pictures_it_was_not_tuned_to(recipe: Recipe) -> None:
    golden = golden_inputs(PORTRAITS)[recipe.path]
    pictures = np.concatenate([golden, golden[:, :, ::-1], golden[:, ::-1], 255 - golden])
    expected = reference_outputs(recipe, np.ascontiguousarray(pictures))
    pack = open_pack()
    network = SessionNetwork(pack.read(recipe.path))
    name = pack.manifest.file(recipe.path).inputs[0].name
    answers = [network.run({name: one[None]}) for one in to_input(pictures, recipe.preprocessing)]
    for output, values in expected.items():
        found = np.concatenate([answer[output] for answer in answers])
        assert relative_difference(found, values) < HALF_TOLERANCE


@pytest.mark.parametrize("recipe", RECIPES, ids=[recipe.path for recipe in RECIPES])
def test_the_committed_golden_vectors_are_what_the_originals_answer(recipe: Recipe) -> None:
    content = open_pack().read_golden()
    assert content is not None
    with np.load(io.BytesIO(content), allow_pickle=False) as golden:
        for output, values in reference_outputs(recipe, golden[f"{recipe.path}/input"]).items():
            assert relative_difference(values, golden[f"{recipe.path}/{output}"]) < SAME_TOLERANCE


def test_the_golden_command_asks_about_every_network_and_output(tmp_path: Path) -> None:
    asked = CliRunner().invoke(app, ["golden", "--to", str(tmp_path / "golden.npz"), "--json"])
    assert asked.exit_code == 0, asked.output
    pack = open_pack()
    wanted = {
        f"{file.path}/{name}"
        for file in pack.manifest.files
        for name in ("input", *(o.name for o in file.outputs))
    }
    with np.load(tmp_path / "golden.npz", allow_pickle=False) as written:
        assert set(written) == wanted
    digest = hashlib.sha256((tmp_path / "golden.npz").read_bytes()).hexdigest()
    assert json.loads(asked.stdout.splitlines()[-1])["sha256"] == digest


def test_descriptors_keep_their_direction_in_float16_storage() -> None:
    (recipe,) = [recipe for recipe in RECIPES if recipe.source is DLIB_DESCRIPTOR]
    chips = golden_inputs(PORTRAITS)[recipe.path]
    original = reference_outputs(recipe, chips)["descriptors"]
    network = SessionNetwork(open_pack().read(recipe.path))
    ours = network.run({"chips": to_input(chips, recipe.preprocessing)})["descriptors"]
    norms = np.linalg.norm(ours, axis=1) * np.linalg.norm(original, axis=1)
    assert ((ours * original).sum(axis=1) / norms).min() > 0.99999


def test_exporting_reproduces_the_committed_pack_byte_for_byte(tmp_path: Path) -> None:
    assert len(list(export_default(tmp_path))) == len(RECIPES) + 2
    committed = open_pack()
    names = [*(file.path for file in committed.manifest.files), "golden.npz", MANIFEST_FILE]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
    for name in names:
        expected = hashlib.sha256((committed.root / name).read_bytes()).hexdigest()
        assert hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() == expected, name


def test_the_command_reports_the_digests_that_it_wrote(tmp_path: Path) -> None:
    exported = CliRunner().invoke(app, ["export", "--to", str(tmp_path), "--json"])
    assert exported.exit_code == 0, exported.output
    said = json.loads(exported.stdout.splitlines()[-1])
    assert said["pack"] == open_pack().digest
    assert said["recipe_digest"] == open_pack().recipe_digest
    assert said["files"] == {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in tmp_path.iterdir()
    }


def test_a_truncated_weights_file_is_refused() -> None:
    content = read_source(DLIB_DESCRIPTOR)
    for end in (0, 100, len(content) - 1):
        with pytest.raises(DatError):
            read_dlib_resnet(content[:end])
    with pytest.raises(DatError):
        read_dlib_resnet(content + b"\0")
