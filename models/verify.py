"""Is a pack what it says, and does this machine compute it rightly? Checks, each a value with its reason.

Runs networks and embeds pictures only through what it is given, so a kiosk, the command line and the tests
verify with the very code they use.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from models.errors import GoldenError, GraphError, ManifestError, ModelsError, SaturationError, TensorError
from models.graph_outline import require_usable_graph
from models.manifest import ANY_SIZE, Golden, ModelFile, Tensor
from models.preprocessing import to_input
from models.registry import Pack

Floats = NDArray[np.float32]
CheckName = Literal["digest", "licence", "tensors", "golden", "latency", "sanity", "channels"]
ClockMs = Callable[[], float]
"""Milliseconds from any zero."""

INT8_MIN_COSINE: Final = 0.999
"""Least cosine of an int8 network's answer to its float32 original's, for every golden picture."""

LATENCY_RUNS: Final = 10
"""Timed runs of one network, after one that warms it up; reported, never judged."""

INPUT: Final = "input"
"""Last part of a golden array's name for the pictures; the others are output names."""


class Network(Protocol):
    """An opened network: its tensors as the run-time sees them, and one run."""

    def tensors(self) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Inputs and outputs, free sizes as -1."""

    def run(self, feeds: Mapping[str, Floats]) -> Mapping[str, Floats]:
        """Outputs by name; ValueError if the network does not take these."""


OpenNetwork = Callable[[bytes], Network]
"""From an ONNX file's bytes; ValueError if they are no network."""


@dataclass(frozen=True, slots=True)
class Check:
    """One question about one file of the pack; `error` is None when the answer is yes."""

    name: CheckName
    file: str
    detail: str
    error: ModelsError | None = None

    @property
    def passed(self) -> bool:
        """No error was found."""
        return self.error is None


def verify_pack(pack: Pack, open_network: OpenNetwork, clock_ms: ClockMs) -> Iterator[Check]:
    """Digest, licence, tensors, golden vectors and latency of every network, one after the other."""
    content = pack.read_golden()
    golden = {}
    if content is not None and pack.manifest.golden is not None:
        golden = read_arrays(content, pack.manifest.golden.path)
    for file in pack.manifest.files:
        content = pack.read(file.path)
        yield Check("digest", file.path, f"sha256 {file.sha256[:12]}…")
        # A manifest whose licences do not allow what it declares is refused when it is parsed.
        yield Check("licence", file.path, file.licence)
        try:
            require_usable_graph(content, file.path)
            network = open_network(content)
        except GraphError as error:
            yield Check("tensors", file.path, "", error)
            continue
        except ValueError as error:
            declared = spelled(file.inputs, file.outputs)
            unread = TensorError(pack.manifest.name, file.path, declared, f"that cannot be read ({error})")
            yield Check("tensors", file.path, "", unread)
            continue
        tensors = _check_tensors(pack.manifest.name, file, network)
        yield tensors
        if not tensors.passed:
            continue
        if pack.manifest.golden is not None:
            yield from _check_golden(pack.manifest.name, file, network, golden, pack.manifest.golden)
        yield _latency(pack.manifest.name, file, network, clock_ms)


