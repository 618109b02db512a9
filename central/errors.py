"""Errors of central. Each message says what to do; expected outcomes (a wrong PIN) are values, not errors.

CentralError
├── ConfigError            a config or scorecard key that cannot be used (exit code 2)
├── UnknownError           no subject, kiosk, restriction or passage of that name
├── ConflictError          it exists already, or is not in the state the change needs
├── RefusedError           a rule says no: a signature, a bound, a missing consent
├── SecretsError           a key file is missing, readable by others, or of the wrong length
├── StorageError           the database cannot be opened
├── SchemaError            the database is of another version of Stile
├── LeaseError             a site's database does not answer, or ended the worker's connection
├── UnbalancedError        a transaction of the ledger that does not balance: never posted
└── ProviderError          the payment provider cannot be reached; it is asked again
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from wire.toml import as_toml


class CentralError(Exception):
    """Root of what `central` raises."""


class ConfigError(CentralError):
    """A key that cannot be used: which, what it says, and what it may say."""

    def __init__(self, where: str, key: str, value: object, bound: str) -> None:
        written = as_toml(value)
        super().__init__(f"{where}: {key}{f' = {written}' if written is not None else ''}: {bound}")
        self.where = where
        self.key = key
        self.value = value
        self.bound = bound

    @staticmethod
    def of(where: str, tree: Mapping[str, Any], complaint: str) -> ConfigError:
        """From msgspec's complaint about a tree (`… - at `$.mqtt.port``): names the key and what it says."""
        rule, _, at = complaint.partition(" - at ")
        key = at.strip("`").removeprefix("$").lstrip(".")
        if (unknown := re.search(r"unknown field `(.*)`", rule)) is not None:
            key, rule = f"{key}.{unknown[1]}".lstrip("."), "there is no such key; remove it or mend its name"
        found: Any = tree
        for step in re.findall(r"[^.\[\]]+", key):
            if isinstance(found, list) and step.isdigit() and int(step) < len(found):
                found = found[int(step)]
            else:
                found = found.get(step) if isinstance(found, Mapping) else None
        return ConfigError(where, key or "(whole file)", found, rule)


class UnknownError(CentralError):
    """Nothing of that name is known here."""

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f"no {kind} {name!r} here: check the id")
        self.kind = kind
        self.name = name


class ConflictError(CentralError):
    """A change that does not fit what is stored."""

    def __init__(self, kind: str, name: str, why: str) -> None:
        super().__init__(f"{kind} {name!r}: {why}")
        self.kind = kind
        self.name = name
        self.why = why


class RefusedError(CentralError):
    """A rule says no."""

    def __init__(self, rule: str) -> None:
        super().__init__(rule)
        self.rule = rule


class SecretsError(CentralError):
    """A key file that central cannot use."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"{path}: {why}")
        self.path = path
        self.why = why


class StorageError(CentralError):
    """A database that cannot be opened; `why` ends with what to do."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"{path}: {why}")
        self.path = path
        self.why = why


class SchemaError(CentralError):
    """A database of a version that this one neither reads nor upgrades."""

    def __init__(self, path: str, found: str, known: Sequence[str]) -> None:
        super().__init__(
            f"{path} has the schema {found!r}, and this version of Stile reads {', '.join(known)}: "
            "start the version that wrote it, or name a new database"
        )
        self.path = path
        self.found = found
        self.known = tuple(known)


class LeaseError(CentralError):
    """A worker cannot have, or keep, the lease of a site."""

    def __init__(self, site: str, database: str, why: str) -> None:
        super().__init__(f"{site}: {database}: {why}; see that PostgreSQL runs, and the way to it")
        self.site = site
        self.database = database
        self.why = why


class UnbalancedError(CentralError):
    """Entries that do not balance: a fault of the program, before anything was posted."""

    def __init__(self, posting: str) -> None:
        super().__init__(f"transaction {posting} does not balance; nothing was posted: report this")
        self.posting = posting


class ProviderError(CentralError):
    """The payment provider did not answer; what was asked keeps its key and is asked again."""

    def __init__(self, provider_order: str, why: str) -> None:
        super().__init__(f"payment provider: {provider_order}: {why}; it is asked again under the same key")
        self.provider_order = provider_order
        self.why = why
