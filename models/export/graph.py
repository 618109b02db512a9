"""A small ONNX graph under construction: nodes with counted names, float16 storage, one fixed byte form."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, checker, helper, numpy_helper

OPSET: Final = 17
IR_VERSION: Final = 9
"""Both are read by every onnxruntime since 1.17."""

PRODUCER: Final = "stile"


class GraphBuilder:
    """Collects nodes and constants; every name is counted, so the same input gives the same bytes."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._count = 0

    def name(self, stem: str) -> str:
        """A new name in this graph."""
        self._count += 1
        return f"{stem}_{self._count}"

    def constant(self, stem: str, values: NDArray[Any]) -> str:
        """An initialiser, stored as it is."""
        name = self.name(stem)
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def weight(self, stem: str, values: NDArray[Any]) -> str:
        """A float32 value stored as float16 and cast at load: half the size, computed in float32.

        Small vectors and values that float16 cannot hold stay float32.
        """
        values = values.astype(np.float32)
        if values.size < HALF_MIN_SIZE or float(np.abs(values).max()) >= HALF_MAX:
            return self.constant(stem, values)
        half = self.constant(stem, values.astype(np.float16))
        return self.node("Cast", half, to=TensorProto.FLOAT)

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Adds a node with one output and returns that output's name."""
        output = self.name(operator.lower())
        self._nodes.append(helper.make_node(operator, list(inputs), [output], name=output, **attributes))
        return output

    def finish(
        self, name: str, inputs: dict[str, list[int | str]], outputs: dict[str, tuple[str, list[int | str]]]
    ) -> bytes:
        """The checked model as bytes. `outputs`: public name -> (inner name, shape)."""
        for public, (inner, _) in outputs.items():
            self._nodes.append(helper.make_node("Identity", [inner], [public], name=f"{public}_out"))
        graph = helper.make_graph(
            self._nodes,
            name,
            [helper.make_tensor_value_info(key, TensorProto.FLOAT, shape) for key, shape in inputs.items()],
            [
                helper.make_tensor_value_info(key, TensorProto.FLOAT, shape)
                for key, (_, shape) in outputs.items()
            ],
            self._constants,
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            producer_name=PRODUCER,
            ir_version=IR_VERSION,
        )
        checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString(deterministic=True))


HALF_MIN_SIZE: Final = 1024
"""Values in a tensor below which halving its size is not worth its precision."""

HALF_MAX: Final = 65504.0
"""Largest finite float16."""
