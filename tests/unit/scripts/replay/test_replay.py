"""`stile kiosk replay`: the whole pipeline on portraits, through the command itself."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import typer
from typer.testing import CliRunner, Result

from edge.capture.pipeline import STAGES
from scripts.replay.command import replay
from tests.doubles.capture_people import PORTRAITS, observed, pipeline, portrait, resized

APP = typer.Typer()
APP.command("replay")(replay)
APP.callback()(lambda: None)
KEYS = [
    "source",
    "face",
    "quality",
    "claim",
    "subject",
    "similarity",
    "margin",
    "verdict",
    "to",
    "reasons",
    "timings_ms",
]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(APP, ["replay", *map(str, arguments), "--threads", "1"])


def lines_of(ran: Result) -> tuple[dict[str, dict], dict]:
    assert ran.exit_code == 0, ran.output
    *lines, last = [json.loads(line) for line in ran.stdout.splitlines()]
    return {line["source"]: line for line in lines}, last["summary"]


def head(name: str) -> np.ndarray:
    """The portrait's head and shoulders: the face is a third of the height."""
    box = observed(name).face.box
    top, left = max(0, round(box.top - box.height)), max(0, round(box.left - box.height))
    return portrait(name)[top : round(box.bottom + box.height), left : round(box.right + box.height)]


def put(image: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image[..., ::-1])


def make_gallery(tmp_path: Path) -> Path:
    for person, names in {"obama": ["obama.jpg", "obama2.jpg"], "hopper": ["grace_hopper.jpg"]}.items():
        for name in names:
            target = tmp_path / "gallery" / person / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(PORTRAITS / name, target)
    return tmp_path / "gallery"


def make_scene(tmp_path: Path) -> Path:
    root = tmp_path / "scene"
    put(portrait("obama3.jpg"), root / "obama" / "3.png")
    put(portrait("biden.jpg"), root / "biden" / "1.png")
    put(portrait("astronaut.png"), root / "collins" / "1.png")
    put(np.zeros((480, 640, 3), np.uint8), root / "hopper" / "dark.png")
    (root / "hopper" / "broken.jpg").write_bytes((PORTRAITS / "grace_hopper.jpg").read_bytes()[:4000])
    pair = [
        np.pad(resized(portrait(n), f), ((0, 0), (0, 0), (0, 0)))
        for n, f in (("obama.jpg", 0.5), ("obama2.jpg", 0.5))
    ]
    height = min(image.shape[0] for image in pair)
    put(np.concatenate([image[:height] for image in pair], axis=1), root / "two" / "both.png")
    return root


def make_claims(tmp_path: Path) -> Path:
    path = tmp_path / "claims.csv"
    path.write_text(
        "source,claim\nobama/3.png,obama\nbiden/1.png,obama\nhopper/dark.png,hopper\nhopper/broken.jpg,hopper\n"
        "two/both.png,obama\n"
    )
    return path


@pytest.fixture
def gallery(tmp_path: Path) -> Path:
    return make_gallery(tmp_path)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_scene(tmp_path_factory.mktemp("seen"))


@pytest.fixture(scope="module")
def claims(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_claims(tmp_path_factory.mktemp("claims"))


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, scene: Path, claims: Path) -> tuple[dict[str, dict], dict]:
    """Two members, their claims, a stranger with a claim, a bystander, and what goes wrong with pictures."""
    members = make_gallery(tmp_path_factory.mktemp("members"))
    return lines_of(run(scene, "--gallery", members, "--claims", claims, "--json"))


