"""What every `stile central` command shares: its configuration option, and how expected errors are told."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from scripts.output import EXIT_FAILED, EXIT_UNUSABLE, fail
from wire.errors import WireError

ConfigFile = Annotated[Path, typer.Option("--config", help="Central's configuration.")]
DEFAULT_CONFIG = Path("central.toml")


@contextlib.contextmanager
def expected_errors() -> Iterator[None]:
    """Tell an expected error in one line: exit code 2 for configuration and keys, 1 for a refusal."""
    from central.errors import CentralError, ConfigError, SecretsError

    try:
        yield
    except (ConfigError, SecretsError) as error:
        fail(error, EXIT_UNUSABLE)
    except (CentralError, WireError, OSError) as error:
        fail(error, EXIT_FAILED)
