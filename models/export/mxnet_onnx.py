"""Converts an MXNet symbol and its parameters to ONNX: the few operators that face embedders of its day use.

Batch normalisation is folded into the convolution before it; after a product it is a multiplication and an
addition. Weights stay float32. Needs the export environment.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from onnx.checker import ValidationError
from onnx.shape_inference import InferenceError

from models.errors import GraphError
from models.export.graph import GraphBuilder
from models.export.mxnet_params import read_mxnet_params

Floats = NDArray[np.float32]
Attributes = dict[str, str]

INPUT: Final = "image"
OUTPUT: Final = "descriptors"
BATCH_NORM_EPSILON: Final = 1e-3
"""MXNet's own, where the symbol names none."""

SIDE: Final = 112
"""Side of the picture; the symbol does not name it."""


JOINED: Final = frozenset({("Convolution", "BatchNorm"), ("_maximum_scalar", "_minimum_scalar")})
"""A node and the only one that reads it, which become one."""


def convert_mxnet(parameters: bytes, symbol: bytes) -> bytes:
    """An ONNX file (N, 3, 112, 112) -> (N, dimensions); raises `GraphError` for what it does not know."""
    try:
        nodes = json.loads(symbol)
        converter = _Converter(nodes["nodes"], read_mxnet_params(parameters))
        return converter.convert(int(nodes["heads"][0][0]))
    except (
        *(KeyError, IndexError, TypeError, AttributeError, ValueError, RecursionError),
        *(ValidationError, InferenceError),
    ) as error:
        raise GraphError("the MXNet symbol", f"it cannot be converted ({error!r})") from error


