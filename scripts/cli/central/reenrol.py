"""`stile central re-enrol`: a new pack whose recipe is another one, planned, followed and carried out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from scripts.cli.central.options import DEFAULT_CONFIG, ConfigFile, expected_errors
from scripts.output import EXIT_UNUSABLE, AsJson, fail, tell_json

if TYPE_CHECKING:
    from central.rules.reenrolment import Plan, Progress

app = typer.Typer(
    help="A new recipe: templates of another are never compared, so members enrol again.",
    no_args_is_help=True,
)

SHOWN = 12
"""Characters of a digest in a table."""
NAMED = 20
"""Members named on the screen; --json names all."""

PackFolder = Annotated[Path, typer.Option("--pack", help="Folder of the new pack.")]


def _tell(now: Progress, plan: Plan | None, *, as_json: bool) -> None:
    if as_json:
        tell_json(as_told(now, plan))
        return
    screen = Console(markup=False)
    typer.echo(
        f"to recipe {now.recipe_digest[:SHOWN]}…"
        f"{f' of pack {plan.pack}' if plan else ''}: {now.stage.value}; {now.members} members, "
        f"{now.ready} ready, {len(now.to_enrol)} to enrol again, {now.without_face} without a face"
    )
    table = Table("template in use", "members")
    for recipe, members in now.by_recipe.items():
        mark = " (the new one)" if recipe == now.recipe_digest else ""
        table.add_row(f"{recipe[:SHOWN]}…{mark}", str(members))
    screen.print(table)
    kiosks = Table("kiosk", "recipe", "pack")
    for kiosk in now.kiosks:
        digests = (kiosk.recipe_digest, kiosk.pack_digest)
        kiosks.add_row(kiosk.kiosk, *(f"{each[:SHOWN]}…" if each else "not told" for each in digests))
    screen.print(kiosks)
    for number, step in enumerate(now.steps, 1):
        typer.echo(f"{number}. {'done' if step.done else 'to do'}: {step.text}")
    for subject in now.without_pin[:NAMED]:
        typer.echo(f"  without a PIN: {subject}")
    if len(now.without_pin) > NAMED:
        typer.echo(f"  and {len(now.without_pin) - NAMED} more")


def as_told(now: Progress, plan: Plan | None) -> dict[str, object]:
    """A plan's progress as one object."""
    return {
        "stage": now.stage.value,
        "pack": None if plan is None else plan.pack,
        "pack_digest": None if plan is None else plan.pack_digest,
        "recipe_digest": now.recipe_digest,
        "begun_at_ms": None if plan is None else plan.begun_at_ms,
        "switched_at_ms": None if plan is None else plan.switched_at_ms,
        "members": now.members,
        "by_recipe": dict(now.by_recipe),
        "without_face": now.without_face,
        "ready": now.ready,
        "to_enrol": list(now.to_enrol),
        "without_pin": list(now.without_pin),
        "kiosks": [
            {"kiosk": each.kiosk, "recipe_digest": each.recipe_digest, "pack_digest": each.pack_digest}
            for each in now.kiosks
        ],
        "kiosks_there": now.kiosks_there,
        "steps": [{"text": step.text, "done": step.done} for step in now.steps],
    }


def _recipe_of(folder: Path) -> tuple[str, str, str]:
    from models.errors import ModelsError
    from models.registry import open_pack

    try:
        pack = open_pack(folder)
    except ModelsError as error:
        fail(error, EXIT_UNUSABLE)
    return pack.manifest.name, pack.digest, pack.recipe_digest


@app.command()
def plan(pack: PackFolder, config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """What a change to this pack would take; changes nothing."""
    from central.app import load_config, open_use_cases

    _, _, recipe = _recipe_of(pack)
    with expected_errors(), open_use_cases(load_config(config)) as use_cases:
        now, under_way = use_cases.reenrolments.progress(recipe), use_cases.reenrolments.plan()
    _tell(now, under_way, as_json=as_json)


@app.command()
def begin(pack: PackFolder, config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Begin: members' templates of the new recipe are kept beside those in use, until the switch."""
    from central.app import load_config, open_use_cases

    name, digest, recipe = _recipe_of(pack)
    with expected_errors(), open_use_cases(load_config(config)) as use_cases:
        now, under_way = use_cases.reenrolments.begin(name, digest, recipe), use_cases.reenrolments.plan()
    _tell(now, under_way, as_json=as_json)


@app.command()
def status(config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Who is ready, who is not, which kiosk has which recipe, and what is to be done next."""
    from central.app import load_config, open_use_cases
    from central.errors import ConflictError

    with expected_errors(), open_use_cases(load_config(config)) as use_cases:
        under_way = use_cases.reenrolments.plan()
        if under_way is None:
            raise ConflictError("re-enrolment", "none", "is under way: see what one takes with plan --pack")
        now = use_cases.reenrolments.progress(under_way.recipe_digest)
    _tell(now, under_way, as_json=as_json)


@app.command()
def switch(config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Use the new templates from now on; members without one go by claim and PIN."""
    from central.app import load_config, open_use_cases

    with expected_errors(), open_use_cases(load_config(config)) as use_cases:
        now, under_way = use_cases.reenrolments.switch(), use_cases.reenrolments.plan()
    _tell(now, under_way, as_json=as_json)


@app.command()
def back(config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Undo the switch: the old templates are used again, and the new ones wait."""
    from central.app import load_config, open_use_cases

    with expected_errors(), open_use_cases(load_config(config)) as use_cases:
        now, under_way = use_cases.reenrolments.back(), use_cases.reenrolments.plan()
    _tell(now, under_way, as_json=as_json)


@app.command()
def abandon(config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """End a change before its switch; the templates that waited for it are removed."""
    from central.app import load_config, open_use_cases

    with expected_errors(), open_use_cases(load_config(config)) as use_cases:
        removed = use_cases.reenrolments.abandon()
    _tell_removed(removed, as_json=as_json)


@app.command()
def finish(
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Though members or kiosks are not there: they go by PIN.")
    ] = False,
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """End a change after its switch; every template of another recipe is removed, for good."""
    from central.app import load_config, open_use_cases

    with expected_errors(), open_use_cases(load_config(config)) as use_cases:
        removed = use_cases.reenrolments.finish(anyway=anyway)
    _tell_removed(removed, as_json=as_json)


def _tell_removed(removed: int, *, as_json: bool) -> None:
    if as_json:
        tell_json({"templates_removed": removed})
    else:
        typer.echo(f"{removed} templates removed")
