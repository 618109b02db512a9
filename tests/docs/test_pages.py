"""The pages name nothing that is not there: no key, command, path, module, class, test or link."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from dataclasses import MISSING, fields
from functools import cache
from importlib import import_module
from itertools import combinations, product
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from central.config import CentralConfig
from edge.config import KioskConfig
from edge.decide import verdict
from edge.decide.verdict import ROWS, Circumstances, Reason, Refer, Row, Verdict
from scripts.cli.main import build
from scripts.site import commands, flow, tables
from wire.requests import Reply, Request
from wire.topics import TopicKind

ROOT = Path(__file__).parents[2]
README_MAX_LINES = 120
HOUSES = ("wire", "models", "firmware_bridge", "edge", "central", "scripts")
FILE_ENDINGS = {"c", "crt", "db", "h", "json", "key", "md", "onnx", "py", "toml", "svg", "token", "txt"}
MADE = {".venv", "build", "requirements"}
"""First parts of paths that a command makes."""
TO_BE_MADE = re.compile(r"numato|Roster|/NAME\.")
"""The examples of docs/how-to."""
ELSEWHERE = {"tests/test_images/obama.jpg", *(kind.value for kind in TopicKind)}
"""A path of another project, and topics, which look like paths."""


@cache
def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z", *patterns], cwd=ROOT, check=True, capture_output=True)
    return [ROOT / name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()]


PAGES = [path for path in tracked("*.md") if path.name != "CHANGELOG.md"]
"""Every page but the changelog, which tells of what was there once."""
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def prose(page: Path) -> str:
    return re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def spans(page: Path) -> list[str]:
    """What stands between backticks in a page's prose, but for what a recipe has its reader make."""
    return [span for span in re.findall(r"`([^`\n]+)`", prose(page)) if not TO_BE_MADE.search(span)]


def blocks(page: Path) -> list[tuple[str, str, str]]:
    """The line before each block, its language and its text."""
    found = re.findall(r"(?:^|\n)([^\n]*)\n```(\w*)\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    return [(before, language, text) for before, language, text in found]


@cache
def names_of_tests() -> frozenset[str]:
    trees = (ast.parse(path.read_text()) for path in tracked("tests/*.py"))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for tree in trees for node in ast.walk(tree) if isinstance(node, functions))


@cache
def classes() -> dict[str, set[str]]:
    """Every class of the houses with the names in its body."""
    found: dict[str, set[str]] = {}
    for path in tracked(*(f"{house}/*.py" for house in HOUSES)):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                found.setdefault(node.name, set()).update(members(node))
            elif isinstance(node, ast.Assign):  # Verdict = Grant | StepUp, NewType("SubjectId", str)
                names = (target.id for target in node.targets if isinstance(target, ast.Name))
                found.update({name: set() for name in names if name not in found})
    return found


def members(node: ast.ClassDef) -> Iterator[str]:
    for each in node.body:
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
            yield each.name
        elif isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
            yield each.target.id
        elif isinstance(each, ast.Assign):
            yield from (target.id for target in each.targets if isinstance(target, ast.Name))


def keys(config: type[msgspec.Struct], above: str = "") -> Iterator[str]:
    for field in msgspec.structs.fields(config):
        yield f"{above}{field.name}"
        for kind in (field.type, *getattr(field.type, "__args__", ())):
            if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
                yield from keys(kind, f"{above}{field.name}.")


KEYS = {*keys(KioskConfig), *keys(CentralConfig)}
SECTIONS = {key.split(".")[0] for key in KEYS if "." in key}


@every_page
def test_every_test_that_a_page_names_is_there(page: Path) -> None:
    named = {name for span in spans(page) for name in re.findall(r"\btest(?:_[a-z0-9]+){3,}\b(?!\.py)", span)}
    assert {name for name in named if name not in names_of_tests() and not is_a_test_file(name)} == set()


def is_a_test_file(name: str) -> bool:
    return any(path.stem == name for path in tracked("tests/*.py"))


