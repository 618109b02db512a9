"""The house's own rules: documentation is complete, its links lead somewhere, modules stay small."""

from __future__ import annotations

import ast
import io
import re
import subprocess
import tokenize
from pathlib import Path

import msgspec
import pytest

from central.config import CentralConfig
from edge.config import KioskConfig
from edge.decide.verdict import Reason
from wire.topics import TopicKind

ROOT = Path(__file__).parent.parent
REFERENCE = (ROOT / "docs" / "reference.md").read_text()
MODULE_MAX_LINES = 600
HOUSES = ("wire", "models", "firmware_bridge", "edge", "central", "scripts")


def keys(config: type[msgspec.Struct]) -> list[str]:
    found = []
    for section in msgspec.structs.fields(config):
        kinds = [
            kind for kind in getattr(section.type, "__args__", (section.type,)) if kind is not type(None)
        ]
        found += [f"{section.name}.{field.name}" for field in msgspec.structs.fields(kinds[0])]
    return found


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z", *patterns], cwd=ROOT, check=True, capture_output=True)
    return [ROOT / name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).exists()]


@pytest.mark.parametrize("key", keys(KioskConfig))
def test_every_key_of_the_kiosks_configuration_is_documented(key: str) -> None:
    assert f"| `{key}` |" in REFERENCE


@pytest.mark.parametrize("key", [field.name for field in msgspec.structs.fields(CentralConfig)])
def test_every_key_of_centrals_configuration_is_documented(key: str) -> None:
    assert f"| `{key}` |" in REFERENCE


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_documented(reason: Reason) -> None:
    assert f"| `{reason.value}` |" in REFERENCE


@pytest.mark.parametrize("kind", TopicKind)
def test_every_topic_is_documented(kind: TopicKind) -> None:
    assert f"| `{kind.value}` |" in REFERENCE


def test_the_reference_names_no_key_that_is_not_there() -> None:
    section = REFERENCE.split("## Central's configuration")[0]
    named = re.findall(r"^\| `([a-z_]+\.[a-z_]+)` \|", section, re.MULTILINE)
    assert sorted(named) == sorted(keys(KioskConfig))


@pytest.mark.parametrize("house", HOUSES)
def test_no_module_is_longer_than_one_can_keep_in_mind(house: str) -> None:
    lengths = {path.name: len(path.read_text().splitlines()) for path in (ROOT / house).rglob("*.py")}
    assert {name: lines for name, lines in lengths.items() if lines > MODULE_MAX_LINES} == {}


def beside(path: Path) -> list[str]:
    """The constants of a module whose documentation stands beside them; a remark to a tool is none."""
    source = path.read_text()
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    remarks = {
        token.start[0] for token in tokens if token.type == tokenize.COMMENT and documents(token.string)
    }
    found = []
    for node in ast.parse(source).body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        targets += [node.target] if isinstance(node, ast.AnnAssign) else []
        names = [target.id for target in targets if isinstance(target, ast.Name)]
        if node.end_lineno in remarks:
            found += [f"{path.relative_to(ROOT)}: {name}" for name in names if name.lstrip("_").isupper()]
    return found


def documents(comment: str) -> bool:
    return re.match(r"# (noqa|type|fmt|pragma)\b", comment) is None


@pytest.mark.parametrize("house", HOUSES)
def test_a_constant_is_documented_by_a_string_below_it(house: str) -> None:
    modules = (path for path in tracked(f"{house}/*.py") if "versions" not in path.parts)
    assert [name for path in modules for name in beside(path)] == []


@pytest.mark.parametrize("house", HOUSES)
def test_the_logger_of_a_module_is_called_log(house: str) -> None:
    named = {
        str(path.relative_to(ROOT)): name
        for path in tracked(f"{house}/*.py")
        for name in re.findall(r"^(\w+) = logging\.getLogger\(", path.read_text(), re.MULTILINE)
    }
    assert {path: name for path, name in named.items() if name != "log"} == {}


def test_nothing_cites_a_document_outside_the_repository() -> None:
    outside = re.compile(r"\b(FACTS|DESIGN|REDESIGN|HOUSE|STYLE)\b")
    cited = []
    for path in tracked("*.py", "*.c", "*.h", "*.js", "*.md", "*.toml", "*.sh", "*.html", "*.css"):
        if path != Path(__file__):
            cited += [f"{path.relative_to(ROOT)}: {word}" for word in outside.findall(path.read_text())]
    assert cited == []


@pytest.mark.parametrize("house", HOUSES[:-1])
def test_every_house_with_files_has_an_init_that_does_nothing(house: str) -> None:
    for path in (ROOT / house).rglob("__init__.py"):
        body = [
            line
            for line in path.read_text().splitlines()
            if line and not line.startswith((" ", '"""', "from ", "import ", "]", ")", "__all__", "#"))
        ]
        assert body == [], path


def test_every_relative_link_of_the_documents_leads_somewhere() -> None:
    broken = []
    for path in tracked("*.md"):
        targets = re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", path.read_text())
        missing = (target for target in targets if not (path.parent / target).exists())
        broken += [f"{path.relative_to(ROOT)}: {target}" for target in missing]
    assert broken == []


def test_no_test_module_imports_another() -> None:
    importing = re.compile(r"^\s*(?:from|import) (?:.*\.)?test_\w+", re.MULTILINE)
    assert {str(path) for path in tracked("tests/*.py") if importing.search(path.read_text())} == set()
