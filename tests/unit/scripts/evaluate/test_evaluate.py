"""`stile evaluate`: the whole command on the portraits, and on what goes wrong with folders of pictures."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import typer
from typer.testing import CliRunner, Result

from edge.errors import FixtureError
from models.registry import open_pack
from scripts.evaluate.command import REPLICATES, main
from scripts.evaluate.people import MEMBERS, STRANGERS, Setting, find_people, gather
from scripts.evaluate.plot import LEAST_RATE, det_line, deviates
from scripts.evaluate.rates import Curve
from scripts.evaluate.scores import LAST_STEP, step_of
from tests.doubles.capture_people import PORTRAITS, portrait, resized

APP = typer.Typer()
APP.command()(main)

SIDEWAYS = bytes.fromhex("ffe1002245786966000049492a00080000000100120103000100000006000000") + bytes(4)
"""An EXIF segment of one entry: orientation 6, to be turned a quarter clockwise."""


def run(folder: Path, *options: object, jobs: int = 1) -> Result:
    return CliRunner().invoke(APP, [str(folder), *map(str, options), "--jobs", str(jobs)])


def report_of(ran: Result) -> dict:
    assert ran.exit_code == 0, ran.output
    return json.loads(ran.stdout.splitlines()[-1])


def put(image: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image[..., ::-1] if image.ndim == 3 else image)


def copy(name: str, person: Path) -> None:
    person.mkdir(parents=True, exist_ok=True)
    shutil.copy(PORTRAITS / name, person / name)


def make_members(root: Path) -> Path:
    for name in ("obama.jpg", "obama2.jpg", "obama3.jpg"):
        copy(name, root / "obama")
    copy("grace_hopper.jpg", root / "hopper")
    put(resized(portrait("grace_hopper.jpg"), 0.8), root / "hopper" / "smaller.png")
    return root


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two members with several images and two strangers."""
    root = tmp_path_factory.mktemp("crowd")
    make_members(root / MEMBERS)
    copy("biden.jpg", root / STRANGERS / "biden")
    copy("astronaut.png", root / STRANGERS / "collins")
    return root


@pytest.fixture(scope="module")
def told(crowd: Path) -> dict:
    return report_of(run(crowd, "--json"))


def test_portraits_of_four_people_are_told_apart_and_the_report_says_how_little_that_proves(
    told: dict,
) -> None:
    assert (told["n_subjects"], told["n_members"], told["n_strangers"]) == (4, 2, 2)
    assert (told["n_images"], told["n_acquired"], told["fta"], told["failed"]) == (7, 7, 0.0, [])
    assert told["eer"] == 0.0
    assert told["tmr_at_fmr"] == {"1e-2": 1.0, "1e-3": 1.0, "1e-4": 1.0}
    point = told["points"]["1e-4"]
    assert (point["mated"], point["non_mated"]) == (3 + 1, 3 * 2 + 5 * 2 + 1)
    assert point["low_n"]
    assert "tmr_at_fmr.1e-4" in told["low_n"]
    assert told["operating_points"] == []  # seventeen comparisons promise no rate


def test_templates_are_of_one_two_and_three_images_and_only_of_members_with_one_to_spare(told: dict) -> None:
    assert list(told["templates"]) == ["1", "2", "3"]
    assert [told["templates"][k]["tmr_at_fmr"].get("1e-3") for k in "123"] == [1.0, 1.0, None]
    assert [told["templates"][k]["rank1"] for k in "123"] == [1.0, None, None]
    searched = {(each["n"], each["k"], each["fpir"]): each["fnir"] for each in told["search"]}
    assert searched == {(2, 1, 0.01): 0.0, (2, 1, 0.003): 0.0}
    assert [each["redrawn"]["draws"] for each in told["search"]] == [30, 30]
    assert [each["redrawn"]["fnir"] for each in told["search"]] == [0.0, 0.0]


def test_the_report_names_pack_recipe_seed_and_set(told: dict, crowd: Path) -> None:
    pack = open_pack()
    assert (told["pack_digest"], told["recipe_digest"]) == (pack.digest, pack.recipe_digest)
    assert (told["seed"], told["detector"], told["border"]) == (0, "back", 0.0)
    assert (told["bootstrap_replicates"], told["confidence"]) == (REPLICATES, 0.95)
    assert told["test_set"] == crowd.name


