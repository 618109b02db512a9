"""Errors of the wire: what a caller did wrong. Hostile bytes are never an exception, see `codec.Rejected`.

WireError
├── MalformedIdError      a text is not an id of the named kind
├── MalformedKeyError     key bytes of the wrong length or form
├── TooLargeError         a message does not fit its topic
├── SealBrokenError       a sealed value does not open with the keys at hand
└── TransportError        a connection or a server cannot be made
    ├── TlsFileError      a file of TLS cannot be used
    └── ListenError       an address cannot be listened at
"""

from __future__ import annotations

from pathlib import Path


class WireError(Exception):
    """Root of what `wire` raises."""


class MalformedIdError(WireError):
    """A text is not an id of its kind."""

    def __init__(self, kind: str, text: str, rule: str) -> None:
        super().__init__(f"{text[:80]!r} is not a valid {kind}: use {rule}")
        self.kind = kind
        self.text = text
        self.rule = rule


class MalformedKeyError(WireError):
    """Key bytes have the wrong length or form."""

    def __init__(self, name: str, expected_bytes: int, found_bytes: int) -> None:
        super().__init__(f"{name} must be {expected_bytes} bytes, found {found_bytes}: check the key file")
        self.name = name
        self.expected_bytes = expected_bytes
        self.found_bytes = found_bytes


class TooLargeError(WireError):
    """A message does not fit the size its topic allows."""

    def __init__(self, topic: str, max_bytes: int, found_bytes: int) -> None:
        super().__init__(f"{topic}: {found_bytes} bytes, at most {max_bytes}: split it before sending")
        self.topic = topic
        self.max_bytes = max_bytes
        self.found_bytes = found_bytes


class SealBrokenError(WireError):
    """A sealed value does not open: wrong key, wrong owner, or changed on the way."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} does not open: the key is not the one it was sealed with, or it was changed"
        )
        self.what = what


class TransportError(WireError):
    """Root of what `wire.transport` raises."""


class TlsFileError(TransportError):
    """A CA, certificate or key that cannot be used: which file, why, and what to do."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path} {why}")
        self.path = path
        self.why = why


class ListenError(TransportError):
    """An address that a server cannot have."""

    def __init__(self, address: str, why: str) -> None:
        super().__init__(f"{address} cannot be listened at: {why}")
        self.address = address
        self.why = why
