"""A key file under a passphrase: the operator root's, and a reviewer's own."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from msgspec import Meta

from central.adapters.keyfiles import KEY_BYTES, read_key, read_private, write_private
from central.errors import RefusedError, SecretsError
from wire import fields as f
from wire.canonical import joined
from wire.errors import SealBrokenError
from wire.ids import OperatorId
from wire.sealing import open_seal, seal
from wire.signing import Signer

SCRYPT_COST = 2**16
"""With blocks of 1 KiB, 64 MiB and a fifth of a second for each guess at a passphrase."""
PASSPHRASE_MIN = 12
"""Characters. A file that is copied can be guessed at for ever."""
SALT_BYTES, NONCE_BYTES = 16, 12
_VERSION = 1
_SEALED = b"stile sealed key v1"

Holder = Literal["root", "reviewer"]


class SealedKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose key it is, in the open, and its seed under a passphrase. `name` is empty for the root."""

    holder: Holder
    operator: f.Operator
    name: Annotated[str, Meta(max_length=32)]
    public_key: f.PublicKeyBytes
    salt: Annotated[bytes, Meta(min_length=SALT_BYTES, max_length=SALT_BYTES)]
    sealed: f.SealedSmallBytes

    @property
    def binding(self) -> bytes:
        """What the seal holds together."""
        return joined(
            _SEALED, self.holder.encode(), self.operator.encode(), self.name.encode(), self.public_key
        )


def _key_of(passphrase: str, salt: bytes) -> bytes:
    typed = unicodedata.normalize("NFC", passphrase)  # another keyboard may compose letters otherwise
    return Scrypt(salt=salt, length=KEY_BYTES, n=SCRYPT_COST, r=8, p=1).derive(typed.encode())


def check_passphrase(passphrase: str) -> None:
    """Admit a passphrase for a new file; raises RefusedError."""
    if len(passphrase) < PASSPHRASE_MIN:
        raise RefusedError(f"a passphrase has at least {PASSPHRASE_MIN} characters: give a longer one")


def create_sealed(
    path: Path,
    holder: Holder,
    operator: OperatorId,
    name: str,
    *,
    passphrase: str,
    draw: Callable[[int], bytes],
) -> Signer:
    """Make a key and write it under a passphrase; raises ConflictError or RefusedError."""
    check_passphrase(passphrase)
    seed, salt, nonce = draw(KEY_BYTES), draw(SALT_BYTES), draw(NONCE_BYTES)
    signer = Signer.from_seed(seed)
    made = SealedKey(holder, operator, name, signer.public_key, salt, b"")
    sealed = seal(_key_of(passphrase, salt), _VERSION, nonce, seed, made.binding)
    write_private(path, msgspec.json.encode(msgspec.structs.replace(made, sealed=sealed)).decode())
    return signer


def read_sealed(path: Path, holder: Holder) -> SealedKey:
    """A key file before it is opened; raises SecretsError."""
    remedy = "`stile central root init` makes it" if holder == "root" else "`stile reviewer request` makes it"
    try:
        found = msgspec.json.decode(read_private(path, remedy), type=SealedKey)
    except msgspec.MsgspecError:
        raise SecretsError(str(path), f"is no key file of a {holder}; {remedy}") from None
    if found.holder != holder:
        raise SecretsError(str(path), f"is the key file of a {found.holder}, not of a {holder}")
    return found


def open_sealed(path: Path, holder: Holder, passphrase: str) -> Signer:
    """The key of a file; raises SecretsError for a passphrase that is not its own."""
    found = read_sealed(path, holder)
    try:
        seed = open_seal({_VERSION: _key_of(passphrase, found.salt)}, found.sealed, found.binding)
    except SealBrokenError:
        raise SecretsError(str(path), "does not open with this passphrase") from None
    signer = Signer.from_seed(seed)
    if signer.public_key != found.public_key:
        raise SecretsError(str(path), "holds another key than it says")
    return signer


def is_trial_root(path: Path) -> bool:
    """Whether a file is a trial's root, which no passphrase seals."""
    try:
        read_key(path)
    except SecretsError:
        return False
    return True
