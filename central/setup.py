"""The files of a new central: its configuration, a scorecard to start from, and fresh keys."""

from __future__ import annotations

from pathlib import Path

from central.adapters.keyfiles import create_keys
from central.config import load_config
from wire.environment import Environment
from wire.ids import parse_operator_id, parse_purpose, parse_site_id

CONFIG_FILE = "central.toml"
_HERE = Path(__file__).parent
_EXAMPLE_CONFIG, _EXAMPLE_SCORECARD = _HERE / "central.example.toml", _HERE / "scorecard.example.toml"


def init_central(
    folder: Path,
    operator: str,
    site: str,
    purpose: str,
    *,
    mqtt_port: int = 0,
    http_port: int = 0,
    environment: Environment | None = None,
) -> Path:
    """Write a configuration, a scorecard to start from, and fresh keys; the configuration's path.

    Raises MalformedIdError for a bad id, ConflictError when the folder holds keys already.
    """
    environment = environment or Environment()
    named, _, _ = parse_operator_id(operator), parse_site_id(site), parse_purpose(purpose)
    folder.mkdir(parents=True, exist_ok=True)
    create_keys(folder / "keys", named, environment.utc_ms(), environment.random_bytes)
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
