"""Central's configuration: one frozen tree from a TOML file; an unknown key is an error that names it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta

from central.errors import ConfigError
from central.rules.fares import DayOf, FareConfig, ZoneText
from central.rules.ledger import Day
from central.rules.retention import RetentionConfig
from central.rules.scorecard import Scorecard, parse_scorecard
from wire import fields as f
from wire.ids import SLUG_PATTERN, GalleryName, OperatorId, Purpose

PathText = Annotated[str, Meta(min_length=1, max_length=1024)]
HostText = Annotated[str, Meta(min_length=1, max_length=253)]  # a DNS name
Port = Annotated[int, Meta(ge=0, le=65535)]  # 0: any free one
PURPOSES_MAX = 16


class MqttConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the broker is; `embedded` starts one in a child process, on loopback.

    With `ca_file`, `certificate_file` and `key_file` TLS is spoken; `access_dir` is where the ACL is kept.
    """

    host: HostText = "127.0.0.1"
    port: Port = 0
    embedded: bool = True
    ca_file: PathText | None = None
    certificate_file: PathText | None = None
    key_file: PathText | None = None
    server_name: HostText | None = None
    access_dir: PathText | None = None

    @property
    def complaint(self) -> tuple[str, str] | None:
        """The key that does not fit the others, and why."""
        files = {
            "ca_file": self.ca_file,
            "certificate_file": self.certificate_file,
            "key_file": self.key_file,
        }
        missing = [key for key, path in files.items() if path is None]
        if missing and len(missing) < len(files):
            return f"mqtt.{missing[0]}", "TLS takes ca_file, certificate_file and key_file: give all or none"
        if self.embedded and not missing:
            return "mqtt.embedded", "the embedded broker stays on loopback and speaks no TLS: set it to false"
        if missing and (self.server_name is not None or self.access_dir is not None):
            key = "server_name" if self.server_name is not None else "access_dir"
            return f"mqtt.{key}", "belongs to TLS: give ca_file, certificate_file and key_file too"
        if not self.embedded and self.port == 0:
            return "mqtt.port", "a broker elsewhere has a port: give it"
        return None


HostName = Annotated[str, Meta(pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?\Z", max_length=253)]
NAMES_MAX = 16
"""Names of one server."""


class HttpConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where HTTP is served, its names besides addresses and `localhost`, and whether members have pages."""

    host: HostText = "127.0.0.1"
    port: Port = 0
    names: Annotated[tuple[HostName, ...], Meta(max_length=NAMES_MAX)] = ()
    pages: bool = True


class PaymentsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where members' money comes from, the largest charge, and whose midnight ends the ledger's days."""

    provider: Literal["ledger", "sandbox"] = "ledger"
    charge_max_minor: f.AmountMinor = f.AMOUNT_MAX_MINOR
    timezone: ZoneText = "UTC"


class HomeAssistantConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Home Assistant's discovery prefix, usually `homeassistant`; None: it is told nothing."""

    discovery_prefix: (
        Annotated[str, Meta(pattern=r"^[a-z0-9_-]+(?:/[a-z0-9_-]+)*\Z", max_length=32)] | None
    ) = None


class CentralConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of it. Paths are relative to the file's folder; `purposes` maps each to its scorecard's path."""

    operator: f.Operator
    site: f.Site
    purposes: Annotated[
        dict[Annotated[str, Meta(pattern=SLUG_PATTERN, max_length=32)], PathText],
        Meta(min_length=1, max_length=PURPOSES_MAX),
    ]
    gallery: f.Gallery = GalleryName("members")
    database: PathText = "central.db"
    database_password_file: PathText | None = None
    keys: PathText = "keys"
    head_every_s: Annotated[int, Meta(ge=1, le=3600)] = 60
    mqtt: MqttConfig = MqttConfig()
    http: HttpConfig = HttpConfig()
    retention: RetentionConfig = RetentionConfig()
    home_assistant: HomeAssistantConfig = HomeAssistantConfig()
    payments: PaymentsConfig = PaymentsConfig()
    fares: Annotated[
        dict[Annotated[str, Meta(pattern=SLUG_PATTERN, max_length=32)], FareConfig],
        Meta(max_length=PURPOSES_MAX),
    ] = {}


class LoadedConfig(msgspec.Struct, frozen=True):
    """A configuration with its folder and the scorecards it names, read and linted."""

    settings: CentralConfig
    folder: Path
    scorecards: Mapping[Purpose, Scorecard]

    @property
    def database(self) -> Path | str:
        """The SQLite file, or PostgreSQL's URL."""
        named = self.settings.database
        return named if "://" in named else self.folder / named

    @property
    def database_password_path(self) -> Path | None:
        """The file that holds PostgreSQL's password, where it wants one."""
        named = self.settings.database_password_file
        return None if named is None else self.folder / named

    @property
    def keys_path(self) -> Path:
        """The folder of key files."""
        return self.folder / self.settings.keys


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(str(path), "file", None, error.strerror or "cannot be read") from None
    except ValueError as error:  # TOML and UTF-8 alike
        raise ConfigError(str(path), "file", None, f"is not TOML: {error}") from None


def parse_config(tree: Mapping[str, Any], folder: Path, where: str = "config") -> LoadedConfig:
    """Admit a configuration and read its scorecards; raises ConfigError."""
    try:
        settings = msgspec.convert(tree, CentralConfig, strict=True)
    except msgspec.ValidationError as error:
        raise ConfigError.of(where, tree, str(error)) from None
    if (complaint := settings.mqtt.complaint) is not None:
        key, why = complaint
        raise ConfigError(where, key, tree["mqtt"].get(key.removeprefix("mqtt.")), why)
    _check_money(settings, where)
    cards = {
        Purpose(name): parse_scorecard(
            _read_toml(folder / path), str(folder / path), settings.operator, Purpose(name)
        )
        for name, path in settings.purposes.items()
    }
    return LoadedConfig(settings, folder, cards)


def _check_money(settings: CentralConfig, where: str) -> None:
    zones = {"payments.timezone": settings.payments.timezone}
    for purpose, fare in settings.fares.items():
        zones[f"fares.{purpose}.timezone"] = fare.timezone
        if purpose not in settings.purposes:
            known = ", ".join(sorted(settings.purposes))
            raise ConfigError(where, f"fares.{purpose}", None, f"is no purpose here: give one of {known}")
    for key, zone in zones.items():
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            rule = "is no time zone of this machine: give an IANA name, such as Europe/Berlin"
            raise ConfigError(where, key, zone, rule) from None


def days_in(zone: str) -> DayOf:
    """From an instant in UTC milliseconds to the local day in a time zone."""
    known = ZoneInfo(zone)
    return lambda at_ms: Day(datetime.fromtimestamp(at_ms // 1000, known).date().isoformat())


def load_scorecard(path: Path, operator: OperatorId | None, purpose: Purpose | None) -> Scorecard:
    """Read and lint one scorecard, for whom and what it names itself where not given; raises ConfigError."""
    tree = _read_toml(path)
    own, meant = tree.get("operator"), tree.get("purpose")
    return parse_scorecard(
        tree,
        str(path),
        OperatorId(str(own)) if operator is None else operator,
        Purpose(str(meant)) if purpose is None else purpose,
    )


def load_config(path: Path) -> LoadedConfig:
    """Read a configuration file and the scorecards beside it; raises ConfigError."""
    return parse_config(_read_toml(path), path.resolve().parent, str(path))
