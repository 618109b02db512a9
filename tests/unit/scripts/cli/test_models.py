"""`stile models`: exit codes, and one JSON object as the last line of standard output."""

from __future__ import annotations

import json
import shutil
from importlib import resources
from pathlib import Path

import pytest
from typer.testing import CliRunner

from models.registry import open_pack
from scripts.cli.models import app

RUNNER = CliRunner()


def test_list_shows_the_default_pack_and_those_of_a_folder(tmp_path: Path) -> None:
    with resources.as_file(resources.files("models") / "packs" / "default") as folder:
        shutil.copytree(folder, tmp_path / "mine")
    listed = RUNNER.invoke(app, ["list", "--packs", str(tmp_path), "--json"])
    assert listed.exit_code == 0, listed.output
    (line,) = listed.stdout.splitlines()
    packs = json.loads(line)["packs"]
    assert [pack["pack_digest"] for pack in packs] == [open_pack().digest] * 2
    assert "1e-4" in packs[0]["operating_points"][0]["threshold"]


def test_verify_proves_the_default_pack_on_the_kiosks_own_pipeline() -> None:
    verified = RUNNER.invoke(app, ["verify", "--json"])
    assert verified.exit_code == 0, verified.output
    (line,) = verified.stdout.splitlines()
    said = json.loads(line)
    assert said["ok"] is True
    names = {"digest", "licence", "tensors", "golden", "latency", "sanity", "channels"}
    assert {check["check"] for check in said["checks"]} == names


def test_a_damaged_pack_ends_verify_with_2_and_the_files_name(tmp_path: Path) -> None:
    with resources.as_file(resources.files("models") / "packs" / "default") as folder:
        shutil.copytree(folder, tmp_path / "mine")
    (tmp_path / "mine" / "face_mesh.onnx").write_bytes(b"truncated")
    refused = RUNNER.invoke(app, ["verify", str(tmp_path / "mine")])
    assert refused.exit_code == 2
    assert "face_mesh.onnx" in refused.stderr


def test_a_folder_that_is_no_pack_ends_with_2_and_says_what_to_give(tmp_path: Path) -> None:
    refused = RUNNER.invoke(app, ["verify", str(tmp_path)])
    assert refused.exit_code == 2
    assert "manifest.toml" in refused.stderr


def test_export_without_its_environment_ends_with_2_and_names_the_requirements_file(
    tmp_path: Path,
) -> None:
    try:
        import tflite  # noqa: F401
    except ImportError:
        refused = RUNNER.invoke(app, ["export", "--to", str(tmp_path / "out")])
        assert refused.exit_code == 2
        assert "requirements/export.txt" in refused.stderr
        assert not (tmp_path / "out").exists()
    else:
        pytest.skip("this is the export environment: tests/export proves what it exports")
