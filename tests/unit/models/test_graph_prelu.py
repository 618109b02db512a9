"""PRelu spelt out: the same numbers to the last bit, and no other file touched."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.graph_outline import require_usable_graph
from models.graph_prelu import without_prelu
from models.registry import open_pack
from tests.doubles.onnx_standin import Graph, block, number, uniform, value

SEED = 11


def answers(content: bytes, fed: np.ndarray) -> list[np.ndarray]:
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    found: list[np.ndarray] = session.run(None, {session.get_inputs()[0].name: fed})
    return found


def prelu(version: int = 17, domain: str = "") -> bytes:
    graph = Graph()
    graph.inputs.append(value("image", [1, 3, 4, 4]))
    slope = graph.constant("slope", np.array([0.25, -0.5, 1.75], np.float32).reshape(3, 1, 1))
    graph.node("PRelu", ["image", slope], "out", *([block(7, domain)] if domain else []))
    graph.outputs.append(value("out", [1, 3, 4, 4]))
    return graph.content.replace(block(8, number(2, 17)), block(8, number(2, version)))


def test_the_face_mesh_of_the_default_pack_computes_the_same_to_the_last_bit() -> None:
    pack = open_pack()
    content = pack.read("face_mesh.onnx")
    spelt = without_prelu(content)
    assert b"PRelu" in content
    assert b"PRelu" not in spelt
    for fed in np.random.default_rng(SEED).random((4, 1, 3, 192, 192), np.float32):
        for before, after in zip(answers(content, fed), answers(spelt, fed), strict=True):
            np.testing.assert_array_equal(after, before)


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=48, max_size=48))
def test_every_finite_value_comes_out_as_it_would_have(values: list[float]) -> None:
    fed = np.array(values, np.float32).reshape(1, 3, 4, 4)
    content = prelu()
    np.testing.assert_array_equal(answers(without_prelu(content), fed)[0], answers(content, fed)[0])


def test_each_prelu_becomes_four_nodes() -> None:
    content = open_pack().read("face_mesh.onnx")
    before, after = (require_usable_graph(file, "f").nodes for file in (content, without_prelu(content)))
    assert after == before + 3 * 23


@pytest.mark.parametrize(
    "content",
    [
        uniform("image", ["N", 3, 32, 32], "out", 4),
        prelu(version=6),
        prelu(domain="org.example"),
        b"not a network, though it says PRelu",
        prelu()[:-3],
        b"",
    ],
)
def test_what_has_no_prelu_of_onnx_stays_as_it_was(content: bytes) -> None:
    assert without_prelu(content) == content