@every_page
def test_every_path_that_a_page_names_is_there(page: Path) -> None:
    tops = {path.relative_to(ROOT).parts[0] for path in tracked()} | MADE
    missing = []
    for span in spans(page):
        path = span.split(" ")[0].split("::")[0]
        if not re.fullmatch(r"[\w.-]+(/[\w.*-]+)+/?", path) or path.split("/")[0] not in tops:
            continue
        if (
            path.split("/")[0] not in MADE
            and path not in ELSEWHERE
            and not [*ROOT.glob(path), *page.parent.glob(path)]
        ):
            missing.append(path)
    assert missing == []


@every_page
def test_every_module_function_and_class_that_a_page_names_is_there(page: Path) -> None:
    missing = []
    for span in spans(page):
        name = span.removesuffix("()")
        if re.fullmatch(rf"({'|'.join(HOUSES)})(\.\w+)+", name):
            if name.rsplit(".", 1)[1] not in FILE_ENDINGS and not is_there(name):
                missing.append(name)
        elif matched := re.fullmatch(r"([A-Z]\w+)\.([a-z_]\w*)", name):
            owner, member = matched.groups()
            if owner in classes() and member not in classes()[owner]:
                missing.append(name)
        elif re.fullmatch(r"(?:[A-Z][a-z0-9]+){2,}", name) and name not in classes():
            missing.append(name)
    assert missing == []


def is_there(dotted: str) -> bool:
    parts = dotted.split(".")
    if dotted in KEYS:
        return True
    for length in range(len(parts), 0, -1):
        try:
            found: object = import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            found = getattr(found, part, None)
        return found is not None
    return False


@every_page
def test_every_configuration_key_that_a_page_names_is_there(page: Path) -> None:
    missing = []
    for span in spans(page):
        key = re.fullmatch(r"([a-z_]+(?:\.[a-z_]+)+)(?: = .*)?", span)
        if key is None or key[1].split(".")[0] not in SECTIONS or key[1].rsplit(".", 1)[1] in FILE_ENDINGS:
            continue
        if key[1] not in KEYS and not is_there(key[1]):
            missing.append(key[1])
    assert missing == []


@every_page
def test_every_command_and_option_that_a_page_names_is_there(page: Path) -> None:
    lines = [*spans(page), *(line for _, _, text in blocks(page) for line in text.splitlines())]
    said = [line.split("#")[0].strip() for line in lines]
    assert [line for line in said if line.startswith("stile ") and not can_be_typed(line)] == []


@cache
def the_commands() -> object:
    return get_command(build())


def can_be_typed(line: str) -> bool:
    command: object = the_commands()
    words = [word for word in re.split(r"[\s]+", line.split(" | ")[0].split(";")[0])[1:] if word]
    while words and isinstance(command, TyperGroup):
        names = [name for name in words[0].split("|") if name]
        if not re.fullmatch(r"[a-z-]+", names[0]) or names[0].startswith("-"):
            return True  # `stile models …`
        if any(name not in command.commands for name in names):
            return False
        command = command.commands[names[0]]
        words.pop(0)
    if not isinstance(command, TyperCommand):
        return True
    known = {each for option in command.params for each in (*option.opts, *option.secondary_opts)}
    given = {found[0] for word in words if (found := re.match(r"--[a-z-]+", word.strip("[]")))}
    return given <= known | {"--help"}


@every_page
def test_every_link_and_anchor_of_a_page_leads_somewhere(page: Path) -> None:
    broken = []
    for target in re.findall(r"\]\((?!https?:|mailto:)([^)\s]+)", prose(page)):
        path, _, anchor = target.partition("#")
        file = page if not path else page.parent / path
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)
    assert broken == []


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@every_page
def test_every_block_has_a_language_and_every_command_block_says_who_runs_it(page: Path) -> None:
    unsaid = []
    for before, language, text in blocks(page):
        who = re.fullmatch(r"<!-- run by (\S+(?:, \S+)*) -->", before)
        runs = who is not None and does_run(who[1].split(", "), text)
        needs = re.fullmatch(r"<!-- needs hardware: .+ -->", before) is not None
        if not language or (language == "sh" and not (runs or needs)):
            unsaid.append(text)
    assert unsaid == []


