"""What is refused before a run-time opens it: other files' weights, other bytes, too many nodes."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import GraphError
from models.graph_outline import MAX_NODES, require_usable_graph
from models.registry import open_pack
from tests.doubles.onnx_standin import Graph, block, number, tensor, uniform, value

SMALL = uniform("image", ["N", 3, 32, 32], "out", 4)


def _graph(*, attribute: bytes = b"", initializer: bytes = b"", function: bytes = b"") -> bytes:
    node = block(1, "x") + block(2, "y") + block(4, "Identity") + attribute
    graph = block(1, node) + (block(5, initializer) if initializer else b"")
    return number(1, 8) + block(7, graph) + (block(25, function) if function else b"")


def test_the_networks_of_the_default_pack_are_whole_and_small() -> None:
    pack = open_pack()
    for file in pack.manifest.files:
        outline = require_usable_graph(pack.read(file.path), file.path)
        assert 50 < outline.nodes < 1000
        assert not outline.external


def test_weights_in_another_file_are_refused_wherever_they_are() -> None:
    outside = tensor("w", np.zeros(1, np.float32), external="../../secret")
    inner = block(1, block(4, "Identity")) + block(5, outside)
    for content in (
        _graph(initializer=outside),
        _graph(attribute=block(5, block(5, outside))),
        _graph(attribute=block(5, block(10, outside))),
        _graph(attribute=block(5, block(6, inner))),
        _graph(attribute=block(5, block(22, block(1, outside)))),
        _graph(function=block(7, block(4, "If") + block(5, block(11, inner)))),
    ):
        with pytest.raises(GraphError, match=r"mine\.onnx.*another file"):
            require_usable_graph(content, "mine.onnx")


def test_a_graph_with_more_nodes_than_any_face_network_is_refused() -> None:
    node = block(1, block(4, "Relu"))
    assert require_usable_graph(block(7, node * MAX_NODES), "f").nodes == MAX_NODES
    with pytest.raises(GraphError, match=str(MAX_NODES)):
        require_usable_graph(block(7, node * (MAX_NODES + 1)), "f")


def test_subgraphs_nested_without_end_are_refused() -> None:
    graph = block(1, block(4, "Relu"))
    for _ in range(40):
        graph = block(1, block(4, "If") + block(5, block(6, graph)))
    with pytest.raises(GraphError, match="nested"):
        require_usable_graph(block(7, graph), "f")


def test_an_empty_graph_is_no_network() -> None:
    graph = Graph()
    graph.inputs.append(value("image", [1]))
    for content in (b"", graph.content):
        with pytest.raises(GraphError, match="no node"):
            require_usable_graph(content, "f")


@pytest.mark.parametrize("end", [1, 5, len(SMALL) // 2, len(SMALL) - 1])
def test_a_truncated_network_is_refused_with_a_sentence(end: int) -> None:
    with pytest.raises(GraphError, match="no whole ONNX file"):
        require_usable_graph(SMALL[:end], "f")


@given(st.binary(max_size=200))
def test_any_bytes_are_outlined_or_refused_and_nothing_else(content: bytes) -> None:
    with contextlib.suppress(GraphError):
        assert require_usable_graph(content, "f").nodes > 0