def test_the_member_is_granted_and_everyone_else_is_shown_another_way(
    told: tuple[dict[str, dict], dict],
) -> None:
    lines, summary = told
    assert [list(line) for line in lines.values() if "flaw" not in line] == [KEYS] * 5
    assert {source: (line["verdict"], line["to"], line["reasons"]) for source, line in lines.items()} == {
        "obama/3.png": ("grant", None, ["tier_standard"]),
        "biden/1.png": ("refer", "other_way", ["no_match"]),
        "collins/1.png": (None, None, []),
        "hopper/dark.png": ("refer", "other_way", ["failure_to_acquire"]),
        "hopper/broken.jpg": (None, None, []),
        "two/both.png": ("refer", "other_way", ["failure_to_acquire"]),
    }
    counted = {
        "presented": 4,
        "accepted": 1,
        "refused": 1,
        "failed_to_acquire": 2,
        "spoilt": 1,
        "unclaimed": 1,
    }
    assert {key: summary[key] for key in counted} == counted
    assert summary["mated"] == {"presented": 2, "accepted": 1, "refused": 0, "failed_to_acquire": 1}
    assert summary["non_mated"] == {"presented": 2, "accepted": 0, "refused": 1, "failed_to_acquire": 1}
    assert summary["gallery"] == {"subjects": 2, "images": 3, "failed_to_enrol": []}
    assert summary["flaws"] == {"truncated": 1}
    assert summary["obstacles"] == {"no_face": 1, "several_faces": 1}


def test_the_granted_similarity_reaches_the_packs_threshold_and_the_refused_one_does_not(
    told: tuple[dict[str, dict], dict],
) -> None:
    lines, summary = told
    threshold = summary["thresholds"]["2"]
    assert threshold in {p.threshold for p in pipeline().manifest.operating_points if p.max_fmr == "1e-4"}
    assert lines["biden/1.png"]["similarity"] < threshold <= lines["obama/3.png"]["similarity"]
    assert lines["obama/3.png"]["margin"] > 0 > lines["biden/1.png"]["margin"] - 1


def test_a_bystander_without_a_claim_is_never_embedded(told: tuple[dict[str, dict], dict]) -> None:
    lines, _ = told
    assert lines["collins/1.png"]["timings_ms"] == {}
    assert lines["collins/1.png"]["face"] is None
    assert "embed" in lines["obama/3.png"]["timings_ms"]


def test_the_same_input_gives_the_same_decisions(
    told: tuple[dict[str, dict], dict], gallery: Path, scene: Path, claims: Path
) -> None:
    again = lines_of(run(scene, "--gallery", gallery, "--claims", claims, "--json"))
    assert again[1] == told[1]
    assert again[0].keys() == told[0].keys()
    for source, line in again[0].items():
        assert set(line["timings_ms"]) <= {*STAGES, "search"}
        assert line | {"timings_ms": {}} == told[0][source] | {"timings_ms": {}}


def test_without_claims_every_face_is_searched_for_and_strangers_are_not_named(
    gallery: Path, scene: Path
) -> None:
    lines, summary = lines_of(run(scene, "--gallery", gallery, "--json"))
    assert lines["obama/3.png"]["subject"] == "obama"
    assert lines["biden/1.png"]["subject"] is None
    assert lines["collins/1.png"]["verdict"] == "refer"
    assert summary["misidentified"] == 0
    assert 0 < summary["fpir_upper_bound"] < 1e-3


def test_json_lines_are_claims_too_and_a_claim_may_name_nobody(
    gallery: Path, scene: Path, tmp_path: Path
) -> None:
    path = tmp_path / "claims.jsonl"
    absolute = str((scene / "biden/1.png").absolute())
    claims = {"obama/3.png": "nobody", absolute: "hopper", "gone.png": "hopper"}
    rows = [{"source": source, "claim": claim} for source, claim in claims.items()]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    lines, summary = lines_of(run(scene, "--gallery", gallery, "--claims", path, "--json"))
    assert (lines["obama/3.png"]["verdict"], lines["obama/3.png"]["reasons"]) == ("refer", ["no_match"])
    assert lines["biden/1.png"]["claim"] == "hopper"
    assert summary["claims_unused"] == 1


