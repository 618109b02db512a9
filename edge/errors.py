"""Every error of the kiosk.

StileError
├── ConfigError        the configuration cannot be used; exit code 2
├── CameraError        the camera cannot be opened
├── PairingError       central refused to pair this kiosk
├── StoreError         the kiosk's own database cannot be used
├── CheckoutError      a checkout is not in a state for what is asked of it
├── TemplateError      templates that cannot be compared were put together
└── FixtureError       a recording or a folder of images cannot be replayed

NotInTableError         a bug: an observation that a step of a table neither handles nor ignores

What is expected to happen (no match, a stale cache, a gate at fault) is a value, not an error.
"""

from __future__ import annotations

from enum import StrEnum

from wire.toml import as_toml


class StileError(Exception):
    """Anything that goes wrong at a kiosk; its message says what to do."""


class ConfigError(StileError):
    """A configuration that cannot be used: the option, its value and the bound it broke.

    Where the value is None, `wanted` goes on with the sentence that `option` begins.
    """

    def __init__(self, option: str, value: object, wanted: str) -> None:
        written = as_toml(value)
        super().__init__(f"{option} {wanted}" if written is None else f"{option} = {written}: {wanted}")
        self.option, self.value, self.wanted = option, value, wanted


class CameraError(StileError):
    """A camera that cannot be opened or read."""


class PairingError(StileError):
    """Central refused to pair this kiosk, or could not be asked."""


class StoreError(StileError):
    """The kiosk's database cannot be opened, read or written."""


class CheckoutError(StileError):
    """A checkout that is unknown, over, or another than the one asked for; `code` is for programs."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class TemplateError(StileError):
    """A template or probe of another recipe, or a subject twice in a gallery."""


class FixtureError(StileError):
    """A recording, a folder of images or a claims file that cannot be replayed."""


class NotInTableError(AssertionError):
    """A step got an observation that it neither handles nor ignores: code and table disagree."""

    def __init__(self, step: StrEnum, told: object) -> None:
        super().__init__(f"{type(told).__name__} is neither handled nor ignored in {step.value}")
