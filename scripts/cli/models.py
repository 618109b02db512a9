"""`stile models`: list packs and recipes, verify, add and quantise packs, export the default one.

Exit codes: 0 done, 1 a check failed, 2 a pack, a path or an environment that cannot be used.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from models.errors import ModelsError, TargetError
from models.rates import rate_upper_bound
from models.recipes import Recipe, find_recipe, shipped_recipes
from models.registry import MANIFEST_FILE, Pack, open_pack
from models.verify import Check
from scripts.output import EXIT_FAILED, EXIT_UNUSABLE, AsJson, fail, tell_json
from scripts.packs.building import BuiltPack, add_pack, place
from scripts.packs.networks import checks_of

app = typer.Typer(no_args_is_help=True, help="Packs: what a kiosk may load.")

PackArgument = Annotated[Path | None, typer.Argument(help="Folder of a pack; the default pack if left out.")]


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


@app.command("recipes")
def recipes(as_json: AsJson = False) -> None:
    """Show the recipes: packs that can be built from files you obtain, with the digests they must have."""
    known = list(shipped_recipes())
    screen = _screen(as_json)
    for recipe in known:
        screen.print(f"[bold]{recipe.name}[/]: {recipe.summary}", highlight=False)
        for file in recipe.files:
            screen.print(f"  {file.path}: {file.licence}, {file.upstream.package} {file.upstream.version}")
            for brought in (each for way in file.ways for each in way.files):
                digests = ", ".join(brought.sha256) or "no digest known"
                screen.print(f"    {brought.name}  sha256 {digests}", highlight=False)
        screen.print(f"  {recipe.measured}", highlight=False)
    if as_json:
        tell_json({"recipes": [_recipe_summary(recipe) for recipe in known]})


@app.command("verify")
def verify(pack: PackArgument = None, as_json: AsJson = False) -> None:
    """Check digests, licences, tensors, golden vectors, latency, and that known people are told apart."""
    opened = _opened(pack)
    checks: list[Check] = []
    try:
        with Progress(console=_screen(as_json), transient=True) as progress:
            task = progress.add_task("verifying", total=None)
            for check in checks_of(opened):
                checks.append(check)
                progress.advance(task)
    except ModelsError as error:
        fail(error, EXIT_UNUSABLE)
    _tell_checks(opened, tuple(checks), as_json, {})


@app.command("add")
def add(
    files: Annotated[list[Path], typer.Argument(help="The files that you obtained from upstream.")],
    recipe: Annotated[str, typer.Option("--recipe", help="A shipped recipe's name, or your own .toml file.")],
    to: Annotated[
        Path | None, typer.Option("--to", help="The new pack's folder; if left out, its name, here.")
    ] = None,
    non_commercial: Annotated[
        bool, typer.Option("--non-commercial", help="You use it without commerce; a kiosk will show that.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Build a pack from your files and the default pack's, as a recipe says; kept only if it verifies."""
    try:
        with _waiting("building and verifying", as_json):
            found = find_recipe(recipe)
            built = add_pack(found, files, to or Path(found.recipe.pack), non_commercial=non_commercial)
    except ModelsError as error:
        fail(error, EXIT_UNUSABLE)
    _tell_built(built, as_json, f"the pack was not kept: see what failed above (recipe {found.recipe.name})")


@app.command("quantise")
def quantise(
    pack: Annotated[Path, typer.Argument(help="Folder of the pack whose embedders become int8.")],
    calibration: Annotated[
        Path, typer.Option("--calibration", help="A folder of pictures of faces that may be used for this.")
    ],
    to: Annotated[Path, typer.Option("--to", help="The new pack's folder.")],
    reduce_range: Annotated[
        bool, typer.Option("--reduce-range", help="7-bit weights: they do not saturate without VNNI.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make a pack with static int8 embedders, and say whether this machine computes it well enough."""
    from scripts.packs.quantising import quantised_pack

    source = _opened(pack)
    try:
        with _waiting("quantising and verifying", as_json):
            assembled, heading = quantised_pack(source, calibration, to, reduce_range=reduce_range)
            built = place(assembled, to, heading, keep_failed=True)
    except ModelsError as error:
        fail(error, EXIT_UNUSABLE)
    _tell_built(built, as_json, f"{to} was written, and this machine must not use it: see what failed above")


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
    pack: Annotated[
        Path | None, typer.Option("--pack", help="Ask this pack's own networks, on this machine.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Golden vectors: the default pack's from dlib and LiteRT, another's from this machine."""
    try:
        content = _original_golden() if pack is None else _own_golden(_opened(pack))
        to.write_bytes(content)
    except ModelsError as error:
        fail(error, EXIT_UNUSABLE)
    except OSError as error:
        fail(TargetError(str(to), f"cannot be written ({error.strerror})"), EXIT_UNUSABLE)
    digest = hashlib.sha256(content).hexdigest()
    _screen(as_json).print(f"{to}: sha256 {digest}", highlight=False)
    if as_json:
        tell_json({"file": str(to), "sha256": digest})


def _original_golden() -> bytes:
    from models.export.sources import PARITY_TOOLCHAIN, require_export_environment

    require_export_environment(PARITY_TOOLCHAIN)
    from models.export.golden import make_golden

    with resources.as_file(resources.files("scripts.people") / "portraits") as folder:
        return make_golden(folder)


def _own_golden(pack: Pack) -> bytes:
    from scripts.packs.golden import golden_of

    return golden_of(pack)


def _tell_built(built: BuiltPack, as_json: bool, regret: str) -> None:
    for name in built.unknown:
        typer.echo(f"note: the digest of {name} is in no recipe; it was judged by its answers", err=True)
    if not built.passed:
        typer.echo(f"error: {regret}", err=True)
    _tell_checks(
        built.pack, built.checks, as_json, {"kept": built.kept, "unknown_files": list(built.unknown)}
    )


def _tell_checks(pack: Pack, checks: tuple[Check, ...], as_json: bool, more: dict[str, Any]) -> None:
    """The checks for people or for a program; ends with 1 if any failed."""
    screen = _screen(as_json)
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
        tell_json({**_pack_summary(pack), "ok": passed, **more, "checks": listed})
    if not passed:
        raise typer.Exit(EXIT_FAILED)


@contextmanager
def _waiting(what: str, as_json: bool) -> Iterator[None]:
    with Progress(console=_screen(as_json), transient=True) as progress:
        progress.add_task(what, total=None)
        yield


def _recipe_summary(recipe: Recipe) -> dict[str, Any]:
    return {
        "name": recipe.name,
        "summary": recipe.summary,
        "measured": recipe.measured,
        "files": {
            file.path: {
                "licence": file.licence,
                "upstream": f"{file.upstream.package} {file.upstream.version}",
                "brought": [{each.name: list(each.sha256) for each in way.files} for way in file.ways],
            }
            for file in recipe.files
        },
    }


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
        "non_commercial": manifest.non_commercial,
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
    note = ", not for commercial use" if manifest.non_commercial else ""
    table.caption = f"pack {pack.digest[:12]}, recipe {pack.recipe_digest[:12]}{note}"
    return table