def does_run(runners: list[str], block: str) -> bool:
    """Whether tests, or what CI runs, are there and name the last word of each command of a block."""
    if not all((ROOT / runner).is_file() for runner in runners):
        return False
    said = "".join((ROOT / runner).read_text() for runner in runners)
    commands = re.findall(r"^((?:stile|scripts/\w+)(?: [a-z][a-z-]*(?=\s|$))*)", block, re.MULTILINE)
    words = {re.split(r"[ /]", command)[-1] for command in commands}
    types_the_page = "tests/docs/test_blocks.py" in runners
    return types_the_page or all(re.search(rf"(?<![a-z]){word}(?![a-z])", said) for word in words)


def test_the_reference_names_no_reason_and_no_topic_that_is_not_there() -> None:
    reference = (ROOT / "docs" / "reference.md").read_text()
    reasons, topics = (
        re.findall(r"^\| `([^`]+)` \|", reference.split(f"## {heading}")[1].split("\n## ")[0], re.MULTILINE)
        for heading in ("Reasons of a verdict", "Topics")
    )
    assert set(reasons) == {reason.value for reason in Reason}
    assert set(topics) == {kind.value for kind in TopicKind}


def test_every_request_and_reply_is_in_the_page_of_the_wire() -> None:
    page = (ROOT / "wire" / "README.md").read_text()
    kinds = (*get_args(Request), *get_args(Reply))
    assert [kind.__name__ for kind in kinds if f"`{kind.__name__}" not in page] == []


def test_the_decision_table_of_the_architecture_is_the_codes() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    table = page.split("## The decision table")[1].split("\n#")[0]
    told = re.findall(r"^\| .+ \| `?(Grant|StepUp|Refer|Deny)", table, re.MULTILINE)
    verdicts = [verdict_of(row) for row in ROWS]
    assert told == [type(each).__name__ for each in verdicts]
    assert re.findall(r"`Refer\((\w+)\)`", table) == [each.to for each in verdicts if isinstance(each, Refer)]


def verdict_of(row: Row) -> Verdict:
    """What a row gives in the first circumstances, of those near the plainest, in which it decides."""
    choices: dict[str, tuple[object, ...]] = {
        field.name: (False, True) if field.type == "bool" else tuple(vars(verdict)[field.type])
        for field in fields(Circumstances)
        if field.default is MISSING or field.name == "passback"
    }
    plainest = {name: values[0] for name, values in choices.items()}
    for changed in (names for number in range(4) for names in combinations(choices, number)):
        for values in product(*(choices[name] for name in changed)):
            circumstances = Circumstances(**plainest | dict(zip(changed, values, strict=True)))  # type: ignore[arg-type]
            if next(each for each in ROWS if each.when(circumstances)) is row:
                return row.then(circumstances)
    raise AssertionError(row)


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= README_MAX_LINES


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
def test_a_decision_has_context_decision_cost_and_a_test_and_stands_in_the_index(page: Path) -> None:
    text = page.read_text()
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Cost", "Tests"]
    assert re.search(r"^\d{4}-\d\d-\d\d$", text, re.MULTILINE)
    assert re.findall(r"^- `test_\w+`$", text.split("## Tests")[1], re.MULTILINE)
    title = text.splitlines()[0].removeprefix("# ")
    assert f"- [{title}]({page.name})" in (page.parent / "README.md").read_text()


def test_what_is_made_from_the_code_is_as_the_code_says() -> None:
    assert flow.PAGE.read_text() == flow.draw(), "run: python -m scripts.site.flow"
    assert commands.PAGE.read_text() == commands.write(), "run: python -m scripts.site.commands"
    for path, drawn in tables.pages().items():
        assert path.read_text() == drawn, "run: python -m scripts.site.tables"
