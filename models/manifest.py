"""A pack's manifest: what its files are, how they are fed, and at which thresholds they were measured.

Pure: text in, values out. `registry` reads the folder; nothing here touches a disk.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Final, Literal, NewType

import msgspec
from msgspec import Meta

from models.errors import ManifestError
from models.licences import allows_commerce

FORMAT: Final = 1
"""The manifest format this code reads; another one is refused."""

WEIGHT_SUM_TOLERANCE: Final = 1e-6
"""How far the embedders' weights may sum from 1 (rounding of decimal text)."""

ANY_SIZE: Final = -1
"""In a tensor's shape: any number."""

RecipeDigest = NewType("RecipeDigest", str)
"""SHA-256 (hex) of what shapes a template; templates compare only under the same one."""

PackDigest = NewType("PackDigest", str)
"""SHA-256 (hex) of the manifest's bytes, and through its file digests of the whole pack."""

MaxFmr = NewType("MaxFmr", str)
"""A ceiling on the false match rate, as the key text `"1e-4"`."""

QUALITY_ORDER: Final = (
    ("min_eye_span_px", "good_eye_span_px"),
    ("min_luminance", "good_luminance_from"),
    ("good_luminance_from", "good_luminance_to"),
    ("good_luminance_to", "max_luminance"),
    ("min_sharpness", "good_sharpness"),
    ("good_yaw", "max_yaw"),
)
"""Pairs of quality floors of which the first is never above the second."""

Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
# A flat name: a pack that somebody sends cannot point outside its own folder.
FileName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\.onnx$")]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
Line = Annotated[str, Meta(min_length=1, max_length=300)]
Rate = Annotated[float, Meta(ge=0, le=1)]
RateKey = Annotated[str, Meta(pattern=r"^1e-[1-9]$")]
GreyLevel = Annotated[float, Meta(ge=0, le=255)]
Side = Annotated[int, Meta(ge=16, le=1024)]
MeshIndex = Annotated[int, Meta(ge=0, lt=468)]


class Tensor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One input or output: its name in the graph, element type and shape (-1 = any number)."""

    name: Line
    dtype: Literal["float32", "float16", "uint8", "int64"]
    shape: tuple[Annotated[int, Meta(ge=-1)], ...]


class Preprocessing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a 0..255 image becomes the input: value * scale + offset, in this layout and channel order."""

    layout: Literal["NCHW", "NHWC"]
    channels: Literal["RGB", "BGR"]
    scale: float
    offset: float


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a file's weights came from: a package, its version, the file in it and that file's SHA-256."""

    package: Line
    version: Line
    file: Line
    sha256: Sha256


class ModelFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One ONNX file of the pack; `path` is a flat name inside the pack's folder.

    `arithmetic`: int8 if quantised; its golden vectors are then held by direction (cosine), not by value.
    """

    path: FileName
    sha256: Sha256
    licence: Line
    source: Source
    preprocessing: Preprocessing
    inputs: Annotated[tuple[Tensor, ...], Meta(min_length=1)]
    outputs: Annotated[tuple[Tensor, ...], Meta(min_length=1)]
    arithmetic: Literal["float32", "int8"] = "float32"