def test_the_numbers_are_the_same_whatever_the_number_of_processes(told: dict, crowd: Path) -> None:
    assert report_of(run(crowd, "--json", jobs=2)) == told


def test_a_process_that_dies_ends_the_evaluation_with_a_sentence(crowd: Path, tmp_path: Path) -> None:
    nowhere = Setting(tmp_path / "no pack here", None, 0.0, 1)  # each process ends as soon as it begins
    with pytest.raises(FixtureError, match=r"ended early.*use --jobs 1"):
        gather(crowd, find_people(crowd), nowhere, jobs=2)


def test_without_members_and_strangers_everybody_is_a_member_and_nothing_is_written(tmp_path: Path) -> None:
    make_members(tmp_path)
    copy("biden.jpg", tmp_path / "biden")
    before = sorted(path for path in tmp_path.rglob("*"))
    told = report_of(run(tmp_path, "--json"))
    assert (told["n_members"], told["n_strangers"], told["n_images"]) == (3, 0, 6)
    assert sorted(path for path in tmp_path.rglob("*")) == before


def test_people_read_a_table_that_flags_what_rests_on_little(crowd: Path) -> None:
    ran = run(crowd)
    assert ran.exit_code == 0, ran.output
    assert "4 people (2 strangers), 7 images, failure to acquire 0.0000" in ran.stdout
    assert "1.0000*" in ran.stdout


def test_every_picture_that_cannot_be_used_is_counted_and_named(tmp_path: Path) -> None:
    make_members(tmp_path)
    odd = tmp_path / "odd"
    put(np.full((480, 640, 3), 128, np.uint8), odd / "nobody.png")
    half = resized(portrait("obama.jpg"), 0.5), resized(portrait("obama2.jpg"), 0.5)
    height = min(image.shape[0] for image in half)
    put(np.concatenate([image[:height] for image in half], axis=1), odd / "several.png")
    (odd / "broken.jpg").write_bytes((PORTRAITS / "biden.jpg").read_bytes()[:4000])
    (odd / "empty.jpg").write_bytes(b"")
    (odd / "words.jpg").write_bytes(b"this is no picture")
    put(np.zeros((1, 1, 3), np.uint8), odd / "pixel.png")
    (odd / "notes.txt").write_text("not an image by its name")
    (tmp_path / "list.csv").write_text("in nobody's folder")
    told = report_of(run(tmp_path, "--json"))
    assert {each["source"]: each["reason"] for each in told["failed"]} == {
        "odd/nobody.png": "no_face",
        "odd/several.png": "several_faces",
        "odd/broken.jpg": "truncated",
        "odd/empty.jpg": "empty",
        "odd/words.jpg": "not_an_image",
        "odd/pixel.png": "no_face",
    }
    assert told["failures"] == {
        "empty": 1, "no_face": 2, "not_an_image": 1, "several_faces": 1, "truncated": 1,
    }  # fmt: skip
    assert told["ignored"] == ["list.csv", "odd/notes.txt"]
    assert (told["n_images"], told["n_acquired"]) == (11, 5)
    assert told["fta"] == pytest.approx(6 / 11, abs=1e-6)
    shown = run(tmp_path)
    assert "odd/broken.jpg (truncated)" in shown.stdout
    assert "ignored: list.csv" in shown.stdout


def test_unusual_pictures_are_used_and_counted_by_kind(tmp_path: Path) -> None:
    picture = portrait("obama.jpg")
    person = tmp_path / "obama"
    put(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), person / "grey.png")
    put(np.dstack((picture[..., ::-1], np.full(picture.shape[:2], 9, np.uint8))), person / "alpha.png")
    encoded = cv2.imencode(".jpg", np.rot90(picture)[..., ::-1])[1].tobytes()
    (person / "sideways.jpg").write_bytes(encoded[:2] + SIDEWAYS + encoded[2:])
    copy("biden.jpg", tmp_path / "biden")
    told = report_of(run(tmp_path, "--json"))
    assert told["notes"] == {"alpha": 1, "grey": 1, "rotated": 1}
    assert (told["n_acquired"], told["failed"]) == (4, [])
    assert told["tmr_at_fmr"]["1e-3"] == 1.0


