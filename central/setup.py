"""The files of a new central: its configuration, a scorecard to start from, and fresh keys."""

from __future__ import annotations

from pathlib import Path

from central.adapters.keyfiles import create_keys
from central.config import load_config
from central.errors import ConflictError
from wire.environment import Environment
from wire.ids import parse_operator_id, parse_purpose, parse_site_id
from wire.signing import Signer

CONFIG_FILE = "central.toml"
_HERE = Path(__file__).parent
_EXAMPLE_CONFIG, _EXAMPLE_SCORECARD = _HERE / "central.example.toml", _HERE / "scorecard.example.toml"


def check_new(folder: Path) -> None:
    """Raise ConflictError when a folder holds a central's keys already."""
    if any((folder / "keys").glob("*.key")):
        raise ConflictError("keys", str(folder / "keys"), "exist already; they are never overwritten")


def init_central(
    folder: Path,
    operator: str,
    site: str,
    purpose: str,
    *,
    mqtt_port: int = 0,
    http_port: int = 0,
    root: Signer | None = None,
    environment: Environment | None = None,
) -> Path:
    """Write a configuration, a scorecard to start from, and fresh keys; the configuration's path.

    `root` certifies the keys, and stays where it is. Without one a trial's root is put beside the keys.
    Raises MalformedIdError for a bad id, ConflictError when the folder holds keys already.
    """
    environment = environment or Environment()
    named, at, _ = parse_operator_id(operator), parse_site_id(site), parse_purpose(purpose)
    folder.mkdir(parents=True, exist_ok=True)
    create_keys(
        folder / "keys",
        named,
        at,
        root=root,
        now_ms=environment.utc_ms(),
        draw=environment.random_bytes,
    )
    written = {
        _EXAMPLE_CONFIG: folder / CONFIG_FILE,
        _EXAMPLE_SCORECARD: folder / f"{purpose}.scorecard.toml",
    }
    for example, path in written.items():
        text = example.read_text(encoding="utf-8")
        for before, after in (
            ('operator = "operator"', f'operator = "{operator}"'),
            ('site = "site"', f'site = "{site}"'),
            ('purpose = "purpose"', f'purpose = "{purpose}"'),
            ('purpose = "purpose.scorecard.toml"', f'{purpose} = "{purpose}.scorecard.toml"'),
            ("port = 1883", f"port = {mqtt_port}"),
            ("port = 8480", f"port = {http_port}"),
        ):
            text = text.replace(before, after)
        path.write_text(text, encoding="utf-8")
    load_config(folder / CONFIG_FILE)
    return folder / CONFIG_FILE