class Golden(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the original implementations answer: one .npz with `<file>/input` and `<file>/<output>` arrays.

    Inputs are (n, rows, columns, 3) RGB bytes. `tolerance` is relative to an output's largest golden value.
    """

    path: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\.npz$")]
    sha256: Sha256
    tolerance: Annotated[float, Meta(gt=0, le=0.1)]


class Detector(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A face detector: `kind` and `variant` name its decoder, `side` its square input in pixels."""

    name: Name
    kind: Literal["blazeface", "yunet"]
    variant: Name
    side: Side
    file: FileName
    default: bool
    score_min: Rate


class Landmarks(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The landmark network: its region is a square of `region_scale` times the box's longer side."""

    kind: Literal["mesh468"]
    file: FileName
    side: Side
    region_scale: Annotated[float, Meta(gt=0, le=4)]


class Alignment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An alignment recipe: a least-squares similarity takes landmarks to `template` pixels in a square chip.

    `landmarks`: one group of mesh indices per template point, averaged. `template`: (x, y) in chip pixels.
    `halve_below`: a face larger than the chip is halved (2x2 mean) until the scale is at least this.
    """

    name: Name
    landmarks: Annotated[tuple[tuple[MeshIndex, ...], ...], Meta(min_length=2)]
    template: tuple[tuple[float, float], ...]
    side: Side
    halve_below: Annotated[float, Meta(gt=0, le=1)]


class Embedder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One part of the vector: chip of `alignment` -> `dimensions` floats, normalised, weighted by `weight`.

    `flip_averaged`: the chip and its mirror image are embedded, normalised, averaged, normalised again.
    """

    name: Name
    file: FileName
    alignment: Name
    dimensions: Annotated[int, Meta(ge=1, le=4096)]
    weight: Annotated[float, Meta(gt=0, le=1)]
    flip_averaged: bool


class PadNetwork(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A passive presentation attack detector on a square crop of `crop_scale` times the box's longer side.

    Its first output is one logit a class; a softmax makes them probabilities. The mean probability of
    `live_class` over networks and frames is held against the mean of their `live_min`.
    """

    name: Name
    file: FileName
    side: Side
    crop_scale: Annotated[float, Meta(gt=0, le=8)]
    live_class: Annotated[int, Meta(ge=0, le=15)]
    live_min: Rate


class OperatingPoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A threshold on similarity and what was counted there, for one recipe, template size and probe size.

    On `test_set`: `false_matches` of `non_mated` comparisons and `true_matches` of `mated` reached it.
    `clash_margin`: the least lead over the next subject below which a best candidate is ambiguous.
    """

    recipe_digest: Sha256
    images_per_template: Annotated[int, Meta(ge=1, le=100)]
    frames_per_probe: Annotated[int, Meta(ge=1, le=100)]
    max_fmr: RateKey
    threshold: Annotated[float, Meta(ge=-1, le=1)]
    false_matches: Annotated[int, Meta(ge=0)]
    non_mated: Annotated[int, Meta(ge=1)]
    true_matches: Annotated[int, Meta(ge=0)]
    mated: Annotated[int, Meta(ge=1)]
    clash_margin: Annotated[float, Meta(ge=0, le=1)]
    test_set: Line

    @property
    def fmr(self) -> float:
        """The false match rate measured at the threshold."""
        return self.false_matches / self.non_mated

    @property
    def tmr(self) -> float:
        """The true match rate measured at the threshold: 1 - FNMR."""
        return self.true_matches / self.mated


class QualityFloors(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a face must measure to be compared, and where each measurement counts as good.

    The rates of operating points hold for these: another floor makes other samples.
    """

    min_presence: Rate = 0.5
    min_eye_span_px: Annotated[float, Meta(ge=8, le=400)] = 24.0
    good_eye_span_px: Annotated[float, Meta(ge=8, le=800)] = 60.0
    min_luminance: GreyLevel = 32.0
    max_luminance: GreyLevel = 232.0
    good_luminance_from: GreyLevel = 80.0
    good_luminance_to: GreyLevel = 190.0
    min_contrast: Annotated[float, Meta(ge=0, le=128)] = 10.0
    min_sharpness: Annotated[float, Meta(ge=0, le=10)] = 0.04
    good_sharpness: Annotated[float, Meta(ge=0, le=10)] = 0.15
    max_yaw: Rate = 0.6
    good_yaw: Rate = 0.2


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole pack as declared; made by `parse_manifest`, which also checks that its names meet.

    `non_commercial`: its operator declared so, for weights whose licence asks it; a kiosk shows it.
    """

    format: int
    name: Name
    version: Line
    summary: Line
    files: Annotated[tuple[ModelFile, ...], Meta(min_length=1)]
    detectors: Annotated[tuple[Detector, ...], Meta(min_length=1)]
    landmarks: Landmarks
    alignments: Annotated[tuple[Alignment, ...], Meta(min_length=1)]
    embedders: Annotated[tuple[Embedder, ...], Meta(min_length=1)]
    non_commercial: bool = False
    quality: QualityFloors = QualityFloors()
    golden: Golden | None = None
    pad: tuple[PadNetwork, ...] = ()
    operating_points: tuple[OperatingPoint, ...] = ()

    def file(self, path: str) -> ModelFile:
        """The declared file of that name; KeyError if the manifest has none (parsed ones always do)."""
        return {file.path: file for file in self.files}[path]

    def alignment(self, name: str) -> Alignment:
        """The alignment recipe of that name; KeyError if there is none (parsed ones always have it)."""
        return {alignment.name: alignment for alignment in self.alignments}[name]

    def default_detector(self) -> Detector:
        """The detector a kiosk uses unless its config names another."""
        return next(detector for detector in self.detectors if detector.default)

    def detector(self, name: str) -> Detector:
        """The detector of that name; KeyError if there is none."""
        return {detector.name: detector for detector in self.detectors}[name]

    @property
    def dimensions(self) -> int:
        """Length of the whole vector: the embedders' dimensions together."""
        return sum(embedder.dimensions for embedder in self.embedders)


def parse_manifest(text: bytes, where: str = "manifest.toml") -> Manifest:
    """TOML bytes -> a checked `Manifest`; raises `ManifestError` naming `where`, the key and the rule."""
    try:
        manifest = msgspec.toml.decode(text, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ManifestError(where, str(error)) from error
    return check_manifest(manifest, where)


def check_manifest(manifest: Manifest, where: str) -> Manifest:
    """The manifest itself, if its names and sizes meet; raises `ManifestError` with the worst complaint."""
    for complaint in _complaints(manifest):
        raise ManifestError(where, complaint)
    return manifest


def _complaints(manifest: Manifest) -> list[str]:
    """Every rule between keys that the manifest breaks, worst first."""
    found: list[str] = []
    if manifest.format != FORMAT:
        return [f"format is {manifest.format}, this version of Stile reads format {FORMAT}"]
    for label, names in (
        ("files.path", [file.path for file in manifest.files]),
        ("detectors.name", [detector.name for detector in manifest.detectors]),
        ("alignments.name", [alignment.name for alignment in manifest.alignments]),
        ("embedders.name", [embedder.name for embedder in manifest.embedders]),
        ("pad.name", [network.name for network in manifest.pad]),
        ("operating_points", [_point_key(point) for point in manifest.operating_points]),
    ):
        found += [f"{label} {name!r} is there twice" for name in {n for n in names if names.count(n) > 1}]
    listed = {file.path for file in manifest.files}
    used = [
        *((f"detectors.{detector.name}.file", detector.file) for detector in manifest.detectors),
        ("landmarks.file", manifest.landmarks.file),
        *((f"embedders.{embedder.name}.file", embedder.file) for embedder in manifest.embedders),
        *((f"pad.{network.name}.file", network.file) for network in manifest.pad),
    ]
    found += [f"{key} names {file!r}, which is not under files" for key, file in used if file not in listed]
    found += [f"files has {file!r}, which nothing uses" for file in listed - {file for _, file in used}]
    if not manifest.non_commercial:
        found += [
            f"{file.path} is under {file.licence}, not known to allow commercial use: "
            "non_commercial = true must say so"
            for file in manifest.files
            if not allows_commerce(file.licence)
        ]
    if sum(detector.default for detector in manifest.detectors) != 1:
        found.append("exactly one of detectors must have default = true")
    recipes = {alignment.name for alignment in manifest.alignments}
    found += [
        f"embedders.{embedder.name}.alignment names {embedder.alignment!r}, which is not under alignments"
        for embedder in manifest.embedders
        if embedder.alignment not in recipes
    ]
    found += [
        f"operating_points {_point_key(point)} counts more matches than comparisons"
        for point in manifest.operating_points
        if point.false_matches > point.non_mated or point.true_matches > point.mated
    ]
    found += [
        f"alignments.{alignment.name} has {len(alignment.landmarks)} landmark groups "
        f"and {len(alignment.template)} template points"
        for alignment in manifest.alignments
        if len(alignment.landmarks) != len(alignment.template) or not all(alignment.landmarks)
    ]
    found += [
        f"quality.{lower} is above quality.{higher}"
        for lower, higher in QUALITY_ORDER
        if getattr(manifest.quality, lower) > getattr(manifest.quality, higher)
    ]
    if not found:
        found += _size_complaints(manifest)
    total = sum(embedder.weight for embedder in manifest.embedders)
    if abs(total - 1) > WEIGHT_SUM_TOLERANCE:
        found.append(f"the weights of embedders sum to {total:.6g}, they must sum to 1")
    return found


def _size_complaints(manifest: Manifest) -> list[str]:
    """Where a declared side or dimension is not that of the network's tensors; names are checked before."""
    sides = [
        *((f"detectors.{d.name}.side", d.side, d.file) for d in manifest.detectors),
        ("landmarks.side", manifest.landmarks.side, manifest.landmarks.file),
        *(
            (f"alignments.{e.alignment}.side", manifest.alignment(e.alignment).side, e.file)
            for e in manifest.embedders
        ),
        *((f"pad.{p.name}.side", p.side, p.file) for p in manifest.pad),
    ]
    found: list[str] = []
    for key, side, path in sides:
        file = manifest.file(path)
        rows = file.inputs[0].shape[2:4] if file.preprocessing.layout == "NCHW" else file.inputs[0].shape[1:3]
        if len(rows) != 2 or any(size not in (side, ANY_SIZE) for size in rows):
            found.append(f"{key} is {side}, the input of {path} is {list(file.inputs[0].shape)}")
    for embedder in manifest.embedders:
        shape = manifest.file(embedder.file).outputs[0].shape
        if not shape or shape[-1] not in (embedder.dimensions, ANY_SIZE):
            found.append(
                f"embedders.{embedder.name}.dimensions is {embedder.dimensions}, "
                f"the output of {embedder.file} is {list(shape)}"
            )
    for network in manifest.pad:
        shape = manifest.file(network.file).outputs[0].shape
        if not shape or shape[-1] <= network.live_class:
            found.append(
                f"pad.{network.name}.live_class is {network.live_class}, "
                f"the output of {network.file} is {list(shape)}"
            )
    return found


def _point_key(point: OperatingPoint) -> str:
    return f"{point.recipe_digest[:12]}/{point.images_per_template}/{point.frames_per_probe}/{point.max_fmr}"


def pack_digest(text: bytes) -> PackDigest:
    """The digest of a pack: SHA-256 of its manifest's bytes, which hold every file's digest."""
    return PackDigest(hashlib.sha256(text).hexdigest())


def recipe_digest(manifest: Manifest) -> RecipeDigest:
    """SHA-256 of what shapes a template: files, decoding, alignment, preprocessing, weights, flip.

    Names, paths, licences, sources, golden vectors, thresholds, quality floors, PAD and which detector is the
    default are outside it, so a kiosk may use the quick detector and share
    templates with one that uses the other.
    """

    def fed(path: str) -> tuple[object, ...]:
        file = manifest.file(path)
        return (file.sha256, msgspec.to_builtins(file.preprocessing))

    def chip(name: str) -> tuple[object, ...]:
        alignment = manifest.alignment(name)
        return (alignment.landmarks, alignment.template, alignment.side, alignment.halve_below)

    detectors = [(d.kind, d.variant, d.side, *fed(d.file)) for d in manifest.detectors]
    landmarks = manifest.landmarks
    shaping = {
        "rules": "stile-recipe-1",
        "detectors": sorted(detectors, key=msgspec.json.encode),
        "landmarks": (landmarks.kind, landmarks.side, landmarks.region_scale, *fed(landmarks.file)),
        "embedders": [
            (e.dimensions, e.weight, e.flip_averaged, chip(e.alignment), *fed(e.file))
            for e in manifest.embedders
        ],
    }
    return RecipeDigest(hashlib.sha256(msgspec.json.encode(shaping, order="sorted")).hexdigest())