class _Converter:
    """Walks the nodes once, in order; MXNet lists every node after its inputs."""

    def __init__(self, nodes: list[dict[str, Any]], parameters: dict[str, Floats]) -> None:
        self._nodes, self._parameters = nodes, parameters
        self._builder = GraphBuilder()
        self._names: dict[int, str] = {}
        """Node to the name of its value in the graph; parameters have none."""
        self._folded: dict[int, tuple[Floats, Floats]] = {}
        """A convolution whose scale and shift are those of the normalisation that alone follows it."""
        self._rows: dict[str, Callable[[int, Attributes, list[int]], str]] = {
            "_minus_scalar": self._scalar("Sub"),
            "_mul_scalar": self._scalar("Mul"),
            "_maximum_scalar": self._scalar("Max"),
            "_minimum_scalar": self._scalar("Min"),
            "elemwise_add": lambda _, __, inputs: self._builder.node("Add", *self._named(inputs)),
            "Flatten": lambda _, __, inputs: self._builder.node("Flatten", *self._named(inputs)),
            "Convolution": self._convolution,
            "FullyConnected": self._fully_connected,
            "BatchNorm": self._batch_norm,
        }

    def convert(self, head: int) -> bytes:
        """The finished file; `head` is the node whose value is the answer."""
        readers: dict[int, list[int]] = {}
        for index, node in enumerate(self._nodes):
            for source in self._inputs(node):
                readers.setdefault(source, []).append(index)
        for index, node in enumerate(self._nodes[: head + 1]):
            operator, inputs = node["op"], self._inputs(node)
            attributes = _attributes(node)
            if operator == "null":
                if node["name"] not in self._parameters:
                    if INPUT in self._names.values():
                        raise ValueError(f"parameter {node['name']} is not in the file")
                    self._names[index] = INPUT
                continue
            if operator not in self._rows:
                raise ValueError(f"operator {operator} is not one this converter knows")
            if index in self._names:
                continue
            following = readers.get(index, [])
            pair = (operator, self._nodes[following[0]]["op"] if len(following) == 1 else "")
            if pair == ("Convolution", "BatchNorm"):
                self._folded[index] = self._scale_and_shift(self._nodes[following[0]])
            row = self._clip if pair == ("_maximum_scalar", "_minimum_scalar") else self._rows[operator]
            self._names[index] = row(index, attributes, inputs)
            if pair in JOINED:
                self._names[following[0]] = self._names[index]
        dimensions = int(self._width(head))
        return self._builder.finish(
            "mxnet_embedder",
            {INPUT: ["N", 3, SIDE, SIDE]},
            {OUTPUT: (self._names[head], ["N", dimensions])},
        )

    def _width(self, head: int) -> int:
        """Length of the answer: that of the normalisation or the product which ends the network."""
        node = self._nodes[head]
        last = self._inputs(node)[1]
        return len(self._parameters[self._nodes[last]["name"]])

    def _inputs(self, node: dict[str, Any]) -> list[int]:
        return [int(source[0]) for source in node["inputs"]]

    def _named(self, inputs: list[int]) -> list[str]:
        return [self._names[index] for index in inputs]

    def _parameter(self, index: int) -> Floats:
        return self._parameters[self._nodes[index]["name"]]

    def _scalar(self, operator: str) -> Callable[[int, Attributes, list[int]], str]:
        def convert(_: int, attributes: Attributes, inputs: list[int]) -> str:
            value = self._builder.constant("scalar", np.array(float(attributes["scalar"]), np.float32))
            return self._builder.node(operator, self._names[inputs[0]], value)

        return convert

    def _clip(self, index: int, attributes: Attributes, inputs: list[int]) -> str:
        """Both bounds at once: run-times join it to the convolution before it."""
        (upper,) = (node for node in self._nodes if self._inputs(node) == [index])
        bounds = [
            self._builder.constant("bound", np.array(float(each["scalar"]), np.float32))
            for each in (attributes, _attributes(upper))
        ]
        return self._builder.node("Clip", self._names[inputs[0]], *bounds)

    def _convolution(self, index: int, attributes: Attributes, inputs: list[int]) -> str:
        if _pair(attributes, "dilate", 1) != [1, 1]:
            raise ValueError("dilated convolutions are not known to this converter")
        weights = self._parameter(inputs[1]).astype(np.float64)
        biases = np.zeros(len(weights)) if len(inputs) < 3 else self._parameter(inputs[2]).astype(np.float64)
        if index in self._folded:
            scale, shift = (each.astype(np.float64) for each in self._folded[index])
            weights, biases = weights * scale[:, None, None, None], biases * scale + shift
        return self._builder.node(
            "Conv",
            self._names[inputs[0]],
            self._builder.constant("weights", weights.astype(np.float32)),
            self._builder.constant("biases", biases.astype(np.float32)),
            kernel_shape=_pair(attributes, "kernel", 1),
            strides=_pair(attributes, "stride", 1),
            pads=_pair(attributes, "pad", 0) * 2,
            group=int(attributes.get("num_group", "1")),
        )

    def _fully_connected(self, _: int, __: Attributes, inputs: list[int]) -> str:
        weights = self._builder.constant("weights", self._parameter(inputs[1]))
        biases = [self._builder.constant("biases", self._parameter(each)) for each in inputs[2:]]
        return self._builder.node("Gemm", self._names[inputs[0]], weights, *biases, transB=1)

    def _batch_norm(self, index: int, _: Attributes, inputs: list[int]) -> str:
        if self._nodes[inputs[0]]["op"] != "FullyConnected":
            raise ValueError("normalisation is only known after a convolution or a product")
        scale, shift = self._scale_and_shift(self._nodes[index])
        scaled = self._builder.node("Mul", self._names[inputs[0]], self._builder.constant("scale", scale))
        return self._builder.node("Add", scaled, self._builder.constant("shift", shift))

    def _scale_and_shift(self, node: dict[str, Any]) -> tuple[Floats, Floats]:
        """Normalisation, gamma * (x - mean) / sqrt(variance + epsilon) + beta as x * scale + shift."""
        attributes, inputs = _attributes(node), self._inputs(node)
        gamma, beta, mean, variance = (self._parameter(each).astype(np.float64) for each in inputs[1:5])
        if attributes.get("fix_gamma", "True") in ("True", "1"):
            gamma = np.ones_like(gamma)
        scale = gamma / np.sqrt(variance + float(attributes.get("eps", BATCH_NORM_EPSILON)))
        return scale.astype(np.float32), (beta - mean * scale).astype(np.float32)


def _attributes(node: dict[str, Any]) -> Attributes:
    """MXNet has called them by three names."""
    found: Attributes = node.get("attrs", node.get("attr", node.get("param", {})))
    return found


def _pair(attributes: Attributes, key: str, otherwise: int) -> list[int]:
    """An attribute such as "(3, 3)"."""
    found = ast.literal_eval(attributes.get(key, f"({otherwise}, {otherwise})"))
    if not isinstance(found, tuple) or len(found) != 2:
        raise ValueError(f"{key} is {found!r}, two numbers are needed")
    return [int(each) for each in found]
