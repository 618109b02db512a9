"""The bill of materials of what is shipped and installed: CycloneDX JSON, every part with its licence."""

from __future__ import annotations

import hashlib
import re
import sys
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import metadata
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import License
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
FONT_LICENCE = "OFL-1.1"
_PIN = re.compile(r"^([a-z0-9].*?) *\\?$")
# What packages say in words instead of as an SPDX identifier.
_SPDX = {
    "Apache 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD": "BSD-3-Clause",
    "BSD License": "BSD-3-Clause",
    "BSD 3-Clause License": "BSD-3-Clause",
    "3-Clause BSD License": "BSD-3-Clause",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}


def bill(at: datetime) -> str:
    """The bill as JSON; the same tree and instant give the same bytes."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    stile = Component(
        name=project["name"],
        bom_ref=project["name"],
        version=project["version"],
        type=ComponentType.APPLICATION,
        licenses=_licensed(project["license"]),
    )
    parts = [*packages(), *files()]
    bom = Bom(
        serial_number=uuid5(NAMESPACE_URL, "|".join(f"{part.name} {part.version}" for part in parts)),
        metadata=BomMetaData(timestamp=at, component=stile),
        components=parts,
    )
    bom.register_dependency(stile, parts)
    return make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string(indent=2)


def packages() -> Iterator[Component]:
    """The pinned packages of this platform; they must be installed, for only they know their licences."""
    for line in (ROOT / "requirements" / "run.txt").read_text().splitlines():
        if (pin := _PIN.match(line)) is None:
            continue
        asked = Requirement(pin[1])
        if asked.marker is not None and not asked.marker.evaluate():
            continue
        version = next(iter(asked.specifier)).version
        yield Component(
            name=asked.name,
            bom_ref=f"{asked.name}=={version}",
            version=version,
            type=ComponentType.LIBRARY,
            purl=PackageURL("pypi", None, asked.name, version),
            licenses=_licensed(licence_of(asked.name)),
        )


def licence_of(package: str) -> str:
    """The SPDX expression of an installed package's licence; empty where it names none."""
    told = metadata(package)
    classes = [
        line.rsplit(" :: ", 1)[-1] for line in told.get_all("Classifier", []) if line.startswith("License")
    ]
    said: str = [*told.get_all("License-Expression", []), *classes, *told.get_all("License", []), ""][0]
    return _SPDX.get(said, said)


def files() -> Iterator[Component]:
    """Networks and fonts, which are files of the tree with licences of their own."""
    for manifest in sorted((ROOT / "models" / "packs").glob("*/manifest.toml")):
        pack = tomllib.loads(manifest.read_text())
        for file in pack["files"]:
            path = manifest.parent / file["path"]
            yield _file(path, ComponentType.MACHINE_LEARNING_MODEL, pack["version"], file["licence"])
    for path in sorted(ROOT.glob("*/adapters/**/static/fonts/*.woff2")):
        yield _file(path, ComponentType.FILE, None, FONT_LICENCE)


def _file(path: Path, kind: ComponentType, version: str | None, licence: str) -> Component:
    digest = HashType(alg=HashAlgorithm.SHA_256, content=hashlib.sha256(path.read_bytes()).hexdigest())
    name = str(path.relative_to(ROOT))
    return Component(
        name=name, bom_ref=name, version=version, type=kind, licenses=_licensed(licence), hashes=[digest]
    )


def _licensed(licence: str) -> list[License]:
    return [LicenseFactory().make_from_string(licence)] if licence else []


def main() -> None:
    """Print the bill; its instant is the argument, in seconds since 1970."""
    sys.stdout.write(bill(datetime.fromtimestamp(int(sys.argv[1]), UTC)) + "\n")


if __name__ == "__main__":
    main()
