"""The kiosk's configuration: one frozen tree of the sections that the stages declare.

An unknown key or a value out of bounds is an error that names the line, the key and what is allowed.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from edge.capture.detection import ZoneConfig
from edge.capture.tracking import TrackingConfig
from edge.compare.bound import SearchConfig
from edge.confirm.liveness import ConfirmConfig
from edge.decide.passback import PassbackConfig
from edge.decide.standing import StandingConfig
from edge.enact.charge import PayConfig
from edge.enact.drop_order import RecordsConfig
from edge.enact.enrolling import EnrolConfig
from edge.enact.gate import GateSection as GateSection
from edge.enact.release import ReleaseConfig
from edge.enact.schedule import ScheduleConfig, TimesError, parse_times
from edge.errors import ConfigError
from firmware_bridge.messages import Direction

MOVED = {
    "quality": "is read from the manifest.toml of the pack, and not from here (models/PACKS.md). Delete it.",
    "opening": "is called [schedule] now. Rename it.",
    **dict.fromkeys(
        ("enrol.answer_ms", "enrol.consent_ms", "enrol.samples_ms", "enrol.card_ms"),
        "there is no such key any more; give enrol.patience, which lengthens every step",
    ),
}
"""Sections and keys of earlier versions, and what became of each; after a section the rest of a sentence."""

PathText = Annotated[str, Meta(min_length=1, max_length=1024)]
Port = Annotated[int, Meta(ge=0, le=65_535)]


class KioskSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Section `kiosk`: what it is and where it keeps its keys and its databases."""

    state_dir: PathText
    mode: Literal["turnstile", "pay", "enrol"] = "turnstile"


class CameraSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Section `camera`: a number as OpenCV counts them, a path such as /dev/v4l/by-id/…, or `browser`.

    With `browser` the camera is that of whoever has the kiosk's page open and in sight.
    """

    device: Annotated[int, Meta(ge=0, le=63)] | PathText = 0
    width_px: Annotated[int, Meta(ge=160, le=3840)] = 640
    height_px: Annotated[int, Meta(ge=120, le=2160)] = 480
    fps: Annotated[int, Meta(ge=1, le=120)] = 30

    @property
    def in_browser(self) -> bool:
        """Whether the kiosk's page is the camera."""
        return self.device == "browser"


class PackSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Section `pack`: `default` or the folder of another pack; its detector, and threads of a network."""

    path: PathText = "default"
    detector: PathText | None = None
    threads: Annotated[int, Meta(ge=1, le=64)] = 2

    @property
    def folder(self) -> Path | None:
        """The folder of another pack; None is the shipped one, as `models.registry.open_pack` has it."""
        return None if self.path == "default" else Path(self.path)


class MatchSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Section `match`: the false match rate a comparison may have; the pack says at which threshold."""

    max_fmr: Literal["1e-2", "1e-3", "1e-4", "1e-5"] = "1e-4"


class BrokerSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Section `broker`: where MQTT is and how it is spoken to, where that is not as pairing said."""

    host: Annotated[str, Meta(min_length=1, max_length=253)] | None = None
    port: Annotated[int, Meta(ge=1, le=65_535)] | None = None
    ca_file: PathText | None = None
    certificate_file: PathText | None = None
    key_file: PathText | None = None
    server_name: Annotated[str, Meta(min_length=1, max_length=253)] | None = None

    @property
    def missing_file(self) -> str | None:
        """The key of a file that belongs to those given."""
        files = {
            "ca_file": self.ca_file,
            "certificate_file": self.certificate_file,
            "key_file": self.key_file,
        }
        missing = [key for key, path in files.items() if path is None]
        return missing[0] if missing and len(missing) < len(files) else None


class ScreenSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Section `screen`: where the kiosk's own browser finds it; 0 is any free port."""

    host: Literal["127.0.0.1", "::1"] = "127.0.0.1"
    port: Port = 8_470
    language: Annotated[str, Meta(pattern=r"^[a-z]{2,3}\Z")] = "en"


class TillSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Section `till`: where tills find this kiosk's own API; 0 is any free port.

    `token_file`: made at the first start, of mode 600; None is `till.token` in the kiosk's folder.
    """

    host: Annotated[str, Meta(min_length=1, max_length=253)] = "127.0.0.1"
    port: Port = 8_471
    token_file: PathText | None = None


class PreviewSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Section `preview`: the live picture on the screen, made only while a page looks."""

    fps: Annotated[int, Meta(ge=1, le=60)] = 20
    width_px: Annotated[int, Meta(ge=160, le=1280)] = 480


class KioskConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole configuration of a kiosk."""

    kiosk: KioskSection
    gate: GateSection | None = None
    camera: CameraSection = CameraSection()
    pack: PackSection = PackSection()
    match: MatchSection = MatchSection()
    search: SearchConfig = SearchConfig()
    zone: ZoneConfig = ZoneConfig()
    tracking: TrackingConfig = TrackingConfig()
    confirm: ConfirmConfig = ConfirmConfig()
    standing: StandingConfig = StandingConfig()
    passback: PassbackConfig = PassbackConfig()
    release: ReleaseConfig = ReleaseConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    records: RecordsConfig = RecordsConfig()
    screen: ScreenSection = ScreenSection()
    preview: PreviewSection = PreviewSection()
    pay: PayConfig | None = None
    till: TillSection = TillSection()
    enrol: EnrolConfig | None = None
    broker: BrokerSection | None = None

    def __post_init__(self) -> None:
        """Settle what one section leaves to another: money, or a face alone, asks for a challenge."""
        if self.confirm.challenge is None:
            risky = self.search.mode == "one_to_many" or self.kiosk.mode == "pay"
            settled: Literal["always", "never"] = "always" if risky else "never"
            confirm = msgspec.structs.replace(self.confirm, challenge=settled)
            msgspec.structs.force_setattr(self, "confirm", confirm)

    @property
    def turnstile_gate(self) -> GateSection:
        """The gate of a turnstile; raises `ConfigError` where the kiosk has none."""
        if self.gate is None:
            wanted = "is missing: only a turnstile has a gate, so give kiosk.mode and this section together"
            raise ConfigError("[gate]", None, wanted)
        return self.gate


def read_config(path: Path) -> KioskConfig:
    """The configuration in a TOML file; raises `ConfigError` naming file, line, key and bound."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError("--config", str(path), f"cannot be read ({error}): give a TOML file") from error
    return parse_config(text, str(path))


def parse_config(text: str, where: str) -> KioskConfig:
    """The configuration in TOML text; raises `ConfigError` naming `where`, line, key and bound."""
    try:
        config = msgspec.toml.decode(text, type=KioskConfig)
    except msgspec.ValidationError as error:
        raise _located(str(error), text, where) from error
    except msgspec.DecodeError as error:
        raise ConfigError(where, None, f"is not TOML: {error}") from error
    require_agreement(config, lambda section, key: _at(text, where, section, key))
    return config


def require_agreement(
    config: KioskConfig, at: Callable[[str, str], str] = lambda section, key: _name(section, key)
) -> None:
    """Raise `ConfigError` where two sections contradict each other; `at` names a key of a section."""
    standing = config.standing
    limits_s = {
        ("grace_s", "fresh_s"): (standing.grace_s, standing.fresh_s),
        ("gallery_grace_s", "gallery_fresh_s"): (standing.gallery_grace_s, standing.gallery_fresh_s),
    }
    for (grace, fresh), (grace_s, fresh_s) in limits_s.items():
        if grace_s < fresh_s:
            raise ConfigError(
                at("standing", grace), grace_s, f"must be at least standing.{fresh}, which is {fresh_s}"
            )
    if config.search.mode == "one_to_many" and config.confirm.challenge != "always":
        raise ConfigError(
            at("confirm", "challenge"),
            config.confirm.challenge,
            'with search.mode = "one_to_many" a photograph would be all it takes: give "always" or leave it '
            'out, or set search.mode = "one_to_one"',
        )
    try:
        parse_times(config.schedule.times)
    except TimesError as error:
        raise ConfigError(at("schedule", "times"), error.text, str(error)) from error
    if config.broker is not None and (missing := config.broker.missing_file) is not None:
        raise ConfigError(
            at("broker", missing),
            None,
            "is missing: TLS takes ca_file, certificate_file and key_file: give all three, or none",
        )
    if config.kiosk.mode == "turnstile":
        _require_gate(config, at)
    else:
        _require_no_gate(config, at)
    if config.pay is None and config.kiosk.mode == "pay":
        wanted = 'is missing, and kiosk.mode = "pay" needs it: pay.merchant says who gets the money'
        raise ConfigError(at("pay", ""), None, wanted)
    for mode, given in (("pay", config.pay), ("enrol", config.enrol)):
        if given is not None and config.kiosk.mode != mode:
            raise ConfigError(at(mode, ""), None, _only_with(mode, config))
    if (enrol := config.enrol) is not None and enrol.samples_most < enrol.samples_least:
        wanted = f"must be at least enrol.samples_least, which is {enrol.samples_least}"
        raise ConfigError(at("enrol", "samples_most"), enrol.samples_most, wanted)


