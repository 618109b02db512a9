"""What `scripts/arm64` runs on both processors, and how it compares them.

`paint` writes pictures once, so that both sides see the same ones; `describe` writes every descriptor of a
folder; `compare` reads what both sides wrote, and tells one object. A file that is missing there is a check
that did not finish, and so a failed one.
"""

from __future__ import annotations

import json
import shutil
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import cv2
import numpy as np
import typer

from edge.capture.recording import Shown
from edge.capture.sample import FailureToAcquire
from edge.modes.common import open_pipeline, open_recording
from models.registry import open_pack
from scripts.output import EXIT_FAILED, tell_json
from scripts.people.cast import MEMBERS, PORTRAITS, SCRIPT, Cast
from scripts.people.clip import ClipFormat, Studio

DESCRIPTOR_MAX_DIFFERENCE: Final = 1e-5
"""Of any component of a unit vector, between the two processors; issue 3."""
EVERY_FRAMES: Final = 40
"""Of a painted scene every so manieth frame is looked at: from too far, over near enough, to gone."""
STRANGER: Final = "stranger"
DECIDED = ("source", "claim", "subject", "verdict", "to", "reasons", "flaw")
"""What of a replay's line is a decision; all else is a measurement."""

app = typer.Typer(no_args_is_help=True)
Json = Mapping[str, Any]


@app.command()
def paint(folder: Path, seed: Annotated[int, typer.Option(min=0)] = 7) -> None:
    """Make in `folder`: gallery, portraits, people (these and frames of the demo's scenes), claims.csv."""
    cast, studio, claims = Cast(), Studio(seed, ClipFormat()), {}
    for member in MEMBERS:
        for file in member.enrolled_from:
            _copy(file, folder / "gallery" / member.name)
            claims[_show(file, folder, member.name)] = member.name
    persons = {member.person: member.name for member in MEMBERS}
    for take, part in enumerate(SCRIPT):
        if part.shown is None or part.claims is None or part.restricted:
            continue
        person = persons.get(cast.credit(part.shown).person, STRANGER)
        claims[_show(part.shown, folder, person)] = part.claims
        scene = studio.walk_up(cast.portrait(part.shown), None, part.role)
        for number in range(0, len(scene), EVERY_FRAMES):
            source = f"{person}/scene{take}-{number:03}.png"
            picture = cv2.cvtColor(scene[number], cv2.COLOR_RGB2BGR)
            cv2.imwrite(str(folder / "people" / source), picture)
            claims[source] = part.claims
    listed = ["source,claim", *(f"{source},{claim}" for source, claim in claims.items())]
    (folder / "claims.csv").write_text("\n".join(listed) + "\n", "utf-8")


def _show(file: str, folder: Path, person: str) -> str:
    """The portrait among the people; its path as a claims file has it."""
    _copy(file, folder / "portraits" / person)
    _copy(file, folder / "people" / person)
    return f"{person}/{file}"


def _copy(file: str, to: Path) -> None:
    to.mkdir(parents=True, exist_ok=True)
    shutil.copy(PORTRAITS / file, to / file)


@app.command()
def describe(folder: Path, to: Path) -> None:
    """Write what the pipeline makes of each picture: its descriptor, or why there is none."""
    pipeline = open_pipeline(open_pack(None), 2)
    described: dict[str, object] = {}
    for played in open_recording(folder, 0.0):
        if not isinstance(played, Shown):
            described[played.source] = played.flaw.value
            continue
        probe = pipeline.acquire(played.frame).probe
        described[played.frame.source] = (
            probe.reason.value if isinstance(probe, FailureToAcquire) else probe.vector.tolist()
        )
    to.write_text(json.dumps({"recipe_digest": pipeline.recipe_digest, "described": described}), "utf-8")


@app.command()
def compare(
    here: Annotated[Path, typer.Argument(help="What this machine wrote.")],
    there: Annotated[Path, typer.Argument(help="What the arm64 root wrote.")],
    unit_tests: Annotated[bool, typer.Option(help="Whether they were to run.")] = True,
    patience: Annotated[int, typer.Option(help="How the demo's deadlines were relaxed.")] = 1,
    date: Annotated[str, typer.Option(help="Of the run, to be told.")] = "",
) -> None:
    """Tell what agrees, as one object; exits 1 when something does not, or did not finish."""
    checks: dict[str, dict[str, object]] = {
        "golden_vectors": _golden(there / "verify.json"),
        "descriptors": _descriptors(here / "described.json", there / "described.json"),
        "decisions": _decisions(here, there),
    }
    if unit_tests:
        checks["unit_tests"] = _tests(there / "unit.xml")
    checks["demo"] = _demo(there / "demo.json") | {"patience": patience}
    good = all(check["good"] is True for check in checks.values())
    about = _read(there / "about.json")
    tell_json({"good": good, "date": date, "arm64": about, **checks})
    if not good:
        raise typer.Exit(EXIT_FAILED)