def test_fifty_megapixels_are_no_more_than_a_large_picture(tmp_path: Path) -> None:
    copy("obama.jpg", tmp_path / "obama")
    huge = np.full((6250, 8000, 3), 96, np.uint8)
    face = resized(portrait("obama2.jpg"), 4.0)[:6250, :8000]
    huge[: face.shape[0], : face.shape[1]] = face
    put(huge, tmp_path / "obama" / "huge.jpg")
    copy("biden.jpg", tmp_path / "biden")
    told = report_of(run(tmp_path, "--json"))
    assert (told["n_acquired"], told["failed"]) == (3, [])
    assert told["eer"] == 0.0


def test_a_border_out_of_bounds_is_refused_by_its_bounds(tmp_path: Path) -> None:
    copy("obama.jpg", tmp_path / "obama")
    ran = run(tmp_path, "--border", "7")
    assert ran.exit_code == 2
    assert "give a fraction from 0 to 2" in ran.stderr


@pytest.mark.parametrize("layout", ["nothing", "a file", "empty", "only strangers", "nobody's face"])
def test_a_folder_that_cannot_be_evaluated_is_refused_by_a_sentence(tmp_path: Path, layout: str) -> None:
    root = tmp_path / "people"
    if layout == "a file":
        root.write_text("")
    elif layout != "nothing":
        root.mkdir()
    if layout == "only strangers":
        copy("biden.jpg", root / STRANGERS / "biden")
    if layout == "nobody's face":
        put(np.zeros((64, 64, 3), np.uint8), root / "dark" / "1.png")
    ran = run(root, "--json")
    assert ran.exit_code == 2
    assert ran.stderr.splitlines()[-1].startswith("error: ")
    assert "give" in ran.stderr.splitlines()[-1]
    assert ran.stdout == ""


def test_a_person_on_both_sides_is_refused_by_name(tmp_path: Path) -> None:
    copy("obama.jpg", tmp_path / MEMBERS / "obama")
    copy("obama2.jpg", tmp_path / STRANGERS / "obama")
    ran = run(tmp_path)
    assert ran.exit_code == 2
    assert "obama is among members and strangers" in ran.stderr


def test_without_matplotlib_a_plot_is_refused_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    ran = run(tmp_path / "nowhere", "--plot", tmp_path / "det.png")
    assert ran.exit_code == 2
    assert "--plot needs Matplotlib, which is not installed" in ran.stderr
    assert not (tmp_path / "det.png").exists()


def test_with_matplotlib_the_plot_is_a_picture(crowd: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    report_of(run(crowd, "--json", "--plot", tmp_path / "det.png"))
    assert cv2.imread(str(tmp_path / "det.png")).shape[2] == 3
    ran = run(crowd, "--plot", tmp_path / "det.xyz")
    assert ran.exit_code == 2
    assert "ends in one of" in ran.stderr


def test_the_lines_of_a_plot_go_through_both_errors_at_each_threshold() -> None:
    def counted(scores: list[float]) -> np.ndarray:
        counts = np.bincount(step_of(scores), minlength=LAST_STEP + 1)
        return np.concatenate((np.cumsum(counts[::-1])[::-1], [0]))

    fmr, fnmr = det_line(Curve(counted([0.1, 0.5]), counted([0.4, 0.9])))
    pairs = {(round(float(one), 6), round(float(other), 6)) for one, other in zip(fmr, fnmr, strict=True)}
    none, half, every = deviates(np.array([0.0, 0.5, 1.0]))
    assert pairs == {
        (round(one, 6), round(other, 6))
        for one, other in ((every, none), (half, none), (half, half), (none, half), (none, every))
    }
    assert deviates(np.array([0.5, LEAST_RATE])) == pytest.approx([0.0, -4.8916], abs=1e-3)


def test_operating_points_go_where_they_are_asked_for_or_a_sentence_says_why_there_are_none(
    crowd: Path, tmp_path: Path
) -> None:
    ran = run(crowd, "--points", tmp_path / "points.toml")
    assert ran.exit_code == 0
    assert "no rate can be promised with so few comparisons" in ran.stderr
    assert (tmp_path / "points.toml").read_text().strip() == ""
    ran = run(crowd, "--points", tmp_path / "nowhere" / "points.toml")
    assert ran.exit_code == 2
    assert "points" in ran.stderr
