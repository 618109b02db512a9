"""Settings that central desires of this kiosk: a closed table of keys, kept over restarts, reported back.

Nothing in the table decides who passes, or opens a gate: such keys do not even decode. A desired
setting lies over the kiosk's own file; once it is taken back, the file's value holds again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from edge.adapters.central.link import Link
from edge.adapters.screen.texts import MESSAGES
from edge.adapters.storage.keyfile import write_secret
from edge.config import KioskConfig
from wire.codec import Received
from wire.fleet import Desired, RemarkedSetting, Reported, Setting, SettingRemark
from wire.topics import TopicKind

DESIRED_FILE = "desired.json"
LIVE = ("screen.language", "release.linger_ms", "standing.miss_deadline_ms")
"""Taken up while the kiosk runs."""
AT_START = ("camera.width_px", "camera.height_px", "camera.fps", "pack.threads", "records.max_mb")
"""Taken up at its next start."""
SETTABLE = (*LIVE, *AT_START)
NOTHING = Desired(0, ())

S = TypeVar("S", bound=msgspec.Struct)
log = logging.getLogger(__name__)


def read_desired(folder: Path) -> Desired:
    """What central desired of this kiosk before it started; nothing where that cannot be read."""
    try:
        return msgspec.json.decode((folder / DESIRED_FILE).read_bytes(), type=Desired)
    except FileNotFoundError:
        return NOTHING
    except (OSError, msgspec.DecodeError) as error:
        log.warning("%s is left out, central tells it again: %s", folder / DESIRED_FILE, error)
        return NOTHING


def with_desired(config: KioskConfig, desired: Desired) -> tuple[KioskConfig, dict[str, SettingRemark]]:
    """The configuration with desired settings over it, and why the rest of them is left out."""
    remarks: dict[str, SettingRemark] = {}
    for setting in desired.settings:
        if setting.key not in SETTABLE:
            remarks[setting.key] = SettingRemark.NOT_SETTABLE
            continue
        try:
            config = _with(config, setting.key, _value(config, setting))
        except ValueError:
            remarks[setting.key] = SettingRemark.BAD_VALUE
    return config, remarks


def _value(config: KioskConfig, setting: Setting) -> object:
    """The setting's value as its key's section has it; raises ValueError, msgspec's own included."""
    section, name = setting.key.split(".")
    fields = {field.name: field for field in msgspec.structs.fields(type(getattr(config, section)))}
    value: object = msgspec.convert(setting.value, fields[name].type, strict=False)
    if setting.key == "screen.language" and not (MESSAGES / f"{value}.json").exists():
        raise ValueError(f"no messages in {value}")
    return value


def _with(config: KioskConfig, key: str, value: object) -> KioskConfig:
    section, name = key.split(".")
    return _changed(config, **{section: _changed(getattr(config, section), **{name: value})})


def _changed(struct: S, **changes: Any) -> S:
    return msgspec.structs.replace(struct, **changes)


def _of(config: KioskConfig, key: str) -> object:
    section, name = key.split(".")
    return getattr(getattr(config, section), name)


class Shadow:
    """Takes up later desired settings, and reports: at each connection, and when something changed.

    `own` is the kiosk's file, `running` what it started with; `apply` is given what holds from now on.
    """

    def __init__(
        self,
        link: Link,
        folder: Path,
        own: KioskConfig,
        running: KioskConfig,
        apply: Callable[[KioskConfig], None],
    ) -> None:
        self._link, self._folder, self._own, self._apply = link, folder, own, apply
        self.running = running
        self._desired = read_desired(folder)
        link.listen(TopicKind.DESIRED, self._hear)
        link.on_connected.append(self._report)
        if link.connected:
            self._report()

    def reported(self) -> Reported:
        """The value of every setting that central may desire."""
        wanted, remarks = with_desired(self._own, self._desired)
        late = (key for key in AT_START if _of(wanted, key) != _of(self.running, key))
        found: Mapping[str, SettingRemark] = {
            **remarks,
            **dict.fromkeys(late, SettingRemark.NEEDS_RESTART),
        }
        return Reported(
            self._desired.version,
            tuple(Setting(key, str(_of(self.running, key))) for key in SETTABLE),
            tuple(RemarkedSetting(key, remark) for key, remark in sorted(found.items())),
        )

    def _report(self) -> None:
        self._link.say(TopicKind.REPORTED, self.reported())

    def _hear(self, received: Received, _retained: bool) -> None:
        desired = received.message
        if not isinstance(desired, Desired):
            return
        if desired.version <= self._desired.version:
            if desired != self._desired:  # the same told again is no news
                self._link.ignored["older_desired"] += 1
            return
        try:
            write_secret(self._folder / DESIRED_FILE, msgspec.json.encode(desired))
        except OSError as error:
            log.warning("desired settings cannot be kept, so they are not taken up: %s", error)
            self._link.ignored["desired_not_kept"] += 1
            return
        self._desired = desired
        wanted, _ = with_desired(self._own, desired)
        running = self.running
        for key in LIVE:
            running = _with(running, key, _of(wanted, key))
        if running != self.running:
            self.running = running
            self._apply(running)
        self._report()