def _only_with(mode: str, config: KioskConfig) -> str:
    read = f'is only read when kiosk.mode = "{mode}", but it is "{config.kiosk.mode}"'
    return f"{read}. Change kiosk.mode, or delete the section."


def _require_no_gate(config: KioskConfig, at: Callable[[str, str], str]) -> None:
    if config.gate is not None:
        raise ConfigError(at("gate", ""), None, _only_with("turnstile", config))
    turnstile_only = {
        ("release", "fare"): (config.release.fare, "none"),
        ("passback", "mode"): (config.passback.mode, "off"),
        ("schedule", "times"): (config.schedule.times, ()),
    }
    for (section, key), (given, none) in turnstile_only.items():
        if given != none:
            mode = f'needs kiosk.mode = "turnstile", but it is "{config.kiosk.mode}"'
            raise ConfigError(at(section, key), given, f"{mode}. Change kiosk.mode, or leave {key} out.")


def _require_gate(config: KioskConfig, at: Callable[[str, str], str]) -> None:
    if config.gate is None:
        raise ConfigError(at("gate", ""), None, "is missing, and a turnstile needs it: docs/gates.md")
    if (said := config.gate.complaint()) is not None:
        section, key, wanted = said
        raise ConfigError(at(section, key), None, wanted)
    wiring = config.gate.wiring
    if Direction[config.release.direction.upper()] not in wiring.relays:
        raise ConfigError(
            at("release", "direction"),
            config.release.direction,
            f"section gate.{config.gate.driver} has no relay for it: wire one, or give the other direction",
        )
    if config.release.fare == "on_passage" and not wiring.beams:
        raise ConfigError(
            at("release", "fare"),
            config.release.fare,
            f'needs a gate that reports passages, which gate.driver = "{config.gate.driver}" as it is wired '
            'cannot: give "none", wire both beams to a driver that reads them (modbus, gpio), or use '
            'gate.driver = "own"; docs/gates.md',
        )
    if config.passback.mode != "off" and not wiring.beams:
        raise ConfigError(
            at("passback", "mode"),
            config.passback.mode,
            'needs a gate that reports passages, or nobody is known to have gone in: give "off", or another '
            "gate.driver; docs/gates.md",
        )


def _located(complaint: str, text: str, where: str) -> ConfigError:
    """Msgspec's complaint, with the line it is about, the value there, and the key that was perhaps meant."""
    at = re.search(r"`\$\.?([\w.]*)", complaint)
    path = at[1] if at else ""
    wanted = re.sub(r" - at `.*`$", "", complaint)
    field = re.search(r"(unknown|required) field `(\w+)`", complaint)
    whole = ".".join(filter(None, (path, field[2]))) if field else path
    value = _value(text, whole)
    section, _, key = whole.rpartition(".")
    if isinstance(value, dict) or (section == "" and value is None):
        section, key = whole, ""
    if field and field[1] == "required":
        wanted = "is missing"
    elif field:
        wanted = MOVED.get(whole) or _unknown(field[2], _keys_of(path), "section" if key == "" else "key")
    return ConfigError(_at(text, where, section, key), value, wanted)


def _unknown(name: str, known: list[str], kind: str) -> str:
    close = difflib.get_close_matches(name, known, 1, cutoff=0.5)
    meant = f"did you mean {close[0]}?" if close else f"known: {', '.join(known)}"
    return f"is no section here; {meant}" if kind == "section" else f"there is no such key; {meant}"


def _keys_of(section: str) -> list[str]:
    struct: type[msgspec.Struct] = KioskConfig
    for name in filter(None, section.split(".")):
        kind = next(field.type for field in msgspec.structs.fields(struct) if field.name == name)
        struct = getattr(kind, "__args__", (kind,))[0]
    return [field.name for field in msgspec.structs.fields(struct)]


def _line(text: str, section: str, key: str) -> int:
    """The line of a key in its section, or of the section; 1 when neither is in the text."""
    found, inside = 1, section == ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[\s*([\w.]+)\s*\]", line):
            inside = header[1] == section
            if header[1] in {section, key, f"{section}.{key}"}:
                found = number
        elif inside and key and re.match(rf"\s*{re.escape(key)}\s*=", line):
            return number
    return found


def _at(text: str, where: str, section: str, key: str) -> str:
    return f"{where}:{_line(text, section, key)}: {_name(section, key)}"


def _name(section: str, key: str) -> str:
    """`section.key`; without a key `[section]`, as the file has it."""
    return ".".join(filter(None, (section, key))) if key else f"[{section}]"


def _value(text: str, path: str) -> object:
    """What the file says at a path; None where it says nothing."""
    value = msgspec.toml.decode(text)
    for step in filter(None, path.split(".")):
        value = value.get(step) if isinstance(value, dict) else None
    return value
