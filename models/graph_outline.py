"""What an ONNX file is made of, read from its protobuf wire format, before any run-time opens it. Pure.

Needs no toolchain, so a kiosk can refuse a file that points at other files, or a graph too large to open.
Field numbers are those of onnx.proto3 (ONNX 1.17).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from models.errors import GraphError

MAX_NODES: Final = 20_000
"""Nodes in all subgraphs; the largest face network known to us has under 1,000."""

MAX_DEPTH: Final = 32
"""Subgraphs within subgraphs; only loops and conditions have any."""

VARINT: Final = 0
FIXED64: Final = 1
BYTES: Final = 2
FIXED32: Final = 5
FIXED_SIZES: Final = {FIXED64: 8, FIXED32: 4}

MODEL_GRAPH, MODEL_FUNCTIONS = 7, 25
GRAPH_NODE, GRAPH_INITIALIZER, GRAPH_SPARSE = 1, 5, 15
NODE_ATTRIBUTE, FUNCTION_NODE = 5, 7
ATTRIBUTE_TENSORS: Final = frozenset({5, 10})
ATTRIBUTE_GRAPHS: Final = frozenset({6, 11})
ATTRIBUTE_SPARSE: Final = frozenset({22, 23})
SPARSE_TENSORS: Final = frozenset({1, 2})
TENSOR_EXTERNAL, TENSOR_LOCATION = 13, 14


@dataclass(frozen=True, slots=True)
class GraphOutline:
    """Nodes in all subgraphs, and whether any tensor keeps its values in another file."""

    nodes: int
    external: bool


def require_usable_graph(content: bytes, file: str) -> GraphOutline:
    """The outline of an ONNX file; `GraphError` for other bytes, external weights or too many nodes."""
    try:
        outline = _outline(content)
    except ValueError as error:
        raise GraphError(file, f"it is no whole ONNX file ({error})") from error
    if outline.nodes == 0:
        raise GraphError(file, "it is no whole ONNX file (it has no node)")
    if outline.nodes > MAX_NODES:
        raise GraphError(file, f"it has {outline.nodes} nodes, at most {MAX_NODES} are opened")
    if outline.external:
        raise GraphError(file, "its weights are in another file (external data): save it as one file")
    return outline


def _outline(content: bytes) -> GraphOutline:
    nodes, external = 0, False
    pending = [
        (body, GRAPH_NODE if number == MODEL_GRAPH else FUNCTION_NODE, 0)
        for number, body in _messages(memoryview(content))
        if number in (MODEL_GRAPH, MODEL_FUNCTIONS)
    ]
    while pending and nodes <= MAX_NODES:
        graph, node_field, depth = pending.pop()
        if depth > MAX_DEPTH:
            raise ValueError("subgraphs are nested too deeply")
        for number, body in _messages(graph):
            if number == node_field:
                nodes += 1
                inner, lies_outside = _node(body)
                external |= lies_outside
                pending += [(subgraph, GRAPH_NODE, depth + 1) for subgraph in inner]
            elif node_field == GRAPH_NODE and number == GRAPH_INITIALIZER:
                external |= _is_external(body)
            elif node_field == GRAPH_NODE and number == GRAPH_SPARSE:
                external |= _sparse_is_external(body)
    return GraphOutline(nodes, external)


def _node(body: memoryview) -> tuple[list[memoryview], bool]:
    """A node's subgraphs, and whether a tensor in its attributes lies outside."""
    graphs: list[memoryview] = []
    external = False
    for number, attribute in _messages(body):
        if number != NODE_ATTRIBUTE:
            continue
        for field, value in _messages(attribute):
            if field in ATTRIBUTE_TENSORS:
                external |= _is_external(value)
            elif field in ATTRIBUTE_SPARSE:
                external |= _sparse_is_external(value)
            elif field in ATTRIBUTE_GRAPHS:
                graphs.append(value)
    return graphs, external


def _sparse_is_external(body: memoryview) -> bool:
    return any(_is_external(part) for number, part in _messages(body) if number in SPARSE_TENSORS)


def _is_external(tensor: memoryview) -> bool:
    return any(
        number == TENSOR_EXTERNAL or (number == TENSOR_LOCATION and value == 1)
        for number, value in _fields(tensor)
    )


def _messages(content: memoryview) -> Iterator[tuple[int, memoryview]]:
    """The length-delimited fields of a message."""
    for number, value in _fields(content):
        if isinstance(value, memoryview):
            yield number, value


def _fields(content: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    for number, value, _ in fields(content):
        yield number, value


def fields(content: memoryview) -> Iterator[tuple[int, int | memoryview, memoryview]]:
    """Every field of a message: its number, its integer or its bytes, and the field as it stands.

    ValueError where the wire format is broken.
    """
    position = 0
    while position < len(content):
        began = position
        key, position = _varint(content, position)
        number, wire = key >> 3, key & 7
        if number == 0:
            raise ValueError("a field has no number")
        if wire == VARINT:
            value, position = _varint(content, position)
            yield number, value, content[began:position]
            continue
        if wire == BYTES:
            size, position = _varint(content, position)
        elif wire in FIXED_SIZES:
            size = FIXED_SIZES[wire]
        else:
            raise ValueError(f"wire type {wire} is not one of protobuf's")
        if position + size > len(content):
            raise ValueError("a field reaches past the end")
        yield number, content[position : position + size], content[began : position + size]
        position += size


def _varint(content: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(content):
            raise ValueError("a number reaches past the end")
        byte = content[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ValueError("a number is longer than ten bytes")
