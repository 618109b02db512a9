"""Whom an evaluation is of: the people of a folder, and one probe an image, made by several processes.

Probes live in memory only. What could not be used is counted and named, image by image.
"""

from __future__ import annotations

import multiprocessing
import os
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from edge.capture.pipeline import Pipeline
from edge.capture.recording import Spoilt
from edge.capture.sample import FailureToAcquire, Probe
from edge.errors import FixtureError
from edge.modes.common import open_pipeline, open_recording
from models.registry import open_pack

MEMBERS, STRANGERS = "members", "strangers"
PEOPLE_A_TASK = 4
"""People given to a process at a time: few, so that none ends long after the others."""
MAX_JOBS = 64


@dataclass(frozen=True, slots=True)
class Person:
    """One folder of images; `member`: may be enrolled, a stranger never is."""

    name: str
    folder: Path
    member: bool


@dataclass(frozen=True, slots=True)
class Setting:
    """How every image is read and embedded; plain values, as they go to other processes."""

    pack: Path | None
    detector: str | None
    border_fraction: float
    threads: int

    def open(self) -> Pipeline:
        """Raises `StileError` or `ModelsError`."""
        return open_pipeline(open_pack(self.pack), self.threads, detector=self.detector)


@dataclass(frozen=True, slots=True, eq=False)
class Sampled:
    """One image: its probe, or why there is none; and what was done to it before it was shown."""

    source: str
    probe: Probe | None
    reason: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Crowd:
    """All images that gave a probe, in the order of people and file names.

    `vectors` N x D of the N probes, `person` N indices into `people`; `failed`: (file, reason) of the other
    images; `ignored`: files that are no image by their name, or lie beside the people's folders.
    """

    people: tuple[Person, ...]
    probes: tuple[Probe, ...]
    vectors: npt.NDArray[np.float32]
    person: npt.NDArray[np.intp]
    failed: tuple[tuple[str, str], ...]
    ignored: tuple[str, ...]
    notes: Counter[str]

    @property
    def images(self) -> int:
        """How many, with and without a probe."""
        return len(self.probes) + len(self.failed)

    @property
    def member(self) -> npt.NDArray[np.bool_]:
        """For each of `people`: may they be enrolled?"""
        return np.array([each.member for each in self.people], bool)


def find_people(folder: Path) -> tuple[Person, ...]:
    """FOLDER/members/<person> and FOLDER/strangers/<person>, or else FOLDER/<person>, all members.

    Raises `FixtureError` when nobody is there, or when somebody is a member and a stranger.
    """
    if not folder.is_dir():
        raise FixtureError(f"{folder}: no such folder; give one that holds <person>/*.jpg")
    split = [folder / name for name in (MEMBERS, STRANGERS) if (folder / name).is_dir()]
    people = [
        Person(each.relative_to(folder).as_posix(), each, place.name != STRANGERS)
        for place in split or [folder]
        for each in sorted(place.iterdir())
        if each.is_dir()
    ]
    if not any(person.member for person in people):
        raise FixtureError(
            f"{folder}: no person is in it; give DIR/<person>/*.jpg, "
            f"or DIR/{MEMBERS}/<person>/*.jpg and DIR/{STRANGERS}/<person>/*.jpg"
        )
    twice = [name for name, times in Counter(each.folder.name for each in people).items() if times > 1]
    if twice:
        raise FixtureError(
            f"{folder}: {', '.join(sorted(twice)[:5])} is among members and strangers; keep one of both, "
            "or their own images count as somebody else's"
        )
    return tuple(people)


def _files(folder: Path, people: tuple[Person, ...]) -> list[str]:
    """Every file in the folder of a person, or beside such a folder, in order."""
    beside = {
        path for place in (folder, *{each.folder.parent for each in people}) for path in place.iterdir()
    }
    within = {path for person in people for path in person.folder.rglob("*")}
    return sorted(path.relative_to(folder).as_posix() for path in beside | within if path.is_file())


def sample_person(pipeline: Pipeline, person: Person, border_fraction: float) -> list[Sampled]:
    """Every image of one person, in the order of their names."""
    try:
        open_recording(person.folder)
    except FixtureError:  # no image is there
        return []
    sampled: list[Sampled] = []
    for played in open_recording(person.folder, border_fraction):
        if isinstance(played, Spoilt):
            sampled.append(Sampled(f"{person.name}/{played.source}", None, played.flaw.value))
            continue
        source, notes = f"{person.name}/{played.frame.source}", tuple(note.value for note in played.notes)
        probe = pipeline.acquire(played.frame).probe
        if isinstance(probe, FailureToAcquire):
            sampled.append(Sampled(source, None, probe.reason.value, notes))
        else:
            sampled.append(Sampled(source, probe, notes=notes))
    return sampled


def gather(
    folder: Path,
    people: tuple[Person, ...],
    setting: Setting,
    jobs: int,
    on_person: Callable[[], None] = lambda: None,
) -> Crowd:
    """The probes of everybody, the same ones whatever `jobs`. Raises `FixtureError` if there is not one."""
    failed: list[tuple[str, str]] = []
    used: set[str] = set()
    probes: list[Probe] = []
    owner: list[int] = []
    notes: Counter[str] = Counter()
    for index, sampled in enumerate(_sample_all(people, setting, jobs)):
        for each in sampled:
            notes.update(each.notes)
            used.add(each.source)
            if each.probe is None:
                failed.append((each.source, each.reason or ""))
            else:
                probes.append(each.probe)
                owner.append(index)
        on_person()
    if not probes:
        reasons = Counter(reason for _, reason in failed).most_common(3)
        told = ", ".join(f"{reason} {times}" for reason, times in reasons) or "there is no image"
        raise FixtureError(
            f"{folder}: no face could be acquired ({told}); give clear faces, tight crops with --border 0.5"
        )
    vectors = np.stack([probe.vector for probe in probes])
    ignored = tuple(source for source in _files(folder, people) if source not in used)
    return Crowd(people, tuple(probes), vectors, np.array(owner, np.intp), tuple(failed), ignored, notes)


def _sample_all(people: tuple[Person, ...], setting: Setting, jobs: int) -> Iterator[list[Sampled]]:
    if jobs == 1:
        pipeline = setting.open()
        for person in people:
            yield sample_person(pipeline, person, setting.border_fraction)
        return
    # Not forked: the networks' own threads would not be there in the child.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_start, initargs=(setting,))
    try:
        yield from pool.map(_sample, people, chunksize=PEOPLE_A_TASK)
    except BrokenProcessPool as error:
        raise FixtureError(
            "a process of the evaluation ended early, most often for want of memory (50 megapixels take "
            "about a gigabyte with their border): use --jobs 1, a smaller --border, or smaller images"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def jobs_or_cores(jobs: int) -> int:
    """`jobs`, or for 0 one for each core."""
    return jobs or min(MAX_JOBS, os.cpu_count() or 1)


_opened: list[tuple[Pipeline, Setting]] = []
"""The one pipeline of a working process; networks cannot be sent from process to process."""


def _start(setting: Setting) -> None:
    cv2.setNumThreads(setting.threads)
    _opened.append((setting.open(), setting))


def _sample(person: Person) -> list[Sampled]:
    pipeline, setting = _opened[0]
    return sample_person(pipeline, person, setting.border_fraction)
