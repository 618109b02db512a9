"""MXNet's files as ONNX: the same numbers as the operators' definitions give, and no half-read file."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("onnx", reason="needs the export environment")

from models.errors import GraphError
from models.export.mxnet_onnx import convert_mxnet
from models.export.mxnet_params import read_mxnet_params
from scripts.packs.networks import SessionNetwork, probe_tensors

pytestmark = pytest.mark.export

Floats = NDArray[np.float32]
SEED = 20261123
CHANNELS, DIMENSIONS = 8, 16


def params(arrays: Mapping[str, Floats]) -> bytes:
    """As `mx.nd.save` writes them."""
    content = struct.pack("<QQQ", 0x112, 0, len(arrays))
    for values in arrays.values():
        content += struct.pack("<IiI", 0xF993FAC9, 0, values.ndim)
        content += struct.pack(f"<{values.ndim}q", *values.shape) + struct.pack("<iii", 1, 0, 0)
        content += values.astype("<f4").tobytes()
    content += struct.pack("<Q", len(arrays))
    for name in arrays:
        tagged = ("aux:" if "moving" in name else "arg:") + name
        content += struct.pack("<Q", len(tagged)) + tagged.encode()
    return content


class Symbol:
    """A symbol as MXNet's `save` writes it: parameters are nodes as well."""

    def __init__(self) -> None:
        self.nodes: list[dict[str, Any]] = []
        self.arrays: dict[str, Floats] = {}
        self._random = np.random.default_rng(SEED)

    def add(self, operator: str, name: str, inputs: list[int], **attributes: str) -> int:
        node: dict[str, Any] = {"op": operator, "name": name, "inputs": [[each, 0, 0] for each in inputs]}
        if attributes:
            node["attrs"] = attributes
        self.nodes.append(node)
        return len(self.nodes) - 1

    def parameter(self, name: str, *shape: int, positive: bool = False) -> int:
        values = self._random.standard_normal(shape) / max(1, int(np.prod(shape[1:]))) ** 0.5
        self.arrays[name] = (np.abs(values) + 0.5 if positive else values).astype(np.float32)
        return self.add("null", name, [])

    def conv(self, name: str, source: int, channels: int, groups: int, *, bias: bool) -> int:
        kernel, pad = (3, 1) if groups > 1 or bias else (1, 0)
        inputs = [source, self.parameter(f"{name}_weight", CHANNELS, channels // groups, kernel, kernel)]
        if bias:
            inputs.append(self.parameter(f"{name}_bias", CHANNELS))
        stride = 4 if kernel == 3 else 1
        return self.add(
            "Convolution", name, inputs, kernel=f"({kernel}, {kernel})", num_filter=str(CHANNELS),
            num_group=str(groups), pad=f"({pad}, {pad})", stride=f"({stride}, {stride})",
        )  # fmt: skip

    def norm(self, name: str, source: int, size: int) -> int:
        inputs = [
            self.parameter(f"{name}_gamma", size),
            self.parameter(f"{name}_beta", size),
            self.parameter(f"{name}_moving_mean", size),
            self.parameter(f"{name}_moving_var", size, positive=True),
        ]
        return self.add("BatchNorm", name, [source, *inputs], fix_gamma="False", use_global_stats="False")

    def clip(self, name: str, source: int) -> int:
        above = self.add("_maximum_scalar", f"{name}_max", [source], scalar="0")
        return self.add("_minimum_scalar", f"{name}_min", [above], scalar="6")

    @property
    def content(self) -> bytes:
        return json.dumps({"nodes": self.nodes, "heads": [[len(self.nodes) - 1, 0, 0]]}).encode()


def small_mobileface() -> Symbol:
    """Every operator of MobileFace V2, a few channels wide."""
    symbol = Symbol()
    image = symbol.add("null", "data", [])
    centred = symbol.add("_minus_scalar", "minus", [image], scalar="127.5")
    scaled = symbol.add("_mul_scalar", "mul", [centred], scalar="0.0078125")
    first = symbol.clip("a", symbol.norm("bn1", symbol.conv("conv1", scaled, 3, 1, bias=True), CHANNELS))
    depth = symbol.conv("dw", first, CHANNELS, CHANNELS, bias=False)
    second = symbol.clip("b", symbol.norm("bn2", depth, CHANNELS))
    third = symbol.norm("bn3", symbol.conv("pw", second, CHANNELS, 1, bias=False), CHANNELS)
    total = symbol.add("elemwise_add", "plus", [second, third])
    flat = symbol.add("Flatten", "flatten", [total])
    weight = symbol.parameter("fc_weight", DIMENSIONS, CHANNELS * 7 * 7)
    product = symbol.add("FullyConnected", "fc", [flat, weight], no_bias="True", num_hidden=str(DIMENSIONS))
    symbol.norm("fc_bn", product, DIMENSIONS)
    return symbol


def by_definition(symbol: Symbol, image: Floats) -> NDArray[np.float64]:
    """What MXNet's documentation says these operators compute, in float64, one node after the other."""
    values: list[NDArray[np.float64]] = []
    for node in symbol.nodes:
        inputs = [values[source[0]] for source in node["inputs"]]
        attributes = node.get("attrs", {})
        match node["op"]:
            case "null":
                known = symbol.arrays.get(node["name"])
                values.append((image if known is None else known).astype(np.float64))
            case "_minus_scalar":
                values.append(inputs[0] - float(attributes["scalar"]))
            case "_mul_scalar":
                values.append(inputs[0] * float(attributes["scalar"]))
            case "_maximum_scalar":
                values.append(np.maximum(inputs[0], float(attributes["scalar"])))
            case "_minimum_scalar":
                values.append(np.minimum(inputs[0], float(attributes["scalar"])))
            case "elemwise_add":
                values.append(inputs[0] + inputs[1])
            case "Flatten":
                values.append(inputs[0].reshape(len(inputs[0]), -1))
            case "FullyConnected":
                values.append(inputs[0] @ inputs[1].T)
            case "BatchNorm":
                x, *rest = inputs
                spread = (1, -1) if x.ndim == 2 else (1, -1, 1, 1)
                gamma, beta, mean, variance = (each.reshape(spread) for each in rest)
                values.append(gamma * (x - mean) / np.sqrt(variance + 1e-3) + beta)
            case "Convolution":
                values.append(_convolved(inputs, attributes))
    return values[-1]


def _convolved(inputs: list[NDArray[np.float64]], attributes: Mapping[str, str]) -> NDArray[np.float64]:
    x, weights = inputs[:2]
    groups, pad, stride = (
        int(attributes["num_group"]),
        int(attributes["pad"][1]),
        int(attributes["stride"][1]),
    )
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    kernel = weights.shape[2]
    windows = np.lib.stride_tricks.sliding_window_view(padded, (kernel, kernel), axis=(2, 3))
    windows = windows[:, :, ::stride, ::stride]
    parts = [
        np.einsum("nchwkl,ockl->nohw", part, kernels)
        for part, kernels in zip(np.split(windows, groups, 1), np.split(weights, groups, 0), strict=True)
    ]
    found = np.concatenate(parts, axis=1)
    return found if len(inputs) < 3 else found + inputs[2].reshape(1, -1, 1, 1)


def test_a_converted_network_answers_as_the_operators_are_defined() -> None:
    symbol = small_mobileface()
    content = convert_mxnet(params(symbol.arrays), symbol.content)
    image = np.random.default_rng(SEED).uniform(0, 255, (2, 3, 112, 112)).astype(np.float32)
    expected = by_definition(symbol, image)
    found = SessionNetwork(content).run({"image": image})["descriptors"]
    assert found.shape == (2, DIMENSIONS)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * float(np.abs(expected).max()))


def test_converting_twice_gives_the_same_bytes_in_the_shape_that_the_recipe_declares() -> None:
    symbol = small_mobileface()
    first = convert_mxnet(params(symbol.arrays), symbol.content)
    assert first == convert_mxnet(params(symbol.arrays), symbol.content)
    inputs, outputs = probe_tensors(first, "converted", (-1, 3, 112, 112))
    assert (inputs[0].shape, outputs[0].shape) == ((-1, 3, 112, 112), (-1, DIMENSIONS))


def test_parameters_that_are_cut_short_or_run_on_are_refused() -> None:
    content = params(small_mobileface().arrays)
    assert len(read_mxnet_params(content)) == len(small_mobileface().arrays)
    for broken in (b"", content[:23], content[:100], content[:-1], content + b"\0", b"\0" * 100):
        with pytest.raises(GraphError, match="not whole"):
            read_mxnet_params(broken)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"Flatten"', '"Reshape"'),
        ('"kernel": "(3, 3)"', '"kernel": "(3, 3, 3)"'),
        ('"kernel": "(3, 3)"', '"kernel": "__import__"'),
        ('"conv1_weight"', '"conv9_weight"'),
        ('"heads": [[', '"heads": [[9'),
        ('"nodes"', '"knots"'),
    ],
)
def test_a_symbol_that_is_not_understood_is_refused_with_a_sentence(before: str, after: str) -> None:
    symbol = small_mobileface()
    text = symbol.content.decode()
    assert before in text
    with pytest.raises(GraphError, match="cannot be converted"):
        convert_mxnet(params(symbol.arrays), text.replace(before, after, 1).encode())


def test_a_symbol_that_is_no_json_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match="cannot be converted"):
        convert_mxnet(params({}), b"\xff{")
