"""Shadows: a kiosk's desired settings, and those it reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from central.errors import ConflictError, RefusedError, UnknownError
from central.rules.fleet import Shadow
from central.service.context import Context
from central.service.kiosks import Kiosks
from wire.canonical import canonical
from wire.fields import SETTING_MAX
from wire.fleet import SETTINGS_MAX, Desired, Reported, Setting
from wire.ids import KioskId

DESIRED_MAX_BYTES = 7_680
"""The share of a shadow's 8 KiB that settings may take; the rest is the envelope's."""


class ShadowStore(Protocol):
    """Where shadows are kept."""

    def shadow(self, kiosk: KioskId) -> Shadow:
        """A kiosk's shadow; an empty one of version 0 where nothing was desired or reported."""
        ...

    def all_desired(self) -> Sequence[Shadow]:
        """The versions of every kiosk with desired settings, without the settings."""
        ...

    def save_desired(self, kiosk: KioskId, version: int, settings: Mapping[str, str], before: int) -> bool:
        """Store desired settings in place of version `before`; False when that is another by now."""
        ...

    def save_report(
        self,
        kiosk: KioskId,
        version: int,
        settings: Mapping[str, str],
        remarks: Mapping[str, str],
        now_ms: int,
    ) -> None:
        """Store what a kiosk reports, in place of what it reported before."""
        ...


class Shadows:
    """Desire settings of kiosks, and hear what came of it."""

    def __init__(self, context: Context, kiosks: Kiosks, store: ShadowStore) -> None:
        self._context, self._kiosks, self._store = context, kiosks, store

    def set(self, kiosk: KioskId, changes: Mapping[str, str | None]) -> Shadow:
        """Change desired settings; None takes one back. Raises UnknownError, RefusedError, ConflictError.

        What decides who passes (`match`, `search`, `confirm`, `gate`) and keys are refused here already.
        """
        if self._kiosks.paired(kiosk) is None:
            raise UnknownError("paired kiosk", kiosk)
        known = self._store.shadow(kiosk)
        settings = {**known.desired}
        for key, value in changes.items():
            _admit(key, value or "")
            if value is None:
                settings.pop(key, None)
            else:
                settings[key] = value
        # A central restored from a backup may know less than the kiosk does.
        version = max(known.desired_version, known.reported_version) + 1
        desired = desired_of(version, settings)
        if len(settings) > SETTINGS_MAX or len(canonical(desired)) > DESIRED_MAX_BYTES:
            raise RefusedError(
                f"a kiosk's shadow holds at most {SETTINGS_MAX} settings and {DESIRED_MAX_BYTES} bytes: "
                "take some back (KEY=)"
            )
        if not self._store.save_desired(kiosk, version, settings, known.desired_version):
            raise ConflictError("shadow", kiosk, "was changed meanwhile: look at it, and set it again")
        return self._store.shadow(kiosk)

    def of(self, kiosk: KioskId) -> Shadow:
        """What is desired and reported; raises UnknownError."""
        if self._kiosks.paired(kiosk) is None:
            raise UnknownError("paired kiosk", kiosk)
        return self._store.shadow(kiosk)

    def all_desired(self) -> Sequence[Shadow]:
        """The versions of every kiosk with desired settings, without the settings."""
        return self._store.all_desired()

    def desired(self, kiosk: KioskId) -> Desired:
        """What to tell a kiosk."""
        known = self._store.shadow(kiosk)
        return desired_of(known.desired_version, known.desired)

    def heard(self, kiosk: KioskId, reported: Reported) -> None:
        """Note what a kiosk reports."""
        settings = {each.key: each.value for each in reported.settings}
        remarks = {each.key: each.remark.value for each in reported.remarks}
        self._store.save_report(kiosk, reported.version, settings, remarks, self._context.now_ms())


def desired_of(version: int, settings: Mapping[str, str]) -> Desired:
    """The message of a version."""
    return Desired(version, tuple(Setting(key, value) for key, value in sorted(settings.items())))


def _admit(key: str, value: str) -> None:
    """Raise RefusedError for what no shadow may carry."""
    try:
        msgspec.convert([key, value], Setting)
    except msgspec.ValidationError:
        raise RefusedError(
            f"{key}={value}: a shadow carries section.key=value, each of at most {SETTING_MAX} characters, "
            "and never match, search, confirm, gate or keys: these are set at the kiosk itself"
        ) from None
