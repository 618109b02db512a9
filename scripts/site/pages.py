"""`python -m scripts.site.pages FOLDER` gathers the pages of the site, and writes one for each package."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PACKAGES: Final = ("wire", "models", "firmware_bridge", "edge", "central")
LINK: Final = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)")


def gather(folder: Path) -> None:
    """Copy every page and what it links to, at the same place beneath `folder`, and write the API pages."""
    for page in tracked("*.md"):
        copy(page, folder)
        for target in LINK.findall(page.read_text()):
            linked = (page.parent / target).resolve()
            if linked.suffix != ".md":
                copy(linked, folder)
    for package in PACKAGES:
        for name, modules in packages(package):
            heads = "".join(f"\n::: {module}\n" for module in modules)
            page = folder / "api" / f"{name}.md"
            page.parent.mkdir(exist_ok=True)
            page.write_text(f"# {name}\n{heads}")
    index = "".join(
        f"- [{name}]({name}.md)\n" for name in sorted(each.stem for each in (folder / "api").iterdir())
    )
    (folder / "api" / "README.md").write_text(f"# API reference\n\nMade from the docstrings.\n\n{index}")


def copy(path: Path, folder: Path) -> None:
    """Copy one file of the repository to its place beneath a folder."""
    to = folder / path.relative_to(ROOT)
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, to)


def packages(package: str) -> Iterator[tuple[str, list[str]]]:
    """Each package with the modules directly in it."""
    found: dict[str, list[str]] = {}
    for path in tracked(f"{package}/*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts[-1] not in {"__init__", "__main__"} and "migrations" not in parts:
            found.setdefault(".".join(parts[:-1]), []).append(".".join(parts))
    yield from found.items()


def tracked(pattern: str) -> list[Path]:
    """The files of the repository that match."""
    listed = subprocess.run(["git", "ls-files", "-z", pattern], cwd=ROOT, check=True, capture_output=True)
    return [ROOT / name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).exists()]


if __name__ == "__main__":
    gather(Path(sys.argv[1]))
