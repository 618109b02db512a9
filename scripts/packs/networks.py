"""A pack's networks on onnxruntime, for commands that verify and build packs.

The first look at a stranger's file is in a child process with bounds: a graph may ask for more memory than
there is, or end the process that opens it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.errors import GraphError, OperatingPointError
from models.manifest import MaxFmr, Tensor
from models.rates import find_operating_point
from models.registry import Pack
from models.sanity import EmbedImage, SanityPicture, verify_sanity
from models.verify import Check, Floats, verify_pack

REASON_MAX_CHARS: Final = 200
"""How much of onnxruntime's own words is passed on."""
SANITY_THREADS: Final = 2
SANITY_FMR: Final = MaxFmr("1e-3")

PROBE_MEMORY_BYTES: Final = 4 * 2**30
"""Address space of the first look; a face network opens in well under one gigabyte."""
PROBE_SECONDS: Final = 60
"""Processor time of the first look; a face network opens and runs in under one second."""
PROBE_WAIT_SECONDS: Final = 300
"""By the clock, on a machine that is busy with other things."""

ONNX_DTYPES: Final = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(uint8)": "uint8"}


class SessionNetwork:
    """An onnxruntime session as `models.verify` wants it: one thread, since it is the answer that counts."""

    def __init__(self, content: bytes) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own classes have no common base but this
            raise ValueError(_in_short(error)) from error

    def tensors(self) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Inputs and outputs as the run-time reports them."""
        return (
            tuple(_tensor(node) for node in self._session.get_inputs()),
            tuple(_tensor(node) for node in self._session.get_outputs()),
        )

    def run(self, feeds: Mapping[str, Floats]) -> Mapping[str, Floats]:
        """Every output by name."""
        names = [node.name for node in self._session.get_outputs()]
        try:
            answers = self._session.run(names, dict(feeds))
        except Exception as error:
            raise ValueError(_in_short(error)) from error
        return dict(zip(names, answers, strict=True))


def _in_short(error: Exception) -> str:
    return " ".join(str(error).split())[:REASON_MAX_CHARS]


def _tensor(node: Any) -> Tensor:
    shape = tuple(size if isinstance(size, int) else -1 for size in node.shape)
    return Tensor(name=node.name, dtype=ONNX_DTYPES.get(node.type, node.type), shape=shape)


def probe_tensors(
    content: bytes, name: str, shape: tuple[int, ...], seconds: int = PROBE_SECONDS
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """A network's tensors after opening and running it once in a bounded child; raises `GraphError`.

    `shape`: of the one input, -1 where the file decides. `seconds`: of processor time.
    """
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "scripts.packs.networks", json.dumps(shape), str(seconds)],
            input=content,
            capture_output=True,
            timeout=PROBE_WAIT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise GraphError(name, f"opening it took more than {PROBE_WAIT_SECONDS} s") from error
    if ended.returncode != 0:
        bounds = f"{PROBE_MEMORY_BYTES >> 30} GiB and {seconds} s of processor time"
        reason = f"opening it ended the process that tried (code {ended.returncode}; it had {bounds})"
        raise GraphError(name, reason)
    told = json.loads(ended.stdout)
    if "error" in told:
        raise GraphError(name, told["error"])
    try:
        return msgspec.convert(told["tensors"], tuple[tuple[Tensor, ...], tuple[Tensor, ...]])
    except msgspec.ValidationError as error:
        raise GraphError(name, f"its tensors are of a kind that Stile does not feed ({error})") from error


def _tell_tensors(content: bytes, wanted: list[int]) -> dict[str, Any]:
    """What the child answers."""
    try:
        network = SessionNetwork(content)
        inputs, outputs = network.tensors()
        if len(inputs) != 1 or len(inputs[0].shape) != len(wanted):
            shapes = [list(each.shape) for each in inputs]
            return {"error": f"its inputs are {shapes}, one of {wanted} is needed (-1: any size)"}
        sizes = list(zip(wanted, inputs[0].shape, strict=True))
        # Other sizes are for the caller to tell; there is nothing to run then.
        if all(our == their or min(our, their) < 1 for our, their in sizes):
            shape = [our if our > 0 else max(their, 1) for our, their in sizes]
            network.run({inputs[0].name: np.zeros(shape, np.float32)})
    except (ValueError, MemoryError) as error:
        return {"error": str(error) or "it needs more memory than there is"}
    return {"tensors": msgspec.to_builtins((inputs, outputs))}


def main() -> None:
    """The child of `probe_tensors`: an ONNX file on standard input, its tensors on standard output."""
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (PROBE_MEMORY_BYTES, PROBE_MEMORY_BYTES))
    seconds = int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    told = _tell_tensors(sys.stdin.buffer.read(), json.loads(sys.argv[1]))
    sys.stdout.write(json.dumps(told))


def portraits() -> list[SanityPicture]:
    """The shipped portraits with their people, for the sanity set."""
    folder = resources.files("scripts.people") / "portraits"
    listed = tomllib.loads((folder / "portraits.toml").read_text(encoding="utf-8"))["portraits"]
    return [
        SanityPicture(each["person"], each["photograph"], (folder / each["file"]).read_bytes())
        for each in listed
    ]


def checks_of(pack: Pack) -> Iterator[Check]:
    """Everything that is asked of a pack before a kiosk may load it."""
    broken = False
    for check in verify_pack(pack, SessionNetwork, lambda: time.perf_counter() * 1000):
        broken |= check.name in ("tensors", "latency") and not check.passed
        yield check
    if broken:  # a network that cannot be opened embeds nobody
        return
    yield from verify_sanity(pack, open_embedder, portraits(), _threshold(pack))


def _threshold(pack: Pack) -> float | None:
    """The pack's own for one image a template and 1e-3; None where its recipe was not measured."""
    try:
        return find_operating_point(pack.manifest, pack.recipe_digest, 1, 1, SANITY_FMR).threshold
    except OperatingPointError:
        return None


def open_embedder(pack: Pack, detector: str) -> EmbedImage:
    """The kiosk's own pipeline, on still pictures; raises a `ModelsError` for a network it cannot load."""
    import cv2

    from edge.capture.sample import FailureToAcquire, Frame
    from edge.modes.common import open_pipeline

    pipeline = open_pipeline(pack, SANITY_THREADS, detector=detector)

    def embed_image(content: bytes) -> Floats | None:
        decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB)
        if decoded is None:
            return None
        picture: NDArray[np.uint8] = decoded.astype(np.uint8)
        frame = Frame(picture, 0, "portrait")
        faces = pipeline.detect(frame)
        observation = pipeline.observe(frame, faces[0]) if faces else None
        if observation is None or isinstance(observation, FailureToAcquire):
            return None
        return pipeline.embed(observation).vector

    return embed_image


if __name__ == "__main__":
    main()
