"""What can go wrong with a pack. Each message names the file or key and says what to do.

ModelsError
├── PackNotFoundError       there is no manifest where the pack should be
├── ManifestError           the manifest has an unknown key, a wrong value or a dangling name
├── FileMissingError        the manifest lists a file that is not in the folder
├── FileDigestError         a file's bytes are not those the manifest names
├── TensorError             a network's inputs or outputs are not as declared
├── GraphError              a file is no network that can be used: external weights, too many nodes, no ONNX
├── GoldenError             a network answers differently from its golden vectors
├── SaturationError         an int8 network has lost its float32 original's directions on this machine
├── SanityError             known people are told apart wrongly
├── LicenceError            weights whose licence does not allow commercial use, without --non-commercial
├── RecipeError             no such recipe, or one that is written wrongly
├── BroughtFileError        a file given to a recipe is missing, too large, or not the one it names
├── TargetError             the new pack's folder is there already or cannot be written
├── CalibrationError        the calibration pictures do not give enough faces
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
            f"(allowed {tolerance:.3g}): it is another network, its preprocessing is declared wrongly, or "
            "this machine computes it wrongly (compare the onnxruntime version with requirements/run.txt)"
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


class GraphError(ModelsError):
    """The bytes of `file` cannot be used as a network, for `reason`."""

    def __init__(self, file: str, reason: str) -> None:
        self.file = file
        self.reason = reason
        super().__init__(f"{file} cannot be used as a network: {reason}")


class SaturationError(ModelsError):
    """The int8 network in `file` has cosines to float32 of `median` and at least `worst`, under `floor`."""

    def __init__(self, pack: str, file: str, median: float, worst: float, floor: float) -> None:
        self.pack = pack
        self.file = file
        self.median = median
        self.worst = worst
        self.floor = floor
        super().__init__(
            f"pack {pack}: {file} has a cosine to its float32 original of {median:.4f} (median) and "
            f"{worst:.4f} (worst), {floor} is needed: int8 products saturate on x86-64 without VNNI; "
            "quantise again with --reduce-range (7-bit weights), verify on the machine that will run it, "
            "or keep the float32 pack"
        )


class SanityError(ModelsError):
    """The pack tells known people apart wrongly, or finds no face where there is one."""

    def __init__(self, pack: str, reason: str) -> None:
        self.pack = pack
        self.reason = reason
        super().__init__(
            f"pack {pack}: {reason}: do not put it into a kiosk; ask its author for its test results"
        )


class LicenceError(ModelsError):
    """The weights in `file` are under `licence`, which is not known to allow commercial use."""

    def __init__(self, file: str, licence: str) -> None:
        self.file = file
        self.licence = licence
        super().__init__(
            f"{file} is under {licence}, which is not known to allow commercial use: give --non-commercial "
            "if you use it without commerce (the kiosk then says so on its screen), or choose other weights"
        )


class RecipeError(ModelsError):
    """The recipe `name` cannot be used, for `reason`."""

    def __init__(self, name: str, reason: str) -> None:
        self.name = name
        self.reason = reason
        super().__init__(f"recipe {name}: {reason}")


class BroughtFileError(ModelsError):
    """The file `file`, given to recipe `recipe`, cannot be taken, for `reason`."""

    def __init__(self, recipe: str, file: str, reason: str) -> None:
        self.recipe = recipe
        self.file = file
        self.reason = reason
        super().__init__(f"{file}: {reason} (recipe {recipe})")


class TargetError(ModelsError):
    """The folder `folder` cannot take the new pack, for `reason`."""

    def __init__(self, folder: str, reason: str) -> None:
        self.folder = folder
        self.reason = reason
        super().__init__(f"{folder}: {reason}; give another folder with --to")


class CalibrationError(ModelsError):
    """`faces` faces were found in `pictures` pictures of `folder`, `least` are needed."""

    def __init__(self, folder: str, pictures: int, faces: int, least: int) -> None:
        self.folder = folder
        self.pictures = pictures
        self.faces = faces
        self.least = least
        super().__init__(
            f"{folder}: {faces} usable faces in {pictures} pictures, at least {least} are needed: "
            "give a folder of JPEG or PNG pictures with one face each, whose people allow this use"
        )
