"""`stile models`: list the packs at hand, verify one, export the default one from source weights.

Exit codes: 0 done, 1 a check failed, 2 a pack, a path or an environment that cannot be used.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from models.errors import ModelsError, OperatingPointError
from models.manifest import MaxFmr, Tensor
from models.rates import find_operating_point, rate_upper_bound
from models.registry import MANIFEST_FILE, Pack, open_pack
from models.verify import Check, EmbedImage, Floats, SanityPicture, verify_pack, verify_sanity
from scripts.output import EXIT_FAILED, EXIT_UNUSABLE, AsJson, fail, tell_json

app = typer.Typer(no_args_is_help=True, help="Packs: what a kiosk may load.")

REASON_MAX_CHARS: Final = 200
"""How much of onnxruntime's own words is passed on."""
SANITY_THREADS: Final = 2
SANITY_FMR: Final = MaxFmr("1e-3")

ONNX_DTYPES: Final = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(uint8)": "uint8"}

PackArgument = Annotated[Path | None, typer.Argument(help="Folder of a pack; the default pack if left out.")]


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
            raise ValueError(str(error)[:REASON_MAX_CHARS]) from error

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
            raise ValueError(str(error)[:REASON_MAX_CHARS]) from error
        return dict(zip(names, answers, strict=True))


def _tensor(node: Any) -> Tensor:
    shape = tuple(size if isinstance(size, int) else -1 for size in node.shape)
    return Tensor(name=node.name, dtype=ONNX_DTYPES.get(node.type, node.type), shape=shape)


