"""Key files: 32 bytes in hexadecimal each, mode 600, in a folder of mode 700 outside the database."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path

import msgspec

from central.errors import ConflictError, SecretsError
from central.rules.fleet import certify
from central.service.context import Identity
from wire import fields as f
from wire.ids import OperatorId, ReviewerId
from wire.signing import Signer
from wire.values import Certificate, Role

KEY_BYTES = 32
KEY_FILES = ("root", "central", "box", "pepper", "database")
TOKEN_FILE = "api.token"  # noqa: S105 - a file's name
CERTIFICATE_FILE = "central.certificate.json"
BEGUN_FILE = "database.begun"
"""There once a database was made for these keys: an empty one beside it is a mistake."""


class ReviewerKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A reviewer's own key file: the seed that signs, and the root's certificate for it."""

    seed: f.DigestBytes
    certificate: Certificate

    def __repr__(self) -> str:
        """Nothing of what is in it."""
        return f"{type(self).__name__}(…)"


def _write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600, exist_ok=False)
    path.write_text(text, encoding="ascii")


def _read_private(path: Path) -> str:
    try:
        mode = path.stat().st_mode & 0o777
        text = path.read_text(encoding="ascii")
    except (OSError, ValueError):
        raise SecretsError(str(path), "cannot be read; `stile central init` makes it") from None
    if mode & 0o077:
        raise SecretsError(str(path), f"others may read it (mode {mode:o}); chmod 600 it")
    return text.strip()


def _read_key(path: Path) -> bytes:
    try:
        key = bytes.fromhex(_read_private(path))
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise SecretsError(str(path), f"must hold {KEY_BYTES} bytes in hexadecimal")
    return key


def create_keys(folder: Path, operator: OperatorId, now_ms: int, draw: Callable[[int], bytes]) -> None:
    """Make every key file; raises ConflictError when the folder has keys already."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any((folder / f"{name}.key").exists() for name in KEY_FILES):
        raise ConflictError("keys", str(folder), "exist already; they are never overwritten")
    for name in KEY_FILES:
        _write_private(folder / f"{name}.key", draw(KEY_BYTES).hex())
    _write_private(folder / TOKEN_FILE, secrets.token_urlsafe(32))
    root = Signer.from_seed(_read_key(folder / "root.key"))
    central = Signer.from_seed(_read_key(folder / "central.key"))
    certificate = certify(
        operator,
        Role.CENTRAL,
        name="central",
        site="",
        public_key=central.public_key,
        now_ms=now_ms,
        root=root,
    )
    _write_private(folder / CERTIFICATE_FILE, msgspec.json.encode(certificate).decode())


def load_identity(folder: Path) -> Identity:
    """Central's keys; raises SecretsError naming the file and what to do."""
    root, central, box, pepper, database = (_read_key(folder / f"{name}.key") for name in KEY_FILES)
    path = folder / CERTIFICATE_FILE
    try:
        certificate = msgspec.json.decode(_read_private(path), type=Certificate)
    except msgspec.MsgspecError as error:
        raise SecretsError(str(path), f"is no certificate: {error}") from None
    return Identity(Signer.from_seed(root), Signer.from_seed(central), certificate, box, pepper, database)


def load_token(folder: Path) -> str:
    """The HTTP API's bearer token."""
    return _read_private(folder / TOKEN_FILE)


def load_password(path: Path) -> str:
    """PostgreSQL's password; raises SecretsError."""
    return _read_private(path)


def create_reviewer(
    path: Path,
    reviewer: ReviewerId,
    *,
    operator: OperatorId,
    root: Signer,
    now_ms: int,
    draw: Callable[[int], bytes],
) -> ReviewerKey:
    """Make a reviewer's key file, certified by the root; raises ConflictError when the file exists."""
    if path.exists():
        raise ConflictError("reviewer key", str(path), "exists already; it is never overwritten")
    seed = draw(KEY_BYTES)
    public_key = Signer.from_seed(seed).public_key
    made = ReviewerKey(
        seed,
        certify(
            operator, Role.REVIEWER, name=reviewer, site="", public_key=public_key, now_ms=now_ms, root=root
        ),
    )
    _write_private(path, msgspec.json.encode(made).decode())
    return made


def load_reviewer(path: Path) -> ReviewerKey:
    """A reviewer's key file; raises SecretsError."""
    try:
        return msgspec.json.decode(_read_private(path), type=ReviewerKey)
    except msgspec.MsgspecError as error:
        raise SecretsError(str(path), f"is no reviewer key: {error}") from None
