"""Static int8 of one network: QDQ, per channel, MinMax, activations QUInt8, weights QInt8.

Needs the export environment. The ranges come from the pictures that the user gives: none of ours ship.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

Floats = NDArray[np.float32]


class PreparedInputs(CalibrationDataReader):  # type: ignore[misc]
    """Hands over prepared inputs one by one, as the calibration asks for them."""

    def __init__(self, name: str, inputs: Sequence[Floats]) -> None:
        self._remaining: Iterator[Floats] = iter(inputs)
        self._name = name

    def get_next(self) -> dict[str, Floats] | None:
        """The next input by the network's own name, None when all were given."""
        following = next(self._remaining, None)
        return None if following is None else {self._name: following}


def quantise_network(content: bytes, name: str, inputs: Sequence[Floats], *, reduce_range: bool) -> bytes:
    """The int8 network's bytes. `name`: of its input; `inputs`: ready to be fed, batch first.

    `reduce_range`: 7-bit weights, whose products do not saturate on x86-64 without VNNI.
    """
    with tempfile.TemporaryDirectory(prefix="stile-quantise-") as scratch:
        original, prepared, written = (Path(scratch) / part for part in ("a.onnx", "b.onnx", "c.onnx"))
        original.write_bytes(content)
        # Without symbolic shapes, which need sympy: sizes are fixed but for the batch.
        quant_pre_process(str(original), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(written),
            PreparedInputs(name, inputs),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=reduce_range,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )
        return written.read_bytes()
