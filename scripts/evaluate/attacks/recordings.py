"""Rates of presentation attack detection from real recordings (ISO/IEC 30107-3: APCER, BPCER).

    DIR/bona_fide/<person>/<recording>      people who are themselves
    DIR/attacks/<species>/<recording>       one folder for each kind of attack instrument

A recording is a video of one presentation, from looking at the camera on. Its name ends in the prompts that
were on the screen, as in `01--turn_left+nod.mp4`; one without prompts is judged by passive detection alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from edge.capture.pipeline import Pipeline
from edge.capture.recording import Spoilt
from edge.confirm.challenge import Gesture, Outcome
from edge.errors import FixtureError
from edge.modes.common import open_recording
from models.rates import rate_bounds
from scripts.evaluate.attacks.trial import Trial, Tried
from scripts.evaluate.rates import LOW_N

BONA_FIDE, ATTACKS = "bona_fide", "attacks"
LAYOUT = f"DIR/{BONA_FIDE}/<person>/<recording> and DIR/{ATTACKS}/<species>/<recording>"
VIDEO_SUFFIXES: Final = frozenset(
    {".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".y4m", ".mjpeg", ".mjpg"}
)
CHALLENGE, PASSIVE = "challenge", "passive"


@dataclass(frozen=True, slots=True)
class Found:
    """One recording: of people who are themselves (`attack` false), or of the attack species `group`."""

    path: Path
    source: str
    attack: bool
    group: str


@dataclass(slots=True)
class Judged:
    """Every recording that could be judged, by group; `failed` and `ignored` name those that could not."""

    bona_fide: dict[str, list[Tried]] = field(default_factory=dict)
    attacks: dict[str, list[Tried]] = field(default_factory=dict)
    failed: list[tuple[str, str]] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)


def find_recordings(folder: Path) -> tuple[list[Found], list[str]]:
    """The recordings in order, and every file that is none; raises `FixtureError` where there is nothing."""
    if not folder.is_dir():
        raise FixtureError(f"{folder}: no such folder; give one with {LAYOUT}")
    found: list[Found] = []
    ignored: list[str] = []
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        source = path.relative_to(folder)
        if (
            len(source.parts) == 3
            and source.parts[0] in (BONA_FIDE, ATTACKS)
            and path.suffix.lower() in VIDEO_SUFFIXES
        ):
            found.append(Found(path, source.as_posix(), source.parts[0] == ATTACKS, source.parts[1]))
        else:
            ignored.append(source.as_posix())
    if not found:
        raise FixtureError(f"{folder}: no recording is in it; give {LAYOUT}, each a video")
    return found, ignored


def judge_recordings(
    pipeline: Pipeline, recordings: list[Found], border: float, on_judged: Callable[[], None]
) -> Judged:
    """Each recording judged as a kiosk would; what cannot be is named with its reason."""
    judged = Judged()
    for found in recordings:
        groups = judged.attacks if found.attack else judged.bona_fide
        group = groups.setdefault(found.group, [])
        tried = _judge(pipeline, found.path, border)
        if isinstance(tried, str):
            judged.failed.append((found.source, tried))
        else:
            group.append(tried)
        on_judged()
    return judged


def _judge(pipeline: Pipeline, path: Path, border: float) -> Tried | str:
    prompts = prompts_of(path.stem)
    if prompts is None:
        return "unknown_prompts"
    if not prompts and not pipeline.has_passive:
        return "no_prompts"
    try:
        recording = open_recording(path, border)
    except FixtureError:
        return "unreadable"
    trial = Trial(pipeline, prompts)
    for shown in recording:
        if isinstance(shown, Spoilt):
            # What was seen until then may have been enough; if not, half a presentation is judged by nobody.
            return trial.tried if trial.is_over else shown.flaw.value
        trial.see(shown.frame)
        if trial.is_over:
            break
    return trial.tried


def prompts_of(stem: str) -> tuple[Gesture, ...] | None:
    """The prompts that a recording's name ends in: none without `--`, None where they are not understood."""
    _, marked, text = stem.rpartition("--")
    if not marked:
        return ()
    try:
        prompts = tuple(Gesture(word) for word in text.split("+"))
    except ValueError:
        return None
    return prompts if len(set(prompts)) == len(prompts) else None


def told(judged: Judged, *, passive: bool) -> dict[str, object]:
    """Counts and rates as the report has them; `passive`: the pack has passive detection."""
    low_n: list[str] = []
    people = [tried for group in judged.bona_fide.values() for tried in group]
    rated = {name: _rates(name, judged.attacks, people, low_n) for name in (CHALLENGE, PASSIVE)}
    return {
        "recordings": {
            BONA_FIDE: {"people": len(judged.bona_fide)} | counted(people),
            ATTACKS: {species: counted(tried) for species, tried in judged.attacks.items()},
        },
        **rated[CHALLENGE],
        "passive": rated[PASSIVE] if passive else None,
        "failed": [{"source": source, "reason": reason} for source, reason in judged.failed],
        "ignored": judged.ignored,
        "low_n": low_n,
    }


def counted(tried: list[Tried]) -> dict[str, int]:
    """Presentations, how the challenge ended, and how many passive detection took for live."""
    outcomes = Counter(each.challenge for each in tried)
    return {
        "presentations": len(tried),
        "no_response": sum(not each.responded for each in tried),
        **{outcome.value: outcomes[outcome] for outcome in Outcome},
        "passive_judged": sum(each.taken_for_live is not None for each in tried),
        "passive_live": sum(each.taken_for_live is True for each in tried),
    }


def _rates(
    instrument: str, attacks: Mapping[str, list[Tried]], people: list[Tried], low_n: list[str]
) -> dict[str, object]:
    """APCER by species and BPCER: an attack errs when taken for a person, a person when not.

    Undetermined counts against people and not for attacks: a kiosk then asks for the PIN. Presentations to
    which nothing responded are in neither.
    """
    where = "" if instrument == CHALLENGE else f"{instrument}."
    species = {name: _taken(instrument, tried) for name, tried in attacks.items()}
    points = {
        name: _point(f"{where}apcer.{name}", sum(taken), len(taken), low_n)
        for name, taken in species.items()
        if taken
    }
    bona_fide = _taken(instrument, people)
    person = None
    if bona_fide:
        person = _point(f"{where}bpcer", len(bona_fide) - sum(bona_fide), len(bona_fide), low_n)
    return {
        "apcer": {name: point["rate"] for name, point in points.items()} or None,
        "apcer_points": points or None,
        "bpcer": None if person is None else person["rate"],
        "bpcer_point": person,
    }


def _taken(instrument: str, tried: list[Tried]) -> list[bool]:
    """For each presentation that the instrument judged: was it taken for a person?"""
    return list(_verdicts(instrument, tried))


def _verdicts(instrument: str, tried: list[Tried]) -> Iterator[bool]:
    for each in tried:
        if instrument == CHALLENGE and each.challenge is not None:
            yield each.challenge is Outcome.BONA_FIDE
        elif instrument == PASSIVE and each.taken_for_live is not None:
            yield each.taken_for_live


def _point(name: str, errors: int, presentations: int, low_n: list[str]) -> dict[str, object]:
    flagged = errors < LOW_N
    low_n += [name] if flagged else []
    return {
        "rate": round(errors / presentations, 6),
        "clopper_pearson": [round(bound, 6) for bound in rate_bounds(errors, presentations)],
        "errors": errors,
        "presentations": presentations,
        "low_n": flagged,
    }
