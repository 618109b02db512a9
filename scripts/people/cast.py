"""Who plays whom in the demo: one table of members, one of passes, and the pictures each is enrolled from.

Four people may be shown: three are members, the fourth is never enrolled. Nobody is enrolled as two subjects,
so the pass with a restriction shows a member whom the demo's reviewers restrict for that pass alone.

One of them has several photographs. He enrols from two and is shown in a third; the stranger is cut from
that same third photograph, which therefore is only ever shown. Of the other two members one photograph each
exists: they enrol from it and are shown in it, moved and lit otherwise, and their passes say `same_photo`.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import msgspec
import numpy as np

from edge.capture.sample import Box, Image
from edge.decide.verdict import Tier
from edge.errors import FixtureError
from scripts.people.clip import Portrait, Scene, Studio

PORTRAITS = Path(__file__).parent / "portraits"
ENROLMENT_IMAGES = 3
RENDITION_PX = 480
RENDITION_FACE_PX = 210.0

FACES = {
    "astronaut.png": Box(173, 74, 277, 178),
    "grace_hopper.jpg": Box(171, 140, 366, 335),
    "obama.jpg": Box(363, 151, 625, 413),
    "obama2.jpg": Box(186, 315, 494, 624),
    "obama3.jpg": Box(630, 346, 908, 624),
    "biden.jpg": Box(422, 269, 713, 560),
}
"""Where the face is in each file, pixels; measured once with the default pack's detector."""


class Credit(msgspec.Struct, frozen=True):
    """What a demo needs of an entry of portraits.toml; equal `photograph` means one exposure."""

    file: str
    person: str
    photograph: str
    source: str
    licence: str
    sha256: str


class _Credits(msgspec.Struct, frozen=True):
    portraits: tuple[Credit, ...]


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody who enrolled: a name for the table, the tier central's scorecard shall give, the pictures."""

    name: str
    person: str
    tier: Tier
    enrolled_from: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """One pass: who is shown, whose QR code is held up, whether the PIN is known, and how it must end.

    `restricted`: the claimed member carries the demo restriction in this pass: signed before, lifted after.
    `verdict` None: no passage at all.
    """

    role: str
    shown: str | None
    claims: str | None
    types_pin: bool
    restricted: bool
    verdict: Literal["grant", "step_up", "refer", "deny"] | None


MEMBERS = (
    Member("amber", "obama", Tier.PRIORITY, ("obama.jpg", "obama2.jpg")),
    Member("birch", "collins", Tier.STANDARD, ("astronaut.png",)),
    Member("cedar", "hopper", Tier.ASSISTED, ("grace_hopper.jpg",)),
)
SCRIPT = (
    #     role                     shown               claims   pin    restr. verdict
    Part("priority member",        "obama3.jpg",       "amber", False, False, "grant"),
    Part("assisted member",        "grace_hopper.jpg", "cedar", True,  False, "step_up"),
    Part("stranger, amber's code", "biden.jpg",        "amber", False, False, "refer"),
    Part("empty scene",            None,               None,    False, False, None),
    Part("standard member",        "astronaut.png",    "birch", False, False, "grant"),
    Part("code and PIN, no face",  None,               "birch", True,  False, "grant"),
    Part("restricted member",      "obama3.jpg",       "amber", False, True,  "deny"),
)  # fmt: skip
"""The first five passes hold a grant, a step-up and a referral."""


class Cast:
    """The portraits, verified, and what is made of them."""

    def __init__(self, folder: Path = PORTRAITS) -> None:
        """Raises `FixtureError` when portraits.toml cannot be used."""
        try:
            listed = msgspec.toml.decode((folder / "portraits.toml").read_bytes(), type=_Credits)
        except (OSError, msgspec.MsgspecError) as error:
            raise FixtureError(
                f"{folder / 'portraits.toml'}: {error}; restore it from the project"
            ) from error
        self._folder = folder
        self._credits = {credit.file: credit for credit in listed.portraits}

    def credit(self, file: str) -> Credit:
        """Whose portrait a file is, and its source; raises `FixtureError` for a file without one."""
        try:
            return self._credits[file]
        except KeyError:
            raise FixtureError(f"{file}: not in portraits.toml; only credited pictures are shown") from None

    def portrait(self, file: str) -> Portrait:
        """A portrait, its bytes checked against portraits.toml; raises `FixtureError`."""
        credit, path = self.credit(file), self._folder / file
        try:
            content = path.read_bytes()
        except OSError as error:
            raise FixtureError(f"{path}: {error.strerror}; restore it from the project") from error
        if hashlib.sha256(content).hexdigest() != credit.sha256:
            raise FixtureError(
                f"{path}: not the file that portraits.toml describes; restore it from the project"
            )
        decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB)
        return Portrait(credit.photograph, np.asarray(decoded, np.uint8), FACES[file])

    def same_photo(self, part: Part) -> bool:
        """Whether the person shown is compared with a template made from the very photograph shown."""
        if part.shown is None or part.claims is None:
            return False
        enrolled = {self.credit(file).photograph for file in member(part.claims).enrolled_from}
        return self.credit(part.shown).photograph in enrolled

    def enrolment_images(self, enrolled: Member, seed: int) -> tuple[Image, ...]:
        """Three pictures to enrol a member from, none of them ever a frame of a clip: RGB, 480 x 480.

        From two photographs where there are two; renditions of one are never mirrored: that is another face.
        """
        files = enrolled.enrolled_from
        return tuple(
            rendition(self.portrait(files[number % len(files)]), np.random.default_rng((seed, number)))
            for number in range(ENROLMENT_IMAGES)
        )

    def scene(self, part: Part, studio: Studio, qr_payload: str | None, take: int = 0) -> Scene:
        """The moving picture of a pass, `qr_payload` of `part.claims`; `take` tells showing from showing."""
        name = f"{part.role}, take {take}"
        if part.shown is not None:
            return studio.walk_up(self.portrait(part.shown), qr_payload, name)
        return studio.empty(3.0, name) if qr_payload is None else studio.qr_only(qr_payload, name)


def member(name: str) -> Member:
    """The member of that name; raises KeyError."""
    return {known.name: known for known in MEMBERS}[name]


def rendition(portrait: Portrait, dice: np.random.Generator) -> Image:
    """The face in the middle of a square, a little turned, shifted, scaled and lit anew."""
    turn, shift_x, shift_y = dice.uniform(-4, 4), dice.uniform(-25, 25), dice.uniform(-15, 25)
    wanted = RENDITION_FACE_PX * dice.uniform(0.92, 1.08) / portrait.face.height
    gamma, gain = dice.uniform(0.88, 1.14), dice.uniform(0.93, 1.05)
    image, shrunk = portrait.image, 1.0
    while wanted / shrunk < 0.5:
        image = np.asarray(cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.uint8)
        shrunk /= 2
    centre = (portrait.face.centre[0] * shrunk, portrait.face.centre[1] * shrunk)
    place = cv2.getRotationMatrix2D(centre, turn, wanted / shrunk)
    place[0, 2] += RENDITION_PX / 2 + shift_x - centre[0]
    place[1, 2] += RENDITION_PX / 2 + shift_y - centre[1]
    cut = cv2.warpAffine(
        image, place, (RENDITION_PX, RENDITION_PX), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    curve = np.array([min(255.0, 255 * gain * math.pow(level / 255, gamma)) for level in range(256)])
    return np.asarray(cv2.LUT(cut, curve.round().astype(np.uint8)), np.uint8)