@app.command("list")
def list_packs(
    packs: Annotated[
        Path | None, typer.Option("--packs", help="A folder whose subfolders are packs.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the default pack, and those in a folder, with digests, licences and operating points."""
    found = [_opened(None)]
    if packs is not None:
        found += [_opened(folder.parent) for folder in sorted(packs.glob(f"*/{MANIFEST_FILE}"))]
    screen = _screen(as_json)
    for pack in found:
        screen.print(_pack_table(pack))
    if as_json:
        tell_json({"packs": [_pack_summary(pack) for pack in found]})


@app.command("verify")
def verify(pack: PackArgument = None, as_json: AsJson = False) -> None:
    """Check digests, tensors, golden vectors and the mated and non-mated sanity set of a pack."""
    opened = _opened(pack)
    screen = _screen(as_json)
    checks: list[Check] = []
    with Progress(console=screen, transient=True) as progress:
        task = progress.add_task("verifying", total=None)
        try:
            for check in verify_pack(opened, SessionNetwork):
                checks.append(check)
                progress.advance(task)
            checks.append(_sanity(opened))
        except ModelsError as error:
            fail(error, EXIT_UNUSABLE)
    for check in checks:
        mark = "[green]ok[/]" if check.passed else "[red]FAILED[/]"
        screen.print(f"{mark} {check.name:8} {check.file:24} {check.error or check.detail}", highlight=False)
    passed = all(check.passed for check in checks)
    if as_json:
        listed = [
            {
                "check": check.name,
                "file": check.file,
                "ok": check.passed,
                "detail": str(check.error or check.detail),
            }
            for check in checks
        ]
        tell_json({**_pack_summary(opened), "ok": passed, "checks": listed})
    if not passed:
        raise typer.Exit(EXIT_FAILED)


@app.command("export")
def export(
    to: Annotated[Path, typer.Option("--to", help="Folder that the pack is written into.")],
    as_json: AsJson = False,
) -> None:
    """Build the default pack from the source weights; needs requirements/export.txt, never a kiosk."""
    from models.export.sources import SOURCES, require_export_environment

    screen = _screen(as_json)
    try:
        require_export_environment()
        from models.export.default import export_default

        written: list[str] = []
        with Progress(console=screen, transient=True) as progress:
            task = progress.add_task("exporting", total=len(SOURCES) + 2)
            for name in export_default(to):
                written.append(name)
                progress.advance(task)
        exported = open_pack(to)
    except ModelsError as error:
        fail(error, EXIT_UNUSABLE)
    for name in written:
        screen.print(f"{to / name}", highlight=False)
    digests = {name: hashlib.sha256((to / name).read_bytes()).hexdigest() for name in written}
    if as_json:
        tell_json({"pack": exported.digest, "recipe_digest": exported.recipe_digest, "files": digests})


@app.command("golden")
def golden(
    to: Annotated[Path, typer.Option("--to", help="The .npz file to write.")],
    as_json: AsJson = False,
) -> None:
    """Ask dlib and LiteRT for the default pack's golden vectors; its declaration names the digest shown."""
    from models.export.sources import PARITY_TOOLCHAIN, require_export_environment

    try:
        require_export_environment(PARITY_TOOLCHAIN)
    except ModelsError as error:
        fail(error, EXIT_UNUSABLE)
    from models.export.golden import make_golden

    with resources.as_file(resources.files("scripts") / "portraits") as folder:
        content = make_golden(folder)
    to.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    _screen(as_json).print(f"{to}: sha256 {digest}", highlight=False)
    if as_json:
        tell_json({"file": str(to), "sha256": digest})


def portraits() -> list[SanityPicture]:
    """The shipped portraits with their people, for the sanity set."""
    folder = resources.files("scripts") / "portraits"
    listed = tomllib.loads((folder / "portraits.toml").read_text(encoding="utf-8"))["portraits"]
    return [
        SanityPicture(each["person"], each["photograph"], (folder / each["file"]).read_bytes())
        for each in listed
    ]


def _sanity(pack: Pack) -> Check:
    """The sanity check at the pack's own threshold for one image a template and 1e-3."""
    try:
        point = find_operating_point(pack.manifest, pack.recipe_digest, 1, 1, SANITY_FMR)
    except OperatingPointError as error:
        return Check("sanity", "pack", "", error)
    return verify_sanity(pack, _embedder(pack), portraits(), point.threshold)


def _embedder(pack: Pack) -> EmbedImage:
    """The kiosk's own pipeline, on still pictures."""
    import cv2

    from edge.app import open_pipeline
    from edge.capture.sample import FailureToAcquire, Frame

    pipeline = open_pipeline(pack, SANITY_THREADS)

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


def _opened(folder: Path | None) -> Pack:
    try:
        return open_pack(folder)
    except ModelsError as error:
        fail(error, EXIT_UNUSABLE)


def _screen(as_json: bool) -> Console:
    """Where people read: standard error once standard output belongs to a program."""
    return Console(stderr=as_json, soft_wrap=True)


def _pack_summary(pack: Pack) -> dict[str, Any]:
    manifest = pack.manifest
    return {
        "name": manifest.name,
        "version": manifest.version,
        "pack_digest": pack.digest,
        "recipe_digest": pack.recipe_digest,
        "dimensions": manifest.dimensions,
        "files": {file.path: {"sha256": file.sha256, "licence": file.licence} for file in manifest.files},
        "operating_points": _points_summary(pack),
    }


def _points_summary(pack: Pack) -> list[dict[str, Any]]:
    """The operating points of the pack's own recipe, one object per template and probe, rates keyed."""
    sizes: dict[tuple[int, int], dict[str, Any]] = {}
    for point in pack.manifest.operating_points:
        if point.recipe_digest != pack.recipe_digest:
            continue
        measured = sizes.setdefault(
            (point.images_per_template, point.frames_per_probe),
            {
                "images_per_template": point.images_per_template,
                "frames_per_probe": point.frames_per_probe,
                "test_set": point.test_set,
                "threshold": {},
                "fmr_upper": {},
                "tmr": {},
            },
        )
        measured["threshold"][point.max_fmr] = point.threshold
        measured["fmr_upper"][point.max_fmr] = rate_upper_bound(point.false_matches, point.non_mated)
        measured["tmr"][point.max_fmr] = point.tmr
    return list(sizes.values())


def _pack_table(pack: Pack) -> Table:
    manifest = pack.manifest
    table = Table(title=f"{manifest.name} {manifest.version}: {manifest.summary}", title_justify="left")
    for heading in ("file", "licence", "from", "sha256"):
        table.add_column(heading)
    for file in manifest.files:
        source = f"{file.source.package} {file.source.version}"
        table.add_row(file.path, file.licence, source, file.sha256[:12])
    table.caption = f"pack {pack.digest[:12]}, recipe {pack.recipe_digest[:12]}"
    return table
