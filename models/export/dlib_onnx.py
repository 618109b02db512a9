"""Builds the dlib face descriptor network as ONNX: 0..255 RGB chips (N, 3, 150, 150) -> (N, 128).

The affines are folded into the convolutions before them, and (x - average) / 256 into the first one, which
does not pad. The descriptor is not normalised; dlib's own is not either.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from models.export.dlib_dat import PLAIN_BLOCKS, Affine, Con, DlibResNet
from models.export.graph import GraphBuilder

PIXEL_SCALE: Final = 256.0
"""dlib divides by 256, not 255 (`input_rgb_image_sized`)."""


def build_dlib_resnet(net: DlibResNet) -> bytes:
    """The network's numbers -> an ONNX file with a free batch size, weights stored as float16."""
    builder = GraphBuilder()
    layers = iter([(_folded(con, affine)) for con, affine in zip(net.cons, net.affines, strict=True)])
    first = next(layers)
    stem = _conv(builder, "chips", _without_average(first, net.average_rgb))
    side = _after(net.side, first)
    here = builder.node("MaxPool", builder.node("Relu", stem), kernel_shape=[3, 3], strides=[2, 2])
    side, channels = (side - 3) // 2 + 1, first.weights.shape[0]
    # PLAIN_BLOCKS counts from the output; here the network is walked from the input.
    for plain in reversed(PLAIN_BLOCKS):
        for _ in range(plain):
            here, side, channels = _block(builder, here, layers, side, channels, halves=False)
        here, side, channels = _block(builder, here, layers, side, channels, halves=True)
    pooled = builder.node("Flatten", builder.node("GlobalAveragePool", here))
    descriptor = builder.node("MatMul", pooled, builder.weight("projection", net.projection))
    size = net.projection.shape[1]
    return builder.finish(
        "dlib_face_descriptor",
        {"chips": ["N", 3, net.side, net.side]},
        {"descriptors": (descriptor, ["N", size])},
    )


def _folded(con: Con, affine: Affine) -> Con:
    """One convolution for gamma * (W * x + b) + beta."""
    gamma = affine.gamma.astype(np.float64)
    weights = con.weights.astype(np.float64) * gamma[:, None, None, None]
    biases = con.biases.astype(np.float64) * gamma + affine.beta
    return Con(weights.astype(np.float32), biases.astype(np.float32), con.stride, con.padding)


def _without_average(con: Con, average_rgb: tuple[float, float, float]) -> Con:
    """The convolution that takes 0..255 where `con` took (x - average) / 256; exact, as it does not pad."""
    if con.padding:
        raise ValueError("the first convolution pads: its input scaling cannot be folded")
    weights = con.weights.astype(np.float64) / PIXEL_SCALE
    shift = (weights * np.array(average_rgb)[None, :, None, None]).sum(axis=(1, 2, 3))
    return Con(weights.astype(np.float32), (con.biases - shift).astype(np.float32), con.stride, con.padding)


def _after(side: int, con: Con) -> int:
    return (side + 2 * con.padding - int(con.weights.shape[2])) // con.stride + 1


def _conv(builder: GraphBuilder, source: str, con: Con) -> str:
    return builder.node(
        "Conv",
        source,
        builder.weight("weights", con.weights),
        builder.weight("biases", con.biases),
        kernel_shape=list(con.weights.shape[2:]),
        strides=[con.stride, con.stride],
        pads=[con.padding] * 4,
    )


def _block(
    builder: GraphBuilder, source: str, layers: Iterator[Con], side: int, channels: int, *, halves: bool
) -> tuple[str, int, int]:
    """One residual block; the skip is the source itself, or its 2x2 mean where the block halves."""
    first, second = next(layers), next(layers)
    inner = builder.node("Relu", _conv(builder, source, first))
    inner = _conv(builder, inner, second)
    inner_side, inner_channels = _after(_after(side, first), second), int(second.weights.shape[0])
    skip, skip_side = source, side
    if halves:
        skip = builder.node("AveragePool", source, kernel_shape=[2, 2], strides=[2, 2])
        skip_side = (side - 2) // 2 + 1
    # The trap: dlib's add_prev pads the smaller operand with zeros at the end of each axis.
    out_side, out_channels = max(inner_side, skip_side), max(inner_channels, channels)
    inner = _padded(builder, inner, out_channels - inner_channels, out_side - inner_side)
    skip = _padded(builder, skip, out_channels - channels, out_side - skip_side)
    return builder.node("Relu", builder.node("Add", inner, skip)), out_side, out_channels


def _padded(builder: GraphBuilder, source: str, channels: int, side: int) -> str:
    if channels == 0 and side == 0:
        return source
    pads = builder.constant("pads", np.array([0, 0, 0, 0, 0, channels, side, side], dtype=np.int64))
    return builder.node("Pad", source, pads)
