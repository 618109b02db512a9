"""Turns a MediaPipe TFLite network into ONNX: NCHW inside, outputs in the order and layout of the original.

Only the operators these networks use are known; another one is refused by name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import tflite
from numpy.typing import NDArray

from models.export.graph import GraphBuilder

TO_NCHW: Final = [0, 3, 1, 2]
TO_NHWC: Final = [0, 2, 3, 1]

DTYPES: Final = {
    tflite.TensorType.FLOAT32: "<f4",
    tflite.TensorType.FLOAT16: "<f2",
    tflite.TensorType.INT32: "<i4",
}

OPERATOR_NAMES: Final = {
    code: name for name, code in vars(tflite.BuiltinOperator).items() if isinstance(code, int)
}


class TfliteError(ValueError):
    """The flatbuffer holds something this converter does not know; the message names it."""


def convert_tflite(content: bytes, name: str, outputs: dict[str, str]) -> bytes:
    """A .tflite file's bytes -> ONNX bytes. `outputs`: original output name -> its public name."""
    return _Converter(content).convert(name, outputs)


class _Converter:
    """One conversion: tensors by index, their ONNX names, and whether those are NCHW."""

    def __init__(self, content: bytes) -> None:
        self._model = tflite.Model.GetRootAs(content, 0)
        if self._model.SubgraphsLength() != 1:
            raise TfliteError(f"{self._model.SubgraphsLength()} subgraphs; one was expected")
        self._graph = self._model.Subgraphs(0)
        self._builder = GraphBuilder()
        self._names: dict[int, str] = {}
        self._constants: dict[int, NDArray[Any]] = {}
        self._operators: dict[str, Callable[[Any, list[int]], str]] = {
            "CONV_2D": self._conv,
            "DEPTHWISE_CONV_2D": self._depthwise,
            "RELU": lambda _, inputs: self._builder.node("Relu", self._names[inputs[0]]),
            "PRELU": self._prelu,
            "ADD": self._add,
            "MAX_POOL_2D": self._max_pool,
            "PAD": self._pad,
            "RESHAPE": self._reshape,
            "CONCATENATION": self._concatenate,
        }

    def convert(self, name: str, outputs: dict[str, str]) -> bytes:
        """Walks the operators in their stored order, which is a topological one."""
        (source,) = (int(index) for index in self._graph.InputsAsNumpy())
        rows = self._shape(source)
        self._names[source] = "image"
        for position in range(self._graph.OperatorsLength()):
            self._convert_operator(self._graph.Operators(position))
        finished: dict[str, tuple[str, list[int | str]]] = {}
        for index in (int(each) for each in self._graph.OutputsAsNumpy()):
            shape = self._shape(index)
            inner = self._names[index]
            if len(shape) == 4:
                inner = self._builder.node("Transpose", inner, perm=TO_NHWC)
            finished[outputs[self._graph.Tensors(index).Name().decode()]] = (inner, list(shape))
        image: list[int | str] = [rows[position] for position in TO_NCHW]
        return self._builder.finish(name, {"image": image}, finished)

    def _convert_operator(self, operator: Any) -> None:
        code = self._model.OperatorCodes(operator.OpcodeIndex())
        kind = OPERATOR_NAMES[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
        inputs = [int(index) for index in operator.InputsAsNumpy()]
        (output,) = (int(index) for index in operator.OutputsAsNumpy())
        if kind == "DEQUANTIZE":  # float16 constants, widened
            self._constants[output] = self._constant(inputs[0]).astype(np.float32)
            return
        if kind not in self._operators:
            raise TfliteError(f"operator {kind} is not one this converter knows")
        self._names[output] = self._operators[kind](operator, inputs)

    def _shape(self, index: int) -> list[int]:
        return [int(size) for size in self._graph.Tensors(index).ShapeAsNumpy()]

    def _constant(self, index: int) -> NDArray[Any]:
        if index not in self._constants:
            tensor = self._graph.Tensors(index)
            stored = self._model.Buffers(tensor.Buffer()).DataAsNumpy()
            if isinstance(stored, int):
                raise TfliteError(f"tensor {tensor.Name().decode()} is not a constant")
            values = np.frombuffer(stored.tobytes(), dtype=DTYPES[tensor.Type()])
            self._constants[index] = values.reshape(self._shape(index))
        return self._constants[index]

    def _is_constant(self, index: int) -> bool:
        return index not in self._names

    def _activated(self, name: str, activation: int) -> str:
        if activation == tflite.ActivationFunctionType.NONE:
            return name
        if activation == tflite.ActivationFunctionType.RELU:
            return self._builder.node("Relu", name)
        raise TfliteError(f"fused activation {activation} is not one this converter knows")

    def _windows(self, source: int, options: Any, rows: int, columns: int) -> dict[str, list[int]]:
        """ONNX attributes of a sliding window; SAME padding puts the odd pixel at the end."""
        strides = [options.StrideH(), options.StrideW()]
        begin, end = [0, 0], [0, 0]
        if options.Padding() == tflite.Padding.SAME:
            for axis, (size, kernel, stride) in enumerate(
                zip(self._shape(source)[1:3], (rows, columns), strides, strict=True)
            ):
                total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
                begin[axis], end[axis] = total // 2, total - total // 2
        return {"kernel_shape": [rows, columns], "strides": strides, "pads": begin + end}

    def _convolution(self, inputs: list[int], weights: NDArray[Any], options: Any, groups: int) -> str:
        if (options.DilationHFactor(), options.DilationWFactor()) != (1, 1):
            raise TfliteError("dilated convolutions are not known to this converter")
        windows = self._windows(inputs[0], options, *weights.shape[2:])
        name = self._builder.node(
            "Conv",
            self._names[inputs[0]],
            self._builder.weight("weights", weights),
            self._builder.weight("biases", self._constant(inputs[2])),
            group=groups,
            **windows,
        )
        return self._activated(name, options.FusedActivationFunction())

    def _conv(self, operator: Any, inputs: list[int]) -> str:
        options = _options(operator, tflite.Conv2DOptions())
        return self._convolution(inputs, self._constant(inputs[1]).transpose(0, 3, 1, 2), options, 1)

    def _depthwise(self, operator: Any, inputs: list[int]) -> str:
        options = _options(operator, tflite.DepthwiseConv2DOptions())
        weights = self._constant(inputs[1]).transpose(3, 0, 1, 2)
        return self._convolution(inputs, weights, options, self._shape(inputs[0])[3])

    def _prelu(self, _: Any, inputs: list[int]) -> str:
        slope = self._constant(inputs[1]).reshape(-1, 1, 1)
        return self._builder.node("PRelu", self._names[inputs[0]], self._builder.weight("slope", slope))

    def _add(self, operator: Any, inputs: list[int]) -> str:
        if any(self._is_constant(index) for index in inputs):
            raise TfliteError("adding a constant is not known to this converter")
        name = self._builder.node("Add", *(self._names[index] for index in inputs))
        return self._activated(name, _options(operator, tflite.AddOptions()).FusedActivationFunction())

    def _max_pool(self, operator: Any, inputs: list[int]) -> str:
        options = _options(operator, tflite.Pool2DOptions())
        windows = self._windows(inputs[0], options, options.FilterHeight(), options.FilterWidth())
        name = self._builder.node("MaxPool", self._names[inputs[0]], **windows)
        return self._activated(name, options.FusedActivationFunction())

    def _pad(self, _: Any, inputs: list[int]) -> str:
        margins = self._constant(inputs[1])[TO_NCHW]
        pads = self._builder.constant("pads", np.concatenate([margins[:, 0], margins[:, 1]]).astype(np.int64))
        return self._builder.node("Pad", self._names[inputs[0]], pads)

    def _reshape(self, operator: Any, inputs: list[int]) -> str:
        (output,) = (int(index) for index in operator.OutputsAsNumpy())
        if len(self._shape(inputs[0])) != 4 or len(self._shape(output)) == 4:
            raise TfliteError("only a picture can be reshaped, and only to fewer axes")
        rows_first = self._builder.node("Transpose", self._names[inputs[0]], perm=TO_NHWC)
        shape = self._builder.constant("shape", np.array(self._shape(output), dtype=np.int64))
        return self._builder.node("Reshape", rows_first, shape)

    def _concatenate(self, operator: Any, inputs: list[int]) -> str:
        if any(len(self._shape(index)) == 4 for index in inputs):
            raise TfliteError("joining pictures is not known to this converter")
        axis = _options(operator, tflite.ConcatenationOptions()).Axis()
        return self._builder.node("Concat", *(self._names[index] for index in inputs), axis=axis)


def _options(operator: Any, table: Any) -> Any:
    """The operator's options, read through the flatbuffer table of their kind."""
    union = operator.BuiltinOptions()
    table.Init(union.Bytes, union.Pos)
    return table
