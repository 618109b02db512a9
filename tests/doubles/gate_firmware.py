"""Builds of the gate's firmware, once a session and only where their compilers are there."""

import functools
import subprocess
import tempfile
from pathlib import Path

import pytest

from firmware_bridge.auth import derive_keys
from firmware_bridge.conformance.build import BuildError, build_avr, build_host, build_simavr

KEYS = derive_keys(bytes(range(32)), "gate-1")

_FOLDER = tempfile.TemporaryDirectory(prefix="stile-firmware-tests-")
FOLDER = Path(_FOLDER.name)


@functools.cache
def _built(build, **options):
    folder = FOLDER / f"{build.__name__}-{'-'.join(options)}"
    folder.mkdir(exist_ok=True)
    try:
        return build(folder, **options)
    except BuildError as error:
        if "missing" in str(error) or "no C compiler" in str(error):
            return error
        raise


def _or_skip(found):
    if isinstance(found, BuildError):
        pytest.skip(str(found))
    return found


def has_file(compiler, library):
    """Whether a compiler finds a library of its own; Debian packs some apart."""
    found = subprocess.run(
        [compiler, f"-print-file-name={library}"], check=True, capture_output=True, text=True
    )
    return found.stdout.strip() != library


def host_build(sanitized=True):
    return _or_skip(_built(build_host, sanitized=sanitized))


def avr_build():
    return _or_skip(_built(build_avr))


def simavr_runner():
    return _or_skip(_built(build_simavr))
