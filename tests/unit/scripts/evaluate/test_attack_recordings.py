"""Rates of presentation attack detection come from real recordings, and what cannot be judged is named."""

from __future__ import annotations

import json
from functools import partial
from io import StringIO
from pathlib import Path

import cv2
import numpy as np
import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from edge.capture.sample import Image
from edge.confirm.challenge import Gesture, Outcome
from edge.errors import FixtureError
from edge.modes.common import open_pipeline
from scripts.evaluate import command as evaluate
from scripts.evaluate.attacks import report as evaluate_attacks
from scripts.evaluate.attacks.recordings import Judged, prompts_of, told
from scripts.evaluate.attacks.report import NO_LEVEL, print_attacks
from scripts.evaluate.attacks.suite import run_attacks
from scripts.evaluate.attacks.trial import Tried
from tests.doubles import pack_standins as standins
from tests.doubles.capture_people import pipeline
from tests.doubles.rendered_heads import SEED, rendered

APP = typer.Typer()
APP.command()(evaluate.main)
ATTACK = Tried(True, Outcome.ATTACK)
PERSON = Tried(True, Outcome.BONA_FIDE)
UNSURE = Tried(True, Outcome.UNDETERMINED)
NOBODY = Tried(False, None)


def written(path: Path, images: list[Image]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = images[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 15, (width, height))
    for image in images:
        writer.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    writer.release()


def turning() -> list[Image]:
    """Somebody who looks at the camera, turns to their left and comes back."""
    head = rendered("obama.jpg")
    swing = [0, *(26 * np.sin(np.linspace(0, np.pi, 15))), *([0] * 6)]
    return [head.turned(left, 0) for left in [*([0] * 8), *swing]]


def still(frames: int = 20) -> list[Image]:
    """A picture that is held up, with a sensor's noise."""
    portrait, noise = rendered("obama.jpg").portrait, np.random.default_rng(SEED)
    return [
        np.clip(portrait + noise.normal(0, 2, portrait.shape), 0, 255).astype(np.uint8) for _ in range(frames)
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One good recording of a person and of an attack, and one of everything that cannot be judged."""
    root = tmp_path_factory.mktemp("pad")
    written(root / "bona_fide" / "ada" / "01--turn_left.avi", turning())
    written(root / "bona_fide" / "bob" / "empty-room--nod.avi", [np.full((120, 160, 3), 90, np.uint8)] * 8)
    written(root / "attacks" / "print" / "01--turn_left.avi", still())
    written(root / "attacks" / "print" / "02.avi", still(6))
    written(root / "attacks" / "print" / "03--wink.avi", still(1))
    written(root / "attacks" / "print" / "04--nod+nod.avi", still(1))
    (root / "attacks" / "print" / "05--nod.avi").write_bytes(b"not a video")
    whole = (root / "attacks" / "print" / "01--turn_left.avi").read_bytes()
    (root / "attacks" / "print" / "06--nod.avi").write_bytes(whole[: len(whole) // 8])
    (root / "attacks" / "print" / "notes.txt").write_text("A4, matt")
    written(root / "attacks" / "astray--nod.avi", still(1))
    return root


def test_apcer_and_bpcer_are_of_the_recordings_and_every_other_file_is_named(folder: Path) -> None:
    report = run_attacks(pipeline(), SEED, folder, draws=0)
    real = report["recordings"]
    assert (
        real["bona_fide"] | {"people": 2, "presentations": 2, "no_response": 1, "bona_fide": 1}
        == real["bona_fide"]
    )
    assert real["attacks"]["print"] | {"presentations": 1, "undetermined": 1} == real["attacks"]["print"]
    assert (report["apcer"], report["bpcer"]) == ({"print": 0.0}, 0.0)
    reasons = {each["source"].rpartition("/")[2]: each["reason"] for each in report["failed"]}
    assert reasons.pop("06--nod.avi") in {"truncated", "unreadable"}
    assert reasons == {
        "02.avi": "no_prompts",
        "03--wink.avi": "unknown_prompts",
        "04--nod+nod.avi": "unknown_prompts",
        "05--nod.avi": "unreadable",
    }
    assert report["ignored"] == ["attacks/astray--nod.avi", "attacks/print/notes.txt"]
    assert (report["label"], report["passive"]) == ("synthetic", None)


def test_a_pack_with_passive_networks_judges_recordings_without_prompts_too(
    folder: Path, tmp_path: Path
) -> None:
    pack = standins.pack_with_passive_networks(tmp_path / "pack", live=0.2)
    report = run_attacks(open_pipeline(pack, 1, passive=True), SEED, folder, draws=0)
    assert report["passive"]["apcer"] == {"print": 0.0}
    assert report["passive"]["bpcer"] == 1.0, "these networks take nobody for live"
    assert report["passive"]["apcer_points"]["print"]["presentations"] == 2
    assert report["apcer_points"]["print"]["presentations"] == 1, "without prompts there is no challenge"
    assert "02.avi" not in str(report["failed"])


def test_without_recordings_there_are_no_rates() -> None:
    report = run_attacks(pipeline(), SEED, draws=0)
    assert (report["apcer"], report["bpcer"], report["recordings"]) == (None, None, None)
    assert report["failed"] == report["ignored"] == report["low_n"] == []


def test_undetermined_counts_against_people_and_not_for_attacks() -> None:
    judged = Judged({"ada": [PERSON, UNSURE, ATTACK, NOBODY]}, {"mask": [PERSON, UNSURE, ATTACK, NOBODY]})
    report = told(judged, passive=False)
    assert report["bpcer"] == pytest.approx(2 / 3, abs=1e-6)
    assert report["apcer"] == {"mask": pytest.approx(1 / 3, abs=1e-6)}


def test_rates_carry_bounds_and_say_when_they_rest_on_few_errors() -> None:
    judged = Judged({"ada": [UNSURE] * 30 + [PERSON] * 70}, {"mask": [PERSON] * 29 + [ATTACK] * 71})
    report = told(judged, passive=False)
    point = report["apcer_points"]["mask"]
    # Clopper-Pearson, 29 of 100 and 95 %: as in R's binom.test(29, 100).
    assert point["clopper_pearson"] == pytest.approx([0.2036, 0.3893], abs=5e-4)
    assert (point["errors"], point["presentations"], point["low_n"]) == (29, 100, True)
    assert report["bpcer_point"]["low_n"] is False
    assert report["low_n"] == ["apcer.mask"]


def test_a_species_that_nothing_could_be_judged_of_has_no_rate() -> None:
    report = told(Judged({}, {"mask": [NOBODY], "print": []}), passive=False)
    assert (report["apcer"], report["bpcer"]) == (None, None)
    assert report["recordings"]["attacks"]["mask"]["no_response"] == 1


@pytest.mark.parametrize(
    ("stem", "prompts"),
    [
        ("01--turn_left+nod", (Gesture.TURN_LEFT, Gesture.NOD)),
        ("a--b--look_up", (Gesture.LOOK_UP,)),
        ("01", ()),
        ("01--", None),
        ("01--smile", None),
        ("01--nod+nod", None),
    ],
)
def test_prompts_are_read_from_the_end_of_a_name(stem: str, prompts: tuple[Gesture, ...] | None) -> None:
    assert prompts_of(stem) == prompts


def test_a_folder_without_recordings_is_refused_with_the_layout_it_should_have(tmp_path: Path) -> None:
    written(tmp_path / "print" / "01--nod.avi", still(1))
    with pytest.raises(FixtureError, match="DIR/bona_fide/<person>/<recording>"):
        run_attacks(pipeline(), SEED, tmp_path, draws=0)
    with pytest.raises(FixtureError, match="no such folder"):
        run_attacks(pipeline(), SEED, tmp_path / "absent", draws=0)


def test_the_table_names_rates_bounds_files_and_that_no_level_is_claimed(folder: Path) -> None:
    report = run_attacks(pipeline(), SEED, folder, draws=0) | {"conformance": NO_LEVEL}
    screen = StringIO()
    print_attacks(report, Console(file=screen, width=160))
    shown = screen.getvalue()
    for text in (
        "APCER, challenge",
        "BPCER, challenge",
        "0.000*",
        "03--wink.avi (unknown_prompts)",
        NO_LEVEL,
    ):
        assert text in shown, text
    for text in ("ignored: attacks/print/notes.txt", "synthetic"):
        assert text in shown, text


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--attacks", "/nowhere"], "no such folder"),
        (["--attacks", "--jobs", "2"], "leave it out with --attacks"),
        (["--attacks", "--plot", "det.png"], "leave it out with --attacks"),
        ([], "give a folder of people, or --attacks"),
    ],
)
def test_what_cannot_be_evaluated_ends_with_2_and_a_sentence(options: list[str], named: str) -> None:
    ended = CliRunner().invoke(APP, options)
    assert ended.exit_code == 2
    assert named in ended.stderr


def test_the_command_ends_in_one_object_with_rates_pack_and_no_level(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The synthetic suite takes a minute and has a long test of its own.
    monkeypatch.setattr(evaluate_attacks, "run_attacks", partial(run_attacks, draws=0))
    ended = CliRunner().invoke(APP, [str(folder), "--attacks", "--json", "--seed", "11"])
    assert ended.exit_code == 0, ended.output
    report = json.loads(ended.stdout.splitlines()[-1])
    assert (report["label"], report["seed"], report["apcer"]) == ("synthetic", 11, {"print": 0.0})
    assert report["recipe_digest"] == pipeline().recipe_digest
    assert (report["conformance"], report["passive_live_min"]) == (NO_LEVEL, None)
