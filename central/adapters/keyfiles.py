"""Key files: 32 bytes in hexadecimal each, mode 600, in a folder of mode 700 outside the database.

The operator root and reviewers' keys lie elsewhere, sealed under a passphrase: see `sealed_keys`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path

import msgspec

from central.errors import ConflictError, SecretsError
from central.rules.authority import (
    Credentials,
    central_credentials,
    central_request,
    credential_fault,
)
from central.service.context import Identity
from wire.ids import OperatorId, SiteId
from wire.signing import Signer

KEY_BYTES = 32
KEY_FILES = ("central", "issuer", "box", "pepper", "database")
TRIAL_ROOT_FILE = "trial-root.key"
TOKEN_FILE = "api.token"  # noqa: S105 - a file's name
BEGUN_FILE = "database.begun"
"""There once a database was made for these keys: an empty one beside it is a mistake."""
REQUEST_FILE = "central.request.json"
CREDENTIALS_FILE = "central.credentials.json"


def write_private(path: Path, text: str) -> None:
    """Write a new file that nobody else may read; raises ConflictError when there is one."""
    try:
        path.touch(mode=0o600, exist_ok=False)
    except FileExistsError:
        raise ConflictError("key file", str(path), "exists already; it is never overwritten") from None
    path.write_text(text, encoding="utf-8")


def read_private(path: Path, remedy: str = "`stile central init` makes it") -> str:
    """A file that nobody else may read; raises SecretsError."""
    try:
        mode = path.stat().st_mode & 0o777
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        raise SecretsError(str(path), f"cannot be read; {remedy}") from None
    if mode & 0o077:
        raise SecretsError(str(path), f"others may read it (mode {mode:o}); chmod 600 it")
    return text.strip()


def read_key(path: Path) -> bytes:
    """A key of 32 bytes; raises SecretsError."""
    try:
        key = bytes.fromhex(read_private(path))
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise SecretsError(str(path), f"must hold {KEY_BYTES} bytes in hexadecimal")
    return key


def create_keys(
    folder: Path,
    operator: OperatorId,
    site: SiteId,
    *,
    root: Signer | None,
    now_ms: int,
    draw: Callable[[int], bytes],
) -> None:
    """Make every key file, and have the root certify them; without one a trial's root is put beside them.

    Raises ConflictError when the folder has keys already.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any((folder / f"{name}.key").exists() for name in KEY_FILES):
        raise ConflictError("keys", str(folder), "exist already; they are never overwritten")
    for name in KEY_FILES:
        write_private(folder / f"{name}.key", draw(KEY_BYTES).hex())
    write_private(folder / TOKEN_FILE, secrets.token_urlsafe(32))
    if root is None:
        write_private(folder / TRIAL_ROOT_FILE, draw(KEY_BYTES).hex())
        root = load_trial_root(folder)
    central, issuer = (Signer.from_seed(read_key(folder / f"{name}.key")) for name in ("central", "issuer"))
    request = central_request(operator, site, central, issuer)
    write_private(folder / REQUEST_FILE, msgspec.json.encode(request).decode())
    credentials = central_credentials(request, root, now_ms)
    write_private(folder / CREDENTIALS_FILE, msgspec.json.encode(credentials).decode())


def load_trial_root(folder: Path) -> Signer:
    """The root of a trial, which lies beside central; raises SecretsError where it is offline."""
    return Signer.from_seed(read_key(folder / TRIAL_ROOT_FILE))


def write_replaced(path: Path, text: str) -> None:
    """Write a file that nobody else may read, whole, in place of what was there."""
    made = path.with_name(f"{path.name}.new")
    made.touch(mode=0o600)
    made.write_text(text, encoding="utf-8")
    made.replace(path)


def load_identity(folder: Path, operator: OperatorId, site: SiteId) -> Identity:
    """Central's keys; raises SecretsError naming the file and what to do."""
    central, issuer, box, pepper, database = (read_key(folder / f"{name}.key") for name in KEY_FILES)
    path = folder / CREDENTIALS_FILE
    try:
        credentials = msgspec.json.decode(
            read_private(path, f"have the root sign {REQUEST_FILE}: `stile central root sign`"),
            type=Credentials,
        )
    except msgspec.MsgspecError as error:
        raise SecretsError(str(path), f"holds no credentials: {error}") from None
    signer, certifier = Signer.from_seed(central), Signer.from_seed(issuer)
    keys = (signer.public_key, certifier.public_key)
    if (fault := credential_fault(credentials, operator=operator, site=site, keys=keys)) is not None:
        raise SecretsError(str(path), f"{fault}; have the root sign {REQUEST_FILE} of this folder")
    root_is_here = (folder / TRIAL_ROOT_FILE).exists()
    return Identity(signer, certifier, credentials, root_is_here, box, pepper, database)


def load_token(folder: Path) -> str:
    """The HTTP API's bearer token."""
    return read_private(folder / TOKEN_FILE)


def load_password(path: Path) -> str:
    """PostgreSQL's password; raises SecretsError."""
    return read_private(path)