def test_a_truncated_video_is_decided_frame_by_frame_as_far_as_it_goes(gallery: Path, tmp_path: Path) -> None:
    still = resized(head("obama3.jpg"), 0.5)
    height, width = (size // 2 * 2 for size in still.shape[:2])
    writer = cv2.VideoWriter(
        str(tmp_path / "whole.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10.0, (width, height)
    )
    for _ in range(8):
        writer.write(np.ascontiguousarray(still[:height, :width, ::-1]))
    writer.release()
    whole = (tmp_path / "whole.avi").read_bytes()
    (tmp_path / "clip.avi").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "claims.csv").write_text("clip.avi,obama\n")
    lines, summary = lines_of(
        run(tmp_path / "clip.avi", "--gallery", gallery, "--claims", tmp_path / "claims.csv", "--json")
    )
    shown = [line for line in lines.values() if "flaw" not in line]
    assert 0 < len(shown) < 8
    assert [line["verdict"] for line in shown] == ["grant"] * len(shown)
    assert {line["face"]["track"] for line in shown} == {1}
    assert (summary["flaws"], summary["accepted"]) == ({"truncated": 1}, len(shown))


def test_at_most_so_many_images_are_enrolled_a_person(gallery: Path, scene: Path) -> None:
    _, summary = lines_of(run(scene, "--gallery", gallery, "--images", "1", "--json"))
    assert summary["gallery"]["images"] == 2


def test_a_person_of_whom_no_face_can_be_had_is_named_and_the_others_are_enrolled(
    gallery: Path, scene: Path, claims: Path
) -> None:
    put(np.zeros((200, 200, 3), np.uint8), gallery / "night" / "1.png")
    (gallery / "nothing").mkdir()
    _, summary = lines_of(run(scene, "--gallery", gallery, "--claims", claims, "--json"))
    assert summary["gallery"]["failed_to_enrol"] == ["night", "nothing"]
    assert summary["gallery"]["subjects"] == 2


def test_an_empty_gallery_is_a_configuration_error_that_says_what_to_give(
    scene: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    ran = run(scene, "--gallery", tmp_path / "empty", "--json")
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert "the gallery is empty, no <person>/ is in it; give FOLDER/<person>/*.jpg" in ran.stderr
    put(np.zeros((200, 200, 3), np.uint8), tmp_path / "empty" / "night" / "1.png")
    assert "no face could be acquired of night" in run(scene, "--gallery", tmp_path / "empty").stderr
    assert run(scene, "--gallery", tmp_path / "nowhere").exit_code == 2


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "holds no claim"),
        ("a.png,ada,extra\n", "3 columns"),
        ("a.png,\n", "give a source and a claim"),
        ('{"source": "a.png"}\n', "claims.csv:1: give"),
        ('{"source": \n', "claims.csv:1: give"),
        ("elsewhere.png,obama\n", "none of its lines names an image"),
    ],
)
def test_a_claims_file_that_cannot_be_used_is_named_with_its_line(
    gallery: Path, scene: Path, tmp_path: Path, text: str, complaint: str
) -> None:
    path = tmp_path / "claims.csv"
    path.write_text(text)
    ran = run(scene, "--gallery", gallery, "--claims", path, "--json")
    assert ran.exit_code == 2
    assert complaint in ran.stderr


@pytest.mark.parametrize(
    ("option", "value", "complaint"),
    [
        ("--max-fmr", "1e-9", "was not measured for 1 images"),
        ("--detector", "hog", "has back, short"),
        ("--pack", "/nowhere", "no manifest.toml in /nowhere"),
        ("--border", "7", "border 7"),
    ],
)
def test_an_option_out_of_bounds_is_a_configuration_error(
    gallery: Path, scene: Path, option: str, value: str, complaint: str
) -> None:
    ran = run(scene, "--gallery", gallery, option, value)
    assert ran.exit_code == 2
    assert complaint in ran.stderr
