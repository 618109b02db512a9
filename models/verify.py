"""Is a pack what it says, and does this machine compute it rightly? Checks, each a value with its reason.

Runs networks and embeds pictures only through what it is given, so a kiosk, the command line and the tests
verify with the very code they use.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from models.errors import GoldenError, ManifestError, ModelsError, TensorError
from models.manifest import Golden, ModelFile, Tensor
from models.preprocessing import to_input
from models.registry import Pack

Floats = NDArray[np.float32]
CheckName = Literal["digest", "tensors", "golden", "sanity"]

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

EmbedImage = Callable[[bytes], Floats | None]
"""From an encoded picture to the pack's whole vector; None when no face is found."""


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


@dataclass(frozen=True, slots=True)
class SanityPicture:
    """A picture whose person is known, for the mated and non-mated sanity set."""

    person: str
    photograph: str
    content: bytes


class SanityError(ModelsError):
    """The pack tells known people apart wrongly, or finds no face where there is one."""

    def __init__(self, pack: str, reason: str) -> None:
        self.pack = pack
        self.reason = reason
        super().__init__(
            f"pack {pack}: {reason}: do not put it into a kiosk; ask its author for its test results"
        )


def verify_pack(pack: Pack, open_network: OpenNetwork) -> Iterator[Check]:
    """Digest, declared tensors and golden vectors of every network, one after the other."""
    golden = _golden_arrays(pack)
    for file in pack.manifest.files:
        content = pack.read(file.path)
        yield Check("digest", file.path, f"sha256 {file.sha256[:12]}…")
        try:
            network = open_network(content)
        except ValueError as error:
            declared = _spelled(file.inputs, file.outputs)
            unread = TensorError(pack.manifest.name, file.path, declared, f"that cannot be read ({error})")
            yield Check("tensors", file.path, "", unread)
            continue
        tensors = _check_tensors(pack.manifest.name, file, network)
        yield tensors
        if tensors.passed and pack.manifest.golden is not None:
            yield from _check_golden(pack.manifest.name, file, network, golden, pack.manifest.golden)


def _golden_arrays(pack: Pack) -> dict[str, NDArray[np.generic]]:
    content = pack.read_golden()
    if content is None:
        return {}
    assert pack.manifest.golden is not None
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return dict(arrays)
    except (ValueError, EOFError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        raise ManifestError(pack.manifest.golden.path, f"cannot be read as .npz ({error})") from error


def _check_tensors(pack: str, file: ModelFile, network: Network) -> Check:
    declared, found = (file.inputs, file.outputs), network.tensors()
    if declared == found:
        return Check("tensors", file.path, _spelled(*declared))
    return Check(
        "tensors", file.path, "", TensorError(pack, file.path, _spelled(*declared), _spelled(*found))
    )


def _spelled(inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...]) -> str:
    def side(tensors: tuple[Tensor, ...]) -> str:
        return ", ".join(f"{each.name} {each.dtype}{list(each.shape)}" for each in tensors)

    return f"{side(inputs)} -> {side(outputs)}"


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
        difference = relative_difference(found, expected.astype(np.float32))
        error = (
            None
            if difference <= declared.tolerance
            else GoldenError(pack, file.path, vector, difference, declared.tolerance)
        )
        yield Check("golden", file.path, f"{output.name} within {difference:.2g} of the original", error)


def relative_difference(found: Floats, expected: Floats) -> float:
    """Largest absolute difference over the largest golden magnitude; infinite for another shape or a NaN."""
    if found.shape != expected.shape or not np.isfinite(found).all():
        return float("inf")
    return float(np.abs(found - expected).max() / max(float(np.abs(expected).max()), 1e-12))


def verify_sanity(
    pack: Pack, embed_image: EmbedImage, pictures: Sequence[SanityPicture], threshold: float
) -> Check:
    """Pictures of one person reach `threshold`, pictures of two people do not; two renditions are skipped."""
    vectors: list[tuple[SanityPicture, Floats]] = []
    for picture in pictures:
        vector = embed_image(picture.content)
        if vector is None:
            error = SanityError(pack.manifest.name, f"finds no face of {picture.person}")
            return Check("sanity", "pack", "", error)
        vectors.append((picture, vector))
    mated: list[float] = []
    non_mated: list[float] = []
    for position, (one, left) in enumerate(vectors):
        for other, right in vectors[position + 1 :]:
            if one.person != other.person:
                non_mated.append(float(left @ right))
            elif one.photograph != other.photograph:
                mated.append(float(left @ right))
    lowest, highest = min(mated, default=1.0), max(non_mated, default=-1.0)
    detail = f"{len(mated)} mated pairs from {lowest:.3f} up, {len(non_mated)} non-mated up to {highest:.3f}"
    if lowest < threshold or highest >= threshold:
        error = SanityError(pack.manifest.name, f"{detail}, threshold {threshold:.4f}")
        return Check("sanity", "pack", detail, error)
    return Check("sanity", "pack", detail)
