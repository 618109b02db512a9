"""ONNX files written by hand: stand-ins of the shapes that users bring, without the onnx package.

A fitted network knows the pictures that it was fitted to: pooled, flattened, one product, so that it answers
for the portraits as a trained one would, and for wrongly fed ones it does not.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

FLOAT, INT64 = 1, 7
Shape = Sequence[int | str]


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def number(tag: int, value: int) -> bytes:
    return _varint(tag << 3) + _varint(value)


def block(tag: int, content: bytes | str) -> bytes:
    raw = content.encode() if isinstance(content, str) else content
    return _varint(tag << 3 | 2) + _varint(len(raw)) + raw


def tensor(name: str, values: NDArray[np.generic], *, external: str | None = None) -> bytes:
    kind = INT64 if values.dtype == np.int64 else FLOAT
    content = b"".join(number(1, size) for size in values.shape) + number(2, kind) + block(8, name)
    if external is not None:
        return content + block(13, block(1, "location") + block(2, external)) + number(14, 1)
    return content + block(9, np.ascontiguousarray(values).tobytes())


def value(name: str, shape: Shape, kind: int = FLOAT) -> bytes:
    sizes = b"".join(block(1, block(2, size) if isinstance(size, str) else number(1, size)) for size in shape)
    return block(1, name) + block(2, block(1, number(1, kind) + block(2, sizes)))


def ints(name: str, values: Sequence[int]) -> bytes:
    return block(5, block(1, name) + b"".join(number(8, each) for each in values) + number(20, 7))


def integer(name: str, one: int) -> bytes:
    return block(5, block(1, name) + number(3, one) + number(20, 2))


def real(name: str, one: float) -> bytes:
    return block(5, block(1, name) + _varint(2 << 3 | 5) + struct.pack("<f", one) + number(20, 1))


@dataclass
class Graph:
    """Nodes and tensors as they are added; `content` is the file."""

    nodes: list[bytes] = field(default_factory=list)
    tensors: list[bytes] = field(default_factory=list)
    inputs: list[bytes] = field(default_factory=list)
    outputs: list[bytes] = field(default_factory=list)

    def node(self, operator: str, inputs: Sequence[str], output: str, *attributes: bytes) -> str:
        named = b"".join(block(1, each) for each in inputs)
        self.nodes.append(named + block(2, output) + block(4, operator) + b"".join(attributes))
        return output

    def constant(self, name: str, values: NDArray[np.generic]) -> str:
        self.tensors.append(tensor(name, values))
        return name

    @property
    def content(self) -> bytes:
        graph = b"".join(
            [
                *(block(1, each) for each in self.nodes),
                block(2, "stand-in"),
                *(block(5, each) for each in self.tensors),
                *(block(11, each) for each in self.inputs),
                *(block(12, each) for each in self.outputs),
            ]
        )
        return number(1, 8) + block(2, "stand-in") + block(7, graph) + block(8, number(2, 17))


POOLED = 8
"""Cells a side that a fitted network sees of its picture."""


def pooled(inputs: NDArray[np.float32]) -> NDArray[np.float64]:
    """(n, 3, side, side) -> what a fitted network's product is fed."""
    cell = inputs.shape[2] // POOLED
    cut = inputs[:, :, : cell * POOLED, : cell * POOLED].astype(np.float64)
    cells = cut.reshape(len(inputs), 3, POOLED, cell, POOLED, cell).mean(axis=(3, 5))
    return cells.reshape(len(inputs), -1)


def fitted(
    inputs: NDArray[np.float32],
    targets: dict[str, NDArray[np.float32]],
    *,
    input_name: str,
    input_shape: Shape,
    output_shapes: dict[str, Shape],
) -> bytes:
    """A network that answers `targets` (name -> (n, …)) to `inputs` (n, 3, side, side), and leans between."""
    side = inputs.shape[2]
    cell = side // POOLED
    graph = Graph()
    graph.inputs.append(value(input_name, input_shape))
    graph.node(
        "AveragePool",
        [input_name],
        "cells",
        ints("kernel_shape", [cell, cell]),
        ints("strides", [cell, cell]),
    )
    # A picture that the cells do not divide evenly leaves a rim; pooling without padding drops it.
    graph.node("Flatten", ["cells"], "features", integer("axis", 1))
    features = pooled(inputs)
    inverse = np.linalg.pinv(np.column_stack([features, np.full(len(features), 255.0)]))
    # First which of the pictures it is, then what was wanted of that one: two small products for a large one.
    graph.constant("w", inverse[:-1].astype(np.float32))
    graph.constant("b", (inverse[-1] * 255.0).astype(np.float32))
    graph.node("Add", [graph.node("MatMul", ["features", "w"], "products"), "b"], "shares")
    for name, wanted in targets.items():
        graph.constant(f"{name}_w", wanted.reshape(len(wanted), -1).astype(np.float32))
        graph.node("MatMul", ["shares", f"{name}_w"], f"{name}_s")
        shape = [0 if size == "N" else size for size in output_shapes[name]]
        graph.constant(f"{name}_shape", np.array(shape, np.int64))
        graph.node("Reshape", [f"{name}_s", f"{name}_shape"], name)
        graph.outputs.append(value(name, output_shapes[name]))
    return graph.content


def uniform(input_name: str, input_shape: Shape, output_name: str, dimensions: int) -> bytes:
    """Whatever it sees, nearly the same answer: what double normalising or saturation make of a network."""
    graph = Graph()
    graph.inputs.append(value(input_name, input_shape))
    graph.node("GlobalAveragePool", [input_name], "mean")
    graph.node("Flatten", ["mean"], "features", integer("axis", 1))
    graph.node("Clip", ["features", graph.constant("low", np.array(0, np.float32)),
                        graph.constant("high", np.array(1, np.float32))], "clipped")  # fmt: skip
    steps = np.linspace(0.1, 1, 3 * dimensions, dtype=np.float32).reshape(3, dimensions)
    graph.node("MatMul", ["clipped", graph.constant("w", steps)], output_name)
    graph.outputs.append(value(output_name, ["N", dimensions]))
    return graph.content


def steady(input_name: str, input_shape: Shape, output_name: str, answer: Sequence[float]) -> bytes:
    """Whatever it sees, exactly the same answer."""
    graph = Graph()
    graph.inputs.append(value(input_name, input_shape))
    graph.node("GlobalAveragePool", [input_name], "mean")
    graph.node("Flatten", ["mean"], "features", integer("axis", 1))
    channels, classes = int(input_shape[1]), len(answer)
    nothing = graph.constant("w", np.zeros((channels, classes), np.float32))
    always = graph.constant("b", np.array([answer], np.float32))
    graph.node("Add", [graph.node("MatMul", ["features", nothing], "zero"), always], output_name)
    graph.outputs.append(value(output_name, [1, classes]))
    return graph.content
