"""The pack's networks on onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnxruntime as ort

from edge.capture.embedding import ANY_SIZE
from edge.capture.sample import Tensor
from models.errors import TensorError
from models.graph_prelu import without_prelu
from models.manifest import ModelFile
from models.manifest import Tensor as Declared
from models.registry import Pack

WARM_BATCH = 2
"""Where any size fits: the largest batch of a pass, a chip and its mirror image."""
DTYPES = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(uint8)": "uint8"}


class OnnxNetwork:
    """One ONNX file as an `Inference`: loaded, checked against the manifest, warm."""

    def __init__(self, pack: Pack, file: ModelFile, threads: int) -> None:
        """Raises `TensorError` naming the file when it is not the network its manifest describes."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Idle threads of one network otherwise spin on the cores that the next network needs.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        content = without_prelu(pack.read(file.path))
        declared = _describe(file.inputs) + " -> " + _describe(file.outputs)
        try:
            self._session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            reason = f"that onnxruntime cannot load ({str(error)[:120]})"
            raise TensorError(pack.manifest.name, file.path, declared, reason) from error
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        found = [(node.name, DTYPES.get(node.type, node.type)) for node in (*inputs, *outputs)]
        wanted = [(tensor.name, tensor.dtype) for tensor in (*file.inputs, *file.outputs)]
        if len(inputs) != 1 or {*found[1:]} != {*wanted[1:]} or found[0] != wanted[0]:
            raise TensorError(
                pack.manifest.name, file.path, declared, ", ".join(f"{n} {kind}" for n, kind in found)
            )
        self._input = file.inputs[0]
        self._output_names = [tensor.name for tensor in file.outputs]
        # The first inference allocates its arena and picks its kernels, several times slower than the rest;
        # the first member of the day should not be the one who waits for it.
        warm = [WARM_BATCH if size == ANY_SIZE else size for size in self._input.shape]
        self.infer(np.zeros(warm, np.float32))

    def infer(self, tensor: Tensor) -> tuple[Tensor, ...]:
        """Outputs as float32, in the order in which the manifest lists them."""
        fed = tensor if self._input.dtype == "float32" else tensor.astype(self._input.dtype)
        outputs = self._session.run(self._output_names, {self._input.name: fed})
        return tuple(np.asarray(output, np.float32) for output in outputs)


def load_networks(pack: Pack, paths: frozenset[str], threads: int) -> Mapping[str, OnnxNetwork]:
    """The named files of the pack, each loaded once; raises a `ModelsError` naming the file."""
    return {path: OnnxNetwork(pack, pack.manifest.file(path), threads) for path in sorted(paths)}


def _describe(tensors: tuple[Declared, ...]) -> str:
    return ", ".join(f"{tensor.name} {tensor.dtype}" for tensor in tensors)
