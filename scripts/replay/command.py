"""`stile kiosk replay`: a recording through the kiosk's own pipeline and decision table, on a virtual clock.

How the error rates of a pack are measured with it, given a folder of people with several images each
(members) and one of people with a single image (strangers):

1. gallery: GALLERY/<member>/ holds links to the member's first three images by name; an image from which no
   probe can be made is replaced by the member's next one.
2. probes: SOURCE/<member>/ holds the other images, SOURCE/<stranger>/ the strangers' images.
3. claims: one line `<member>/<image>,<member>` for each mated probe, and `<stranger>/<image>,<member>` for
   each stranger, the i-th stranger by name claiming the i-th member by name, beginning again at the end.
4. `stile kiosk replay SOURCE --gallery GALLERY --claims CLAIMS --max-fmr 1e-4 --json`, with `--border 0.5`
   when the images are tight crops. The summary counts mated and non-mated claims apart.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track as with_bar

from edge.capture.pipeline import Acquisition, Pipeline
from edge.capture.recording import Recording, Shown, Spoilt
from edge.capture.sample import FailureToAcquire, Frame
from edge.capture.tracking import Track, TrackingConfig, follow
from edge.compare.search import Match
from edge.decide.verdict import Refer
from edge.enact.record import verdict_kind
from edge.errors import FixtureError, StileError
from edge.modes.common import open_pipeline, open_recording
from models.errors import ModelsError
from models.manifest import MaxFmr
from models.rates import fpir_upper_bound
from models.registry import open_pack
from scripts.output import EXIT_UNUSABLE, fail, tell_json
from scripts.replay.claims import Claims, read_claims
from scripts.replay.judge import Enrolled, Judge, Judged, enrol
from scripts.replay.tally import Tally
from wire.ids import SubjectId


class Replay:
    """Plays a recording to the kiosk: one line (a JSON object) a frame or image, and their tally."""

    def __init__(self, pipeline: Pipeline, judge: Judge, claims: Claims | None) -> None:
        self._pipeline, self._judge, self._claims = pipeline, judge, claims
        self._track: Track | None = None
        self.tally = Tally()

    def line(self, played: Shown | Spoilt) -> dict[str, object]:
        """One frame's or image's line; counts it."""
        if isinstance(played, Spoilt):
            self.tally.flaws[played.flaw] += 1
            return _line(played.source) | {"flaw": played.flaw.value}
        self.tally.notes.update(note.value for note in played.notes)
        frame = played.frame
        claim = None if self._claims is None else self._claims.of(frame.source)
        if self._claims is not None and claim is None:
            # Nobody asked for anything: a bystander, of whom no embedding is made.
            self.tally.unclaimed += 1
            return _line(frame.source)
        acquired = self._pipeline.acquire(frame)
        started_ms = time.perf_counter() * 1000
        judged = self._judge.rule(acquired, claim)
        laps_ms = {**acquired.laps_ms, "search": time.perf_counter() * 1000 - started_ms}
        self._count(frame, acquired, claim, judged)
        return _line(
            frame.source,
            face=self._face(acquired, frame),
            quality=_quality(acquired),
            claim=claim,
            judged=judged,
            laps_ms=laps_ms,
        )

    def _count(self, frame: Frame, acquired: Acquisition, claim: str | None, judged: Judged) -> None:
        person = Path(frame.source).parent.name or None
        enrolled = person is not None and self._judge.gallery.template(SubjectId(person)) is not None
        self.tally.count(
            judged.ending, mated=None if person is None else (enrolled if claim is None else person == claim)
        )
        if claim is None and isinstance(judged.comparison, Match) and judged.comparison.subject != person:
            self.tally.misidentified += person is not None
        if isinstance(acquired.probe, FailureToAcquire):
            self.tally.obstacles[acquired.probe.reason] += 1

    def _face(self, acquired: Acquisition, frame: Frame) -> dict[str, object] | None:
        face = acquired.face
        if face is None:
            return None
        self._track = follow(self._track, face, frame.captured_at_ms, TrackingConfig())
        box = [round(edge, 1) for edge in (face.box.left, face.box.top, face.box.right, face.box.bottom)]
        return {"box": box, "score": round(face.score, 4), "track": self._track.id}


def _quality(acquired: Acquisition) -> dict[str, object]:
    if isinstance(acquired.probe, FailureToAcquire):
        return {"obstacle": acquired.probe.reason.value, "hint": acquired.probe.hint}
    assert acquired.observation is not None
    quality = acquired.observation.quality
    return {
        "size": round(quality.size, 3),
        "exposure": round(quality.exposure, 3),
        "sharpness": round(quality.sharpness, 3),
        "pose": round(quality.pose, 3),
        "hint": quality.hint,
    }


def _line(
    source: str,
    *,
    face: dict[str, object] | None = None,
    quality: dict[str, object] | None = None,
    claim: str | None = None,
    judged: Judged | None = None,
    laps_ms: dict[str, float] | None = None,
) -> dict[str, object]:
    """The keys of every line, in their order, whatever happened."""
    found = judged.comparison if judged else None
    verdict = judged.verdict if judged else None
    return {
        "source": source,
        "face": face,
        "quality": quality,
        "claim": claim,
        "subject": found.subject if isinstance(found, Match) else None,
        "similarity": _rounded(found.similarity if found else None),
        "margin": _rounded(judged.margin if judged else None),
        "verdict": verdict_kind(verdict) if verdict else None,
        "to": verdict.to.value if isinstance(verdict, Refer) else None,
        "reasons": [reason.value for reason in verdict.reasons] if verdict else [],
        "timings_ms": {stage: round(lap, 3) for stage, lap in (laps_ms or {}).items()},
    }


def _rounded(alike: float | None) -> float | None:
    return None if alike is None else round(alike, 6)


def _summary(
    pipeline: Pipeline,
    enrolled: Enrolled,
    *,
    judge: Judge,
    played: Replay,
    max_fmr: str,
    claims: Claims | None,
) -> dict[str, object]:
    point = judge.strictest
    searched = {} if claims else {"fpir_upper_bound": fpir_upper_bound(point, len(enrolled.gallery))}
    return {
        **played.tally.counts(),
        **searched,
        "claims_unused": claims.unused if claims else 0,
        "gallery": {
            "subjects": len(enrolled.gallery),
            "images": enrolled.images,
            "failed_to_enrol": list(enrolled.failed),
        },
        "max_fmr": max_fmr,
        "thresholds": {str(size): judge.points[size].threshold for size in sorted(judge.points)},
        "test_set": point.test_set,
        "pack": pipeline.manifest.name,
        "recipe_digest": pipeline.recipe_digest,
    }


def replay(
    *,
    source: Annotated[
        Path, typer.Argument(help="A video file, an image, or a folder of images (searched through).")
    ],
    gallery: Annotated[Path, typer.Option(help="GALLERY/<person>/*.jpg, enrolled on the fly.")],
    claims: Annotated[
        Path | None,
        typer.Option(
            help="Who each image claims to be: CSV lines `source,claim`, or JSON lines with these two keys; "
            "source is the path below SOURCE (of a video: its name, or name#frame), claim a person of the "
            "gallery. Images that are not listed are bystanders: no embedding is made of them. "
            "Without this option every face is searched for in the whole gallery."
        ),
    ] = None,
    threads: Annotated[int, typer.Option(help="Threads for the networks.")] = 2,
    border: Annotated[
        float, typer.Option(help="Repeat the edge by this fraction on each side: .5 for tight crops.")
    ] = 0.0,
    detector: Annotated[
        str | None, typer.Option(help="A detector of the pack; its default if left out.")
    ] = None,
    max_fmr: Annotated[
        str, typer.Option(help="False match rate of the operating point, as in 1e-4.")
    ] = "1e-4",
    images: Annotated[int, typer.Option(min=0, help="Enrol at most this many images a person; 0 = all.")] = 0,
    pack: Annotated[Path | None, typer.Option(help="Folder of a pack; the default pack if left out.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line, the last the summary.")
    ] = False,
) -> None:
    """Play a recording to the kiosk's pipeline and decision table, on a virtual clock.

    Decisions depend on the recording, gallery, claims and pack alone; `timings_ms` is only told. Every member
    has a fresh standing of the standard tier, so that the face decides: grant, or refer to another way.
    """
    try:
        # What is quickly checked comes first.
        recording = open_recording(source, border)
        root = source if source.is_dir() else source.parent
        claimed = read_claims(claims, root) if claims else None
        pipeline = open_pipeline(open_pack(pack), threads, detector=detector)
        enrolled = enrol(pipeline, gallery, border, images, bar=True)
        judge = Judge.at(pipeline, enrolled.gallery, MaxFmr(max_fmr))
    except (StileError, ModelsError) as error:
        fail(error, EXIT_UNUSABLE)
    played = Replay(pipeline, judge, claimed)
    for line in _lines(recording, played):
        if as_json:
            tell_json(line)
        elif line["verdict"] or "flaw" in line:
            typer.echo(
                f"{line['source']}: {line['verdict'] or line['flaw']} {line['similarity'] or ''}".rstrip()
            )
    if claimed is not None and claimed.used == 0:
        unused = FixtureError(f"{claims}: none of its lines names an image of {source}; give paths below it")
        fail(unused, EXIT_UNUSABLE)
    tell_json(
        {"summary": _summary(pipeline, enrolled, judge=judge, played=played, max_fmr=max_fmr, claims=claimed)}
    )


def _lines(recording: Recording, played: Replay) -> Iterator[dict[str, object]]:
    for shown in with_bar(recording, "replaying", total=len(recording), console=Console(stderr=True)):
        yield played.line(shown)
