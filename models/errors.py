"""What can go wrong with a pack. Each message names the file or key and says what to do.

ModelsError
├── PackNotFoundError       there is no manifest where the pack should be
├── ManifestError           the manifest has an unknown key, a wrong value or a dangling name
├── FileMissingError        the manifest lists a file that is not in the folder
├── FileDigestError         a file's bytes are not those the manifest names
├── TensorError             a network's inputs or outputs are not as declared
├── GoldenError             a network answers differently from its golden vectors
├── OperatingPointError     nothing was measured for the asked rate, template and probe
└── ExportUnavailableError  the export environment is not installed
"""

from __future__ import annotations


class ModelsError(Exception):
    """Base of every error of this house; its text is fit to show to an operator."""


class PackNotFoundError(ModelsError):
    """No `manifest.toml` at `where`."""

    def __init__(self, where: str) -> None:
        self.where = where
        super().__init__(
            f"no manifest.toml in {where}: give the folder of a pack, "
            "or leave the path out for the default pack"
        )


class ManifestError(ModelsError):
    """The manifest at `where` breaks the rule `reason`."""

    def __init__(self, where: str, reason: str) -> None:
        self.where = where
        self.reason = reason
        super().__init__(f"{where}: {reason}. Correct the manifest, or obtain the pack again from its author")


class FileMissingError(ModelsError):
    """The pack `pack` lists `file`, and the folder does not hold it."""

    def __init__(self, pack: str, file: str) -> None:
        self.pack = pack
        self.file = file
        super().__init__(
            f"pack {pack}: {file} is listed in its manifest and missing from its folder: "
            "install the pack again"
        )


class FileDigestError(ModelsError):
    """The SHA-256 of `file` is `found`, the manifest says `expected`."""

    def __init__(self, pack: str, file: str, expected: str, found: str) -> None:
        self.pack = pack
        self.file = file
        self.expected = expected
        self.found = found
        super().__init__(
            f"pack {pack}: {file} is not the file its manifest names (sha256 {found[:12]}…, expected "
            f"{expected[:12]}…): it is damaged or was replaced; install the pack again, "
            "and do not edit the digest"
        )


class TensorError(ModelsError):
    """The network in `file` has tensors `found` where the manifest declares `declared`."""

    def __init__(self, pack: str, file: str, declared: str, found: str) -> None:
        self.pack = pack
        self.file = file
        self.declared = declared
        self.found = found
        super().__init__(
            f"pack {pack}: {file} has tensors {found}, its manifest declares {declared}: "
            "the manifest belongs to another file; obtain the pack again from its author"
        )


class GoldenError(ModelsError):
    """`file` differs from its golden vector `vector` by `difference`, beyond `tolerance`."""

    def __init__(self, pack: str, file: str, vector: str, difference: float, tolerance: float) -> None:
        self.pack = pack
        self.file = file
        self.vector = vector
        self.difference = difference
        self.tolerance = tolerance
        super().__init__(
            f"pack {pack}: {file} answers {vector} with a difference of {difference:.3g} "
            f"(allowed {tolerance:.3g}): this machine computes the network wrongly; "
            "check the onnxruntime version against requirements/run.txt"
        )


class OperatingPointError(ModelsError):
    """The pack has no operating point for this rate, template and probe; `known` lists those it has."""

    def __init__(self, pack: str, asked: str, known: tuple[str, ...]) -> None:
        self.pack = pack
        self.asked = asked
        self.known = known
        measured = f"choose one that was: {'; '.join(known)}" if known else "it has none for its own recipe"
        super().__init__(f"pack {pack} was not measured for {asked}; {measured}")


class ExportUnavailableError(ModelsError):
    """The packages that `stile models export` needs are not importable here."""

    def __init__(self, missing: tuple[str, ...]) -> None:
        self.missing = missing
        super().__init__(
            f"exporting needs {', '.join(missing)}, which a kiosk does not have: make a separate "
            "environment (python3 -m venv .venv-export), install requirements/export.txt into it, "
            "and run the export from there"
        )