def read_arrays(content: bytes, name: str) -> dict[str, NDArray[np.generic]]:
    """The arrays of an .npz by name; raises `ManifestError` for other bytes."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return dict(arrays)
    except (ValueError, EOFError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        raise ManifestError(name, f"cannot be read as .npz ({error})") from error


def _check_tensors(pack: str, file: ModelFile, network: Network) -> Check:
    declared, found = (file.inputs, file.outputs), network.tensors()
    if all(map(_all_fit, declared, found)):
        return Check("tensors", file.path, spelled(*declared))
    error = TensorError(pack, file.path, spelled(*declared), spelled(*found))
    return Check("tensors", file.path, "", error)


def _all_fit(declared: tuple[Tensor, ...], found: tuple[Tensor, ...]) -> bool:
    """The same tensors; where the network takes any size, the manifest may declare the one it is fed."""
    return len(declared) == len(found) and all(
        (ours.name, ours.dtype, len(ours.shape)) == (theirs.name, theirs.dtype, len(theirs.shape))
        and all(their in (our, ANY_SIZE) for our, their in zip(ours.shape, theirs.shape, strict=True))
        for ours, theirs in zip(declared, found, strict=True)
    )


def spelled(inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...]) -> str:
    """Tensors for a message."""

    def side(tensors: tuple[Tensor, ...]) -> str:
        return ", ".join(f"{each.name} {each.dtype}{list(each.shape)}" for each in tensors)

    return f"{side(inputs)} -> {side(outputs)}"


def _latency(pack: str, file: ModelFile, network: Network, clock_ms: ClockMs) -> Check:
    """The median of a few runs on a black picture; an error only if the network does not run at all."""
    feed = {file.inputs[0].name: np.zeros([max(size, 1) for size in file.inputs[0].shape], np.float32)}
    laps: list[float] = []
    try:
        network.run(feed)
        for _ in range(LATENCY_RUNS):
            started = clock_ms()
            network.run(feed)
            laps.append(clock_ms() - started)
    except ValueError as error:
        declared = spelled(file.inputs, file.outputs)
        return Check("latency", file.path, "", TensorError(pack, file.path, declared, f"and: {error}"))
    return Check("latency", file.path, f"{float(np.median(laps)):.1f} ms a run on one thread")


def _check_golden(
    pack: str, file: ModelFile, network: Network, golden: Mapping[str, NDArray[np.generic]], declared: Golden
) -> Iterator[Check]:
    pictures = golden.get(f"{file.path}/{INPUT}")
    if pictures is None:
        return
    try:
        inputs = to_input(pictures.astype(np.uint8), file.preprocessing)
        answers = [network.run({file.inputs[0].name: one[None]}) for one in inputs]
    except ValueError:
        vector = f"{file.path}/{INPUT}"
        refused = GoldenError(pack, file.path, vector, float("inf"), declared.tolerance)
        yield Check("golden", file.path, "", refused)
        return
    for output in file.outputs:
        vector = f"{file.path}/{output.name}"
        expected = golden.get(vector)
        if expected is None:
            continue
        found = np.concatenate([answer[output.name] for answer in answers])
        if file.arithmetic == "int8":
            yield _check_direction(pack, file.path, found, expected.astype(np.float32))
            continue
        difference = relative_difference(found, expected.astype(np.float32))
        error = (
            None
            if difference <= declared.tolerance
            else GoldenError(pack, file.path, vector, difference, declared.tolerance)
        )
        yield Check(
            "golden", file.path, f"{output.name} within {difference:.2g} of its golden vectors", error
        )


def relative_difference(found: Floats, expected: Floats) -> float:
    """Largest absolute difference over the largest golden magnitude; infinite for another shape or a NaN."""
    if found.shape != expected.shape or not np.isfinite(found).all():
        return float("inf")
    return float(np.abs(found - expected).max() / max(float(np.abs(expected).max()), 1e-12))


def _check_direction(pack: str, file: str, found: Floats, expected: Floats) -> Check:
    """An int8 network against float32 answers: every picture's cosine reaches the floor."""
    found_cosines = cosines(found, expected)
    median, worst = float(np.median(found_cosines)), float(found_cosines.min())
    detail = f"int8 keeps a cosine of {median:.4f} (median), {worst:.4f} (worst) to float32"
    if worst >= INT8_MIN_COSINE:
        return Check("golden", file, detail)
    return Check("golden", file, detail, SaturationError(pack, file, median, worst, INT8_MIN_COSINE))


def cosines(found: Floats, expected: Floats) -> Floats:
    """Row by row; -1 for another shape, a row that is not finite, or one without a direction."""
    if found.shape != expected.shape:
        return np.full(max(len(expected), 1), -1, np.float32)
    rows, wanted = found.reshape(len(found), -1), expected.reshape(len(expected), -1)
    lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(wanted, axis=1)
    usable = np.isfinite(rows).all(axis=1) & (lengths > 0)
    products = np.einsum("nd,nd->n", np.where(usable[:, None], rows, 0), wanted)
    return np.where(usable, products / np.where(usable, lengths, 1), -1).astype(np.float32)
