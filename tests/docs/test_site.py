"""The site is built by `scripts/docs` from what `scripts.site.pages` gathers."""

from __future__ import annotations

import re
from pathlib import Path

from scripts.site import pages

CONFIG = Path(pages.__file__).parent / "mkdocs.yml"


def test_what_is_gathered_has_every_page_what_they_link_to_and_every_module(tmp_path: Path) -> None:
    pages.gather(tmp_path)
    gathered = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert {"README.md", "docs/screen.png", "docs/flow.svg", "deploy/cluster/node.conf", "NOTICE"} <= gathered
    assert "\n::: edge.decide.verdict\n" in (tmp_path / "api" / "edge.decide.md").read_text()
    named = set(re.findall(r"\]\(([\w.]+\.md)\)", (tmp_path / "api" / "README.md").read_text()))
    assert {f"api/{name}" for name in named} | {"api/README.md"} == {
        name for name in gathered if name.startswith("api/")
    }


def test_the_menu_of_the_site_names_pages_that_are_there(tmp_path: Path) -> None:
    pages.gather(tmp_path)
    named = re.findall(r"([\w/.-]+\.md)$", CONFIG.read_text(), re.MULTILINE)
    assert named
    assert [name for name in named if not (tmp_path / name).is_file()] == []
