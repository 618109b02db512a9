"""`stile evaluate`: the error rates of a pack on a folder of people, with bounds and operating points.

DIR/<person>/*.jpg, or DIR/members/<person> and DIR/strangers/<person>. Everything that the kiosk's pipeline
acquires is compared: images one by one, templates of 1, 2 and 3 images, and open-set searches among all
members' templates. Probes are kept in memory and die with the process; no image or vector is written.

The same folder, pack, options and seed give the same numbers, however many processes made the probes.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from edge.capture.pipeline import Pipeline
from edge.errors import ConfigError, FixtureError, StileError
from models.errors import ModelsError
from models.manifest import OperatingPoint
from models.rates import CONFIDENCE, rate_bounds, rate_upper_bound
from models.registry import open_pack
from scripts.evaluate.attacks.report import evaluate_attacks, print_attacks, require_no_others
from scripts.evaluate.people import MAX_JOBS, Crowd, Setting, find_people, gather, jobs_or_cores
from scripts.evaluate.plot import require_matplotlib, require_writable, save_det
from scripts.evaluate.points import points_toml, promised_points
from scripts.evaluate.rates import (
    LOW_N,
    Curve,
    Floats,
    Point,
    Resampled,
    SearchPoint,
    draw_people,
    percentiles,
    points_of,
    rank1,
    resample,
    search_point,
)
from scripts.evaluate.scores import (
    Comparisons,
    Counts,
    choose_templates,
    compare_images,
    compare_templates,
    search_templates,
)
from scripts.evaluate.table import print_report
from scripts.output import EXIT_UNUSABLE, AsJson, fail, tell_json

TEMPLATE_SIZES: Final = (1, 2, 3)
SEARCH_FPIRS: Final = (0.01, 0.003)
"""The issue's rate, and that of NIST's access framing."""
SEARCH_DRAWS: Final = 30
"""Galleries searched again: which images enrol a member moves the FNIR as much as who the strangers are."""
REPLICATES: Final = 500
"""Times that people are drawn again: enough for the 2.5th and 97.5th percentile to repeat within a tenth."""


@dataclass(slots=True)
class Evaluation:
    """What is known so far; every step adds to it, so that a bar can be shown between them."""

    report: dict[str, object] = field(default_factory=dict)
    curves: dict[str, Curve] = field(default_factory=dict)
    points: list[OperatingPoint] = field(default_factory=list)
    low_n: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, eq=False)
class Counted:
    """Comparisons of one kind, and the same with people drawn again (None where there are none)."""

    found: Comparisons
    points: dict[str, Point]
    again: Resampled | None

    @classmethod
    def of(cls, found: Comparisons, drawn: Counts) -> Counted:
        """Points first, then their bootstrap."""
        points = points_of(found)
        return cls(found, points, resample(found, drawn, tuple(points)) if points else None)

    def as_json(self, where: str, low_n: list[str]) -> dict[str, object]:
        """EER and TMR, then what each rests on; names flagged figures in `low_n`."""
        low_n += [f"{where}tmr_at_fmr.{key}" for key, point in self.points.items() if point.low_n]
        eer = Curve.of(self.found).eer()
        return {
            "eer": _rounded(eer),
            "eer_bootstrap": _interval(self.again.eer) if self.again else None,
            "tmr_at_fmr": {key: _rounded(point.tmr) for key, point in self.points.items()},
            "points": {key: self._point(key, point) for key, point in self.points.items()},
        }

    def _point(self, key: str, point: Point) -> dict[str, object]:
        assert self.again is not None
        return {
            "threshold": point.threshold,
            "tmr": _rounded(point.tmr),
            "clopper_pearson": [_rounded(bound) for bound in point.clopper_pearson],
            "bootstrap": _interval(self.again.tmr[key]),
            "true_matches": point.true_matches,
            "mated": point.mated,
            "missed_images": point.missed_images,
            "mated_images": point.mated_images,
            "false_matches": point.false_matches,
            "non_mated": point.non_mated,
            "confused_people": point.confused_people,
            "low_n": point.low_n,
        }


def evaluate_crowd(
    crowd: Crowd, pipeline: Pipeline, test_set: str, seed: int, progress: Progress | None = None
) -> Evaluation:
    """Every figure of the report but the setting; pure arithmetic on the probes."""
    evaluation = Evaluation()
    drawn = draw_people(crowd, REPLICATES, seed)
    bar = progress or Progress(disable=True)
    for size in bar.track((None, *TEMPLATE_SIZES), description="comparing"):
        where = "" if size is None else f"templates.{size}."
        found = (
            compare_images(crowd)
            if size is None
            else compare_templates(crowd, choose_templates(crowd, size, seed))
        )
        counted = Counted.of(found, drawn)
        told = counted.as_json(where, evaluation.low_n)
        if counted.points:
            evaluation.curves["single images" if size is None else f"templates of {size}"] = Curve.of(found)
        if size is None:
            evaluation.report |= told
            evaluation.report["templates"] = {}
        else:
            templates = evaluation.report["templates"]
            assert isinstance(templates, dict)
            templates[str(size)] = told
        # Pairs of images are the larger sample of templates of one.
        if size != 1 and counted.again:
            evaluation.points += promised_points(
                found, counted.again, size or 1, pipeline.recipe_digest, test_set
            )
    _search_all(evaluation, crowd, drawn, seed, bar)
    evaluation.report["operating_points"] = [
        msgspec.structs.asdict(point) | {"fmr_upper": rate_upper_bound(point.false_matches, point.non_mated)}
        for point in evaluation.points
    ]
    evaluation.report["low_n"] = evaluation.low_n
    return evaluation


def _search_all(evaluation: Evaluation, crowd: Crowd, drawn: Counts, seed: int, bar: Progress) -> None:
    searches: list[dict[str, object]] = []
    templates = evaluation.report["templates"]
    assert isinstance(templates, dict)
    for size in bar.track(TEMPLATE_SIZES[::-1], description="searching"):
        # The figure is of one gallery, enrolled by name as an operator would; beside it the mean of many.
        found, redrawn = (search_templates(crowd, size, draws, seed) for draws in (1, SEARCH_DRAWS))
        templates[str(size)]["rank1"] = _rounded(rank1(found))
        for fpir in SEARCH_FPIRS:
            point, mean = search_point(found, fpir, drawn), search_point(redrawn, fpir, drawn)
            if point is None or mean is None:
                continue
            searches.append(
                {
                    "n": found.subjects,
                    "k": size,
                    **_searched(point),
                    "rank1": _rounded(rank1(found)),
                    "redrawn": {
                        "draws": redrawn.draws,
                        "fnir": _rounded(mean.fnir),
                        "threshold": mean.threshold,
                        "bootstrap": [_rounded(bound) for bound in mean.bootstrap],
                        "rank1": _rounded(rank1(redrawn)),
                    },
                }
            )
            if point.low_n:
                evaluation.low_n.append(f"search.{size}.{fpir:g}")
    evaluation.report["search"] = searches


def _searched(point: SearchPoint) -> dict[str, object]:
    return {
        "fpir": point.fpir,
        "fnir": _rounded(point.fnir),
        "threshold": point.threshold,
        "clopper_pearson": [_rounded(bound) for bound in point.clopper_pearson],
        "bootstrap": [_rounded(bound) for bound in point.bootstrap],
        "missed_images": point.missed_images,
        "mated_images": point.mated_images,
        "confused_images": point.confused_images,
        "low_n": point.low_n,
    }


def acquisition(crowd: Crowd) -> dict[str, object]:
    """Who was there, every image that gave no probe by its name and reason, and files that are no images."""
    failed = len(crowd.failed)
    members = sum(person.member for person in crowd.people)
    return {
        "n_subjects": len(crowd.people),
        "n_members": members,
        "n_strangers": len(crowd.people) - members,
        "n_images": crowd.images,
        "n_acquired": len(crowd.probes),
        "fta": _rounded(failed / crowd.images),
        "fta_clopper_pearson": [_rounded(bound) for bound in rate_bounds(failed, crowd.images)],
        "failures": dict(sorted(Counter(reason for _, reason in crowd.failed).items())),
        "failed": [{"source": source, "reason": reason} for source, reason in crowd.failed],
        "ignored": list(crowd.ignored),
        "notes": dict(sorted(crowd.notes.items())),
    }


def _rounded(rate: float | None) -> float | None:
    return None if rate is None else round(rate, 6)


def _interval(rates: Floats) -> list[float | None]:
    return [_rounded(bound) for bound in percentiles(rates)]


def main(
    *,
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="DIR",
            help="DIR/<person>/*.jpg, or DIR/members and DIR/strangers. With --attacks, and then optional: "
            "DIR/bona_fide/<person>/<video> and DIR/attacks/<species>/<video>, each named after the prompts "
            "it answers, as in 01--turn_left+nod.mp4.",
        ),
    ] = None,
    attacks: Annotated[
        bool,
        typer.Option(
            "--attacks",
            help="Evaluate presentation attack detection instead: a synthetic suite, counted, and APCER and "
            "BPCER of DIR's recordings.",
        ),
    ] = False,
    plot: Annotated[
        Path | None, typer.Option(help="Save a DET plot here (.png, .svg, .pdf); needs Matplotlib.")
    ] = None,
    points: Annotated[
        Path | None, typer.Option(help="Save operating points here, as tables for a pack's manifest.")
    ] = None,
    test_set: Annotated[
        str | None,
        typer.Option(help="What the operating points call this set; the folder's name if left out."),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Of the bootstrap and of the choice of template images.")
    ] = 0,
    jobs: Annotated[
        int, typer.Option(min=0, max=MAX_JOBS, help="Processes that make probes; 0 = one a core.")
    ] = 0,
    threads: Annotated[int, typer.Option(help="Threads for the networks of each process.")] = 1,
    border: Annotated[
        float, typer.Option(help="Repeat the edge by this fraction on each side: .5 for tight crops.")
    ] = 0.0,
    detector: Annotated[
        str | None, typer.Option(help="A detector of the pack; its default if left out.")
    ] = None,
    pack: Annotated[Path | None, typer.Option(help="Folder of a pack; the default pack if left out.")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure error rates on a folder of people: FTA, EER, TMR at FMR, FNIR at FPIR, with their bounds."""
    started_s = time.perf_counter()
    screen = Console(stderr=True)
    if attacks:
        try:
            require_no_others({"plot": plot, "points": points, "test_set": test_set, "jobs": jobs})
            opened = open_pack(pack)
            judged = evaluate_attacks(
                opened, folder, detector=detector, threads=threads, border=border, seed=seed, screen=screen
            )
        except (StileError, ModelsError) as error:
            fail(error, EXIT_UNUSABLE)
        if as_json:
            tell_json(judged)
        else:
            print_attacks(judged, Console())
        return
    if folder is None:
        fail(ConfigError("DIR", None, "is missing: give a folder of people, or --attacks"), EXIT_UNUSABLE)
    try:
        if plot is not None:
            require_matplotlib()
            require_writable(plot)
        if points is not None and not points.absolute().parent.is_dir():
            raise ConfigError("points", str(points), "give a file in a folder that is there")
        people = find_people(folder)
        setting = Setting(pack, detector, border, threads)
        pipeline = setting.open()
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=screen,
        ) as progress:
            task = progress.add_task("acquiring people", total=len(people))
            crowd = gather(folder, people, setting, jobs_or_cores(jobs), lambda: progress.advance(task))
            evaluation = evaluate_crowd(crowd, pipeline, test_set or folder.resolve().name, seed, progress)
        if plot is not None:
            save_det(evaluation.curves, f"{pipeline.manifest.name}: {folder.resolve().name}", plot)
        if points is not None:
            points.write_text(points_toml(evaluation.points), encoding="utf-8")
            if not evaluation.points:
                screen.print(
                    "no rate can be promised with so few comparisons: no operating point was written"
                )
    except (StileError, ModelsError) as error:
        fail(error, EXIT_UNUSABLE)
    except OSError as error:
        fail(FixtureError(f"{error.filename}: {error.strerror}; choose another place"), EXIT_UNUSABLE)
    opened = open_pack(pack)
    report: dict[str, object] = {
        **acquisition(crowd),
        **evaluation.report,
        "seed": seed,
        "confidence": CONFIDENCE,
        "bootstrap_replicates": REPLICATES,
        "low_n_below": LOW_N,
        "border": border,
        "detector": detector or pipeline.manifest.default_detector().name,
        "pack": pipeline.manifest.name,
        "pack_digest": opened.digest,
        "recipe_digest": pipeline.recipe_digest,
        "test_set": test_set or folder.resolve().name,
    }
    screen.print(f"{crowd.images} images in {time.perf_counter() - started_s:.0f} s", highlight=False)
    if as_json:
        tell_json(report)
    else:
        print_report(report, Console())
