"""Reads dlib's serialised face descriptor network (`dlib_face_recognition_resnet_model_v1.dat`).

The layout is driven by the network's type, which the file does not hold: `NETWORK` is that type, from the
output to the input. All versions come first, outermost to innermost, then the details, innermost first.
Source: dlib `dnn/core.h`, `dnn/layers.h`, `examples/dnn_face_recognition_ex.cpp`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Kind = Literal["fc", "avg_pool", "max_pool", "relu", "add_prev", "affine", "con", "tag", "skip"]

_BLOCK: Final[tuple[Kind, ...]] = ("relu", "add_prev", "affine", "con", "relu", "affine", "con", "tag")
_DOWN: Final[tuple[Kind, ...]] = (
    *("relu", "add_prev", "avg_pool", "skip", "tag"),
    *("affine", "con", "relu", "affine", "con", "tag"),
)
PLAIN_BLOCKS: Final = (2, 2, 3, 3)
"""Plain blocks beneath each halving block, from the output to the input."""

NETWORK: Final[tuple[Kind, ...]] = (
    *("fc", "avg_pool"),
    *(kind for plain in PLAIN_BLOCKS for kind in (_DOWN + _BLOCK * plain)),
    *("max_pool", "relu", "affine", "con"),
)

MAX_INT_BYTES: Final = 8
"""Magnitude bytes of a dlib integer, by its definition."""


class DatError(ValueError):
    """The bytes are not this network; use the .dat file of the package named in requirements/export.txt."""


@dataclass(frozen=True, slots=True)
class Con:
    """A convolution: weights (out, in, rows, columns), one bias per filter, square stride and padding."""

    weights: Floats
    biases: Floats
    stride: int
    padding: int


@dataclass(frozen=True, slots=True)
class Affine:
    """gamma * x + beta per channel: batch normalisation, frozen."""

    gamma: Floats
    beta: Floats


@dataclass(frozen=True, slots=True)
class DlibResNet:
    """The parts that have numbers, from the input to the output."""

    average_rgb: tuple[float, float, float]
    side: int
    cons: tuple[Con, ...]
    affines: tuple[Affine, ...]
    projection: Floats
    """(256, 128): descriptor = pooled @ projection."""


class _Reader:
    """A cursor over dlib's serialisation."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def _take(self, count: int) -> bytes:
        piece = self._content[self._at : self._at + count]
        if len(piece) != count:
            raise DatError(f"the file ends at byte {len(self._content)}, {count} more were expected")
        self._at += count
        return piece

    def integer(self) -> int:
        """Header byte (0x80 = negative, low nibble = count), then the magnitude, little-endian."""
        header = self._take(1)[0]
        count = header & 0x0F
        if count > MAX_INT_BYTES or header & 0x70:
            raise DatError(f"no integer at byte {self._at - 1}")
        magnitude = int.from_bytes(self._take(count), "little")
        return -magnitude if header & 0x80 else magnitude

    def real(self) -> float:
        """A mantissa * 2 ** exponent."""
        mantissa, exponent = self.integer(), self.integer()
        return float(mantissa) * 2.0**exponent

    def flag(self) -> bool:
        """ASCII '0' or '1'."""
        character = self._take(1)
        if character not in (b"0", b"1"):
            raise DatError(f"no truth value at byte {self._at - 1}")
        return character == b"1"

    def expect(self, *wanted: int | str) -> None:
        """The next values are exactly these."""
        for value in wanted:
            at = self._at
            found = self.integer() if isinstance(value, int) else self._take(self.integer()).decode("ascii")
            if found != value:
                raise DatError(f"{found!r} at byte {at}, {value!r} was expected")

    def name(self) -> str:
        """A layer's version text, such as `con_4`."""
        return self._take(self.integer()).decode("ascii")

    def tensor(self) -> Floats:
        """Version 2: four dimensions, then raw float32; version 1 spells each value as a real."""
        version = self.integer()
        shape = tuple(self.integer() for _ in range(4))
        count = int(np.prod(shape))
        if version == 2:
            return np.frombuffer(self._take(4 * count), dtype="<f4").reshape(shape)
        if version == 1:
            return np.array([self.real() for _ in range(count)], dtype=np.float32).reshape(shape)
        raise DatError(f"tensor version {version} is not known")

    def alias(self) -> tuple[int, int, int, int]:
        """The shape of a view into a parameter tensor."""
        self.expect(1)
        return (self.integer(), self.integer(), self.integer(), self.integer())

    @property
    def finished(self) -> bool:
        """Nothing is left."""
        return self._at == len(self._content)


def _con(reader: _Reader) -> Con:
    reader.expect("con_4")
    params = reader.tensor().ravel()
    filters, rows, columns, stride_y, stride_x, padding_y, padding_x = (reader.integer() for _ in range(7))
    shape, bias_shape = reader.alias(), reader.alias()
    for _ in range(4):
        reader.real()
    count = int(np.prod(shape))
    square = rows == columns and stride_y == stride_x and padding_y == padding_x
    if (
        shape[0] != filters
        or shape[2:] != (rows, columns)
        or not square
        or int(np.prod(bias_shape)) != filters
    ):
        raise DatError(f"a convolution of shape {shape} does not fit its header")
    return Con(params[:count].reshape(shape), params[count:], stride_y, padding_y)


def _affine(reader: _Reader) -> Affine:
    reader.expect("affine_")
    params = reader.tensor().ravel()
    gamma, _beta = reader.alias(), reader.alias()
    reader.integer()
    count = int(np.prod(gamma))
    return Affine(params[:count], params[count:])


def _projection(reader: _Reader) -> Floats:
    reader.expect("fc_2", 128, 256)
    params = reader.tensor()
    reader.alias()
    reader.alias()
    reader.expect(1)  # no bias
    for _ in range(4):
        reader.real()
    return params.reshape(256, 128)


def _layer_end(reader: _Reader) -> None:
    """Three flags and three empty tensors end every computing layer."""
    for _ in range(3):
        reader.flag()
    for _ in range(3):
        reader.tensor()


def read_dlib_resnet(content: bytes) -> DlibResNet:
    """The .dat file's bytes -> its numbers; raises `DatError` naming the byte where the file differs."""
    reader = _Reader(content)
    reader.expect(1, "loss_metric_2")
    reader.real()
    reader.real()
    for kind in NETWORK[:-1]:
        reader.expect(1 if kind in ("tag", "skip") else 2)
    reader.expect(3, "input_rgb_image_sized")
    red, green, blue = reader.real(), reader.real(), reader.real()
    rows, columns = reader.integer(), reader.integer()
    if rows != columns:
        raise DatError(f"the input is {rows} by {columns}, a square was expected")

    cons = [_con(reader)]
    affines: list[Affine] = []
    projection: Floats | None = None
    _layer_end(reader)
    reader.integer()  # the input's sample expansion factor
    for kind in reversed(NETWORK[:-1]):
        match kind:
            case "tag" | "skip":
                continue
            case "con":
                cons.append(_con(reader))
            case "affine":
                affines.append(_affine(reader))
            case "fc":
                projection = _projection(reader)
            case "max_pool" | "avg_pool":
                reader.name()
                for _ in range(6):
                    reader.integer()
            case "relu" | "add_prev":
                reader.name()
        _layer_end(reader)
    if projection is None or not reader.finished:
        raise DatError("bytes are left after the network")
    return DlibResNet((red, green, blue), rows, tuple(cons), tuple(affines), projection)
