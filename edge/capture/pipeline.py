"""Frame in, probe out: the first five steps of a pass, in order, each callable by itself.

`find` and `observe` describe a face without recognising it. Only `embed` makes what can be compared,
so that a kiosk calls it for the one face in the zone, once an interaction has begun.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from edge.capture.alignment import Mesh, align, locate
from edge.capture.detection import ZoneConfig, detect, in_zone
from edge.capture.embedding import embed
from edge.capture.pad import live_score
from edge.capture.quality import assess
from edge.capture.sample import AlignedFace, Face, FailureToAcquire, Frame, Inference, Points, Probe, Quality
from models.manifest import Manifest, RecipeDigest

Clock = Callable[[], float]
"""Milliseconds from any zero; only differences are used, and nothing is decided by them."""
Laps = dict[str, float]
"""Stage to the milliseconds it took."""

STAGES = ("detect", "landmarks", "align", "quality", "embed")
"""Of every pack; `passive` follows where a pack's passive networks run."""


@dataclass(frozen=True, slots=True, eq=False)
class Observation:
    """A face that can be compared, not yet compared: mesh points in pixels of the frame, chips, quality."""

    frame: Frame
    face: Face
    points: Points
    aligned: tuple[AlignedFace, ...]
    quality: Quality


@dataclass(frozen=True, slots=True, eq=False)
class Acquisition:
    """All that one frame gave: a probe, or the obstacle; `face` is there once one stood in the zone.

    `live`: how live the pack's passive networks take the probe's face to be, 0 to 1; None where none runs.
    """

    probe: Probe | FailureToAcquire
    face: Face | None = None
    observation: Observation | None = None
    laps_ms: Mapping[str, float] = field(default_factory=dict)
    live: float | None = None


class Pipeline:
    """The pack's networks in the order of a pass. Holds no state between frames."""

    def __init__(
        self,
        manifest: Manifest,
        recipe_digest: RecipeDigest,
        networks: Mapping[str, Inference],
        *,
        detector: str | None,
        zone: ZoneConfig,
        clock_ms: Clock,
    ) -> None:
        """`networks` by the manifest's file names; `detector` by name, None for the pack's default.

        Passive networks run with every probe where their files are among `networks`; all or none.
        """
        self.manifest, self.recipe_digest = manifest, recipe_digest
        self._detector = manifest.default_detector() if detector is None else manifest.detector(detector)
        self.networks = networks
        """By file; for whoever measures them by themselves."""
        self._embedders = tuple(
            (embedder, manifest.file(embedder.file), networks[embedder.file])
            for embedder in manifest.embedders
        )
        self._passive = tuple(
            (network, manifest.file(network.file), networks[network.file])
            for network in manifest.pad
            if network.file in networks
        )
        # One chip per distinct recipe that an embedder uses, however many share it.
        self._recipes = tuple(
            recipe
            for recipe in manifest.alignments
            if recipe.name in {embedder.alignment for embedder in manifest.embedders}
        )
        self._zone, self._clock_ms = zone, clock_ms

    def detect(self, frame: Frame) -> tuple[Face, ...]:
        """Every face, best first, for a screen that draws boxes; recognises no one."""
        file = self._detector.file
        return detect(
            frame.image, self.networks[file], self._detector, self.manifest.file(file).preprocessing
        )

    def find(self, frame: Frame) -> Face | FailureToAcquire:
        """The one face in the zone."""
        return in_zone(self.detect(frame), frame.image, self._zone)

    def locate(self, frame: Frame, face: Face) -> Mesh:
        """The landmarks of a face."""
        landmarks = self.manifest.landmarks
        preprocessing = self.manifest.file(landmarks.file).preprocessing
        return locate(frame.image, face, self.networks[landmarks.file], landmarks, preprocessing)

    def observe(
        self, frame: Frame, face: Face, laps_ms: Laps | None = None
    ) -> Observation | FailureToAcquire:
        """Landmarks, chips and quality of a face; the obstacle if it is under a floor."""
        laps_ms = {} if laps_ms is None else laps_ms
        started = self._clock_ms()
        mesh = self.locate(frame, face)
        located = self._lap(laps_ms, "landmarks", started)
        aligned = align(frame.image, mesh.points, self._recipes)
        chipped = self._lap(laps_ms, "align", located)
        quality = assess(mesh.points, mesh.presence, aligned[0], self.manifest.quality)
        self._lap(laps_ms, "quality", chipped)
        if isinstance(quality, FailureToAcquire):
            return quality
        return Observation(frame, face, mesh.points, aligned, quality)

    def embed(self, observation: Observation) -> Probe:
        """The probe of an observation. Call it only within an interaction."""
        return embed(observation.aligned, self._embedders, self.recipe_digest)

    @property
    def has_passive(self) -> bool:
        """Whether passive networks are loaded."""
        return bool(self._passive)

    def live(self, frame: Frame, face: Face) -> float | None:
        """How live the passive networks take a face to be, 0 to 1; None where none is loaded."""
        return live_score(frame.image, face.box, self._passive) if self._passive else None

    def acquire(self, frame: Frame, face: Face | None = None) -> Acquisition:
        """All steps for one frame whose person wants to be recognised or enrolled.

        `face`: what `find` gave for this frame, where it was called already.
        """
        laps_ms: Laps = {}
        started = self._clock_ms()
        found = self.find(frame) if face is None else face
        self._lap(laps_ms, "detect", started)
        if isinstance(found, FailureToAcquire):
            return Acquisition(found, laps_ms=laps_ms)
        face = found
        observation = self.observe(frame, face, laps_ms)
        if isinstance(observation, FailureToAcquire):
            return Acquisition(observation, face, laps_ms=laps_ms)
        observed = self._clock_ms()
        probe = self.embed(observation)
        embedded = self._lap(laps_ms, "embed", observed)
        live = self.live(frame, face)
        if live is not None:
            self._lap(laps_ms, "passive", embedded)
        return Acquisition(probe, face, observation, laps_ms, live)

    def _lap(self, laps_ms: Laps, stage: str, started: float) -> float:
        now = self._clock_ms()
        laps_ms[stage] = now - started
        return now