def _read(path: Path) -> Json | None:
    """The object on the last line of a file; None when its writer did not get that far."""
    try:
        last = path.read_text("utf-8").rstrip().rpartition("\n")[2]
        found = json.loads(last)
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _golden(path: Path) -> dict[str, object]:
    verified = _read(path) or {}
    checks = [check for check in verified.get("checks", ()) if check["check"] == "golden"]
    good = bool(checks) and bool(verified.get("ok"))
    return {"good": good, "compared": len(checks), "failed": sum(not check["ok"] for check in checks)}


def _descriptors(here: Path, there: Path) -> dict[str, object]:
    ours, theirs = _read(here), _read(there)
    if ours is None or theirs is None:
        return {"good": False, "compared": 0}
    mine, other = ours["described"], theirs["described"]
    same = ours["recipe_digest"] == theirs["recipe_digest"] and mine.keys() == other.keys()
    apart, without, differing = [], 0, 0
    for source in mine.keys() & other.keys():
        pair = mine[source], other[source]
        if all(isinstance(each, list) for each in pair):
            apart.append(float(np.abs(np.subtract(*pair)).max()))
        else:
            without += 1
            differing += pair[0] != pair[1]
    worst = max(apart, default=None)
    return {
        "good": same and not differing and worst is not None and worst <= DESCRIPTOR_MAX_DIFFERENCE,
        "compared": len(apart),
        "max_difference": worst,
        "allowed": DESCRIPTOR_MAX_DIFFERENCE,
        "without_a_face_here_and_there": without - differing,
        "with_another_obstacle": differing,
    }


def _decisions(here: Path, there: Path) -> dict[str, object]:
    compared = different = 0
    furthest, verdicts = 0.0, Counter[str]()
    for name in ("claimed.json", "searched.json"):
        ours, theirs = list(_lines(here / name)), list(_lines(there / name))
        if not ours or len(ours) != len(theirs):
            return {"good": False, "compared": compared}
        for mine, other in zip(ours, theirs, strict=True):
            compared += 1
            different += _decided(mine) != _decided(other)
            verdicts[mine.get("verdict") or "no decision"] += 1
            if mine.get("similarity") is not None and other.get("similarity") is not None:
                furthest = max(furthest, abs(mine["similarity"] - other["similarity"]))
    return {
        "good": different == 0,
        "compared": compared,
        "different": different,
        "verdicts": dict(sorted(verdicts.items())),
        "similarity_max_difference": round(furthest, 6),
    }


def _lines(path: Path) -> Iterator[Json]:
    """A replay's lines, but for its summary; nothing of one that did not finish."""
    summary = _read(path)
    if summary is None or "summary" not in summary:
        return
    for line in path.read_text("utf-8").splitlines()[:-1]:
        yield json.loads(line)


def _decided(line: Json) -> dict[str, object]:
    quality = line.get("quality") or {}
    return {key: line.get(key) for key in DECIDED} | {
        "obstacle": quality.get("obstacle"),
        "hint": quality.get("hint"),
    }


def _tests(path: Path) -> dict[str, object]:
    """Counts of a JUnit file, which our own pytest wrote."""
    try:
        suites = ElementTree.parse(path).getroot()  # noqa: S314 - our own tests wrote it
    except (OSError, ElementTree.ParseError):
        return {"good": False, "passed": 0}
    counts = dict.fromkeys(("tests", "failures", "errors", "skipped"), 0)
    for suite in suites.iter("testsuite"):
        for key in counts:
            counts[key] += int(suite.get(key, 0))
    failed = counts["failures"] + counts["errors"]
    passed = counts["tests"] - failed - counts["skipped"]
    return {
        "good": passed > 0 and not failed,
        "passed": passed,
        "failed": failed,
        "skipped": counts["skipped"],
    }


def _demo(path: Path) -> dict[str, object]:
    summary = (_read(path) or {}).get("summary", {})
    passed = int(summary.get("gate_passed", 0))
    return {"good": passed > 0 and bool(summary.get("as_scripted")), "gate_passed": passed}


if __name__ == "__main__":
    app()
