"""Moving pictures made at run time: a portrait walks up to the kiosk, shows a QR code, stands, and leaves.

Everything follows from a seed, and every frame from its number alone: nothing is kept, any frame can be
painted at any time, and the same seed gives the same bytes. The light, the sway, the tilt, the blur and the
noise are made; the face is a photograph.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt
import segno

from edge.capture.sample import Box, Frame, Image

FIGURE_FACE_PX = 220
"""Face height at which a figure is prepared: the largest that is ever shown."""
FAR_FACE_PX, NEAR_FACE_PX = 38.0, 176.0
"""Face height where a person enters and where they stand; with a 62-degree lens about 1.8 m and .4 m."""
SHOW_S, APPROACH_S, STAND_S, LEAVE_S = 1.1, 1.8, 1.4, 0.9
"""What a person does, in turn: holds up the code from afar, walks up, stands, leaves."""
CARD_GONE_S = 1.45
"""When the code is out of the picture again: before the face is large enough to be recognised."""
CARD_STANDS_S = 1.8
"""How long a QR code without a face is held up."""
CARD_RISES_S = 0.4
STEP_UP_S = 0.6
"""How long somebody next in a queue takes from behind the one before them to their place before the kiosk."""
STEP_UP_FROM = 0.5
"""Of the way from where people enter the picture: a queue stands about 1 m apart."""
CARD_FAR_PX, CARD_NEAR_PX = 118.0, 150.0
"""Width of the card in the picture: 33 modules with their border, so 3.6 to 4.5 pixels a module."""
IN_HAND_Y_PX = 405.0
"""Height at which a code is held by somebody who stands there: under the chin, and whole in the picture."""
GAP_S = 1.0
"""Empty background between scenes."""
NOISE_SD = 2.5
"""Grey levels; a small sensor indoors."""
NOISE_SLACK_PX = 64
PYRAMID = 3

Plane = npt.NDArray[np.float32]
"""Height x width, 0 to 1."""
Pixels = TypeVar("Pixels", np.uint8, np.float32)


@dataclass(frozen=True, slots=True)
class ClipFormat:
    """Size and rate of a clip."""

    width_px: int = 640
    height_px: int = 480
    frames_per_s: int = 30

    def frames(self, duration_s: float) -> int:
        """How many frames last so long."""
        return round(duration_s * self.frames_per_s)


@dataclass(frozen=True, slots=True, eq=False)
class Portrait:
    """A photograph and where its face is, in its own pixels (brow to chin, as a detector boxes it)."""

    photograph: str
    image: Image
    face: Box


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """A lazily painted sequence of pictures: `len`, indexing, and `frames` with virtual capture times."""

    name: str
    length: int
    frames_per_s: int
    paint: Callable[[int], Image]

    def __len__(self) -> int:
        """Frames."""
        return self.length

    def __getitem__(self, index: int) -> Image:
        """Height x width x 3, RGB, painted anew; raises IndexError outside 0 to length - 1."""
        if not 0 <= index < self.length:
            raise IndexError(f"scene {self.name} has {self.length} frames, not {index}")
        return self.paint(index)

    def frames(self, start_ms: int = 0) -> Iterator[Frame]:
        """Every frame in turn, one in memory at a time."""
        for index in range(self.length):
            yield Frame(self.paint(index), start_ms + index * 1000 // self.frames_per_s, self.name)


@dataclass(frozen=True, slots=True, eq=False)
class Sprite:
    """Something cut out, at halving sizes: colours, opacity 0 to 1, and its anchor at full size."""

    levels: tuple[tuple[Image, Plane], ...]
    anchor: tuple[float, float]

    @classmethod
    def of(cls, colours: Image, opacity: Plane, anchor: tuple[float, float]) -> Sprite:
        """With smaller copies made by area, so that a distant figure neither flickers nor aliases."""
        levels = [(colours, opacity)]
        for _ in range(PYRAMID - 1):
            colours, opacity = _halved(colours), _halved(opacity)
            levels.append((colours, opacity))
        return cls(tuple(levels), anchor)

    def onto(self, canvas: Image, x_px: float, y_px: float, scale: float, turn_degrees: float) -> Image:
        """The canvas with this over it, the anchor at (x, y)."""
        level = max(0, min(len(self.levels) - 1, math.floor(-math.log2(max(scale, 1e-3)))))
        colours, opacity = self.levels[level]
        shrunk = colours.shape[1] / self.levels[0][0].shape[1]
        anchor_x, anchor_y = self.anchor[0] * shrunk, self.anchor[1] * shrunk
        place = cv2.getRotationMatrix2D((anchor_x, anchor_y), turn_degrees, scale / shrunk)
        place[:, 2] += (x_px - anchor_x, y_px - anchor_y)
        # Only where it reaches: most of the time that is a small part of the picture.
        far = colours.shape[1::-1]
        corners = np.array([(0, 0, 1), (far[0], 0, 1), (0, far[1], 1), (*far, 1)]) @ place.T
        left, top = (int(at) for at in np.clip(np.floor(corners.min(0)), 0, canvas.shape[1::-1]))
        right, bottom = (int(at) for at in np.clip(np.ceil(corners.max(0)), 0, canvas.shape[1::-1]))
        picture = canvas.copy()
        if right <= left or bottom <= top:
            return picture
        place[:, 2] -= (left, top)
        under, size = canvas[top:bottom, left:right], (right - left, bottom - top)
        over = cv2.warpAffine(opacity, place, size, flags=cv2.INTER_LINEAR)
        drawn = cv2.warpAffine(colours, place, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        picture[top:bottom, left:right] = cv2.blendLinear(drawn, under, over, 1 - over)
        return picture


def figure(portrait: Portrait) -> Sprite:
    """Head and shoulders of a portrait with soft edges, anchored at the middle of the face."""
    unit = FIGURE_FACE_PX
    scale = unit / portrait.face.height
    centre_x, centre_y = portrait.face.centre
    width, height, anchor = round(3.6 * unit), round(5.2 * unit), (1.8 * unit, 1.35 * unit)
    place = np.array([[scale, 0, anchor[0] - scale * centre_x], [0, scale, anchor[1] - scale * centre_y]])
    source = portrait.image
    if scale < 0.5:
        source = np.asarray(
            cv2.resize(source, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8
        )
        place[:, :2] /= scale
    # Below a photograph's lower edge its last row goes on: a coat, not a floating bust.
    colours = cv2.warpAffine(
        source, place, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    shape = np.zeros((height, width), np.float32)
    head = (round(anchor[0]), round(anchor[1] - 0.12 * unit))
    cv2.ellipse(shape, head, (round(0.72 * unit), round(1.02 * unit)), 0, 0, 360, 1.0, -1)
    outline = [
        (-0.42, 0.6),
        (0.42, 0.6),
        (1.0, 1.02),
        (1.3, 1.5),
        (1.35, 5),
        (-1.35, 5),
        (-1.3, 1.5),
        (-1.0, 1.02),
    ]
    body = np.array([(anchor[0] + x * unit, anchor[1] + y * unit) for x, y in outline], np.int32)
    cv2.fillPoly(shape, [body], (1.0,))
    return Sprite.of(np.asarray(colours, np.uint8), _softened(shape, 0.05 * unit), anchor)


def card(payload: str) -> Sprite:
    """A white card with a QR code in a hand, anchored at the middle of the card, 1.0 = `CARD_FAR_PX` wide."""
    modules = np.array(list(segno.make(payload, error="m", micro=False).matrix_iter(border=4)), np.uint8)
    code = np.kron(255 - 215 * modules, np.ones((8, 8), np.uint8))
    side = code.shape[0]
    margin, height = side // 2, side * 3
    colours = np.zeros((height, side + 2 * margin, 3), np.uint8)
    colours[:] = (52, 60, 78)
    opacity = np.zeros(colours.shape[:2], np.float32)
    middle = margin + side // 2
    sleeve = np.array([(-0.3, 1.45), (0.3, 1.45), (0.42, 3.2), (-0.42, 3.2)]) * side + (middle, margin)
    cv2.fillPoly(opacity, [sleeve.astype(np.int32)], (1.0,))
    palm = ((middle, margin + round(1.2 * side)), (round(0.3 * side), round(0.36 * side)))
    cv2.ellipse(colours, palm[0], palm[1], 0, 0, 360, (176, 132, 108), -1)
    cv2.ellipse(opacity, palm[0], palm[1], 0, 0, 360, 1.0, -1)
    colours[margin : margin + side, margin : margin + side] = code[..., None]
    opacity[margin : margin + side, margin : margin + side] = 1.0
    # The thumb lies on the quiet border, never on a module.
    thumb = ((middle, margin + side), (round(0.09 * side), round(0.07 * side)))
    cv2.ellipse(colours, thumb[0], thumb[1], 0, 0, 360, (188, 144, 118), -1)
    scale = CARD_FAR_PX / side
    small = (round(colours.shape[1] * scale * 2), round(colours.shape[0] * scale * 2))
    colours = np.asarray(cv2.resize(colours, small, interpolation=cv2.INTER_AREA), np.uint8)
    opacity = np.asarray(cv2.resize(opacity, small, interpolation=cv2.INTER_AREA), np.float32)
    return Sprite.of(colours, opacity, (middle * 2 * scale, (margin + side / 2) * 2 * scale))


@dataclass(frozen=True, slots=True)
class Pose:
    """Where a face is in one frame: its middle, its height, its tilt, and how fast it crosses the picture."""

    x_px: float
    y_px: float
    face_px: float
    tilt_degrees: float
    speed_px: float


@dataclass(frozen=True)
class Studio:
    """Paints scenes before one background with one camera. The same seed and format give the same bytes."""

    seed: int
    format: ClipFormat = ClipFormat()

    def empty(self, duration_s: float = GAP_S, name: str = "empty") -> Scene:
        """Nobody there."""
        take = self._take(name)
        return self._scene(name, duration_s, lambda index: self._exposed(self._background, take, index))

    def walk_up(self, portrait: Portrait, qr_payload: str | None, name: str = "walk up") -> Scene:
        """A person holds up a QR code (or none) from afar, walks up, stands before the kiosk, leaves."""
        take = self._take(name)
        person, held = figure(portrait), card(qr_payload) if qr_payload is not None else None

        def paint(index: int) -> Image:
            at_s = index / self.format.frames_per_s
            pose = self._pose(take, at_s)
            scale = pose.face_px / FIGURE_FACE_PX
            picture = person.onto(self._background, pose.x_px, pose.y_px, scale, pose.tilt_degrees)
            raised = _raised(at_s, -CARD_RISES_S / 4, CARD_GONE_S, CARD_RISES_S)
            if held is not None and raised > 0:
                picture = self._hold_up(held, picture, take=take, at_s=at_s, raised=raised, pose=pose)
            return self._exposed(picture, take, index, pose.speed_px)

        return self._scene(name, SHOW_S + APPROACH_S + STAND_S + LEAVE_S, paint)

    def step_up(
        self, portrait: Portrait, qr_payload: str | None, stands_s: float, name: str = "step up"
    ) -> Scene:
        """The next of a queue, code (or none) in the hand all the while, steps up in `STEP_UP_S` and stands.

        The face's last `stands_s` seconds are those of somebody who stands before the kiosk.
        """
        take = self._take(name)
        person, held = figure(portrait), card(qr_payload) if qr_payload is not None else None
        unit = self.format.height_px / 480

        def paint(index: int) -> Image:
            at_s = index / self.format.frames_per_s
            come = min(1.0, STEP_UP_FROM + (1 - STEP_UP_FROM) * at_s / STEP_UP_S)
            pose = self._pose(take, SHOW_S + come * APPROACH_S)
            picture = person.onto(
                self._background, pose.x_px, pose.y_px, pose.face_px / FIGURE_FACE_PX, pose.tilt_degrees
            )
            if held is not None:
                turn = 5 * math.sin(2 * math.pi * 0.35 * at_s + take[5])
                y = min(pose.y_px + 1.3 * pose.face_px, IN_HAND_Y_PX * unit)
                picture = held.onto(picture, pose.x_px + 4 * unit, y, unit / 2, turn)
            return self._exposed(picture, take, index, pose.speed_px if come < 1 else 0.0)

        return self._scene(name, STEP_UP_S + stands_s, paint)

    def qr_only(self, qr_payload: str, name: str = "qr only") -> Scene:
        """A hand holds a QR code into the picture; no face is there."""
        take, held = self._take(name), card(qr_payload)
        duration_s = CARD_STANDS_S + 2 * CARD_RISES_S

        def paint(index: int) -> Image:
            at_s = index / self.format.frames_per_s
            raised = _raised(at_s, 0.0, duration_s, CARD_RISES_S)
            picture = self._hold_up(held, self._background, take=take, at_s=at_s, raised=raised, pose=None)
            return self._exposed(picture, take, index)

        return self._scene(name, duration_s, paint)

    def _scene(self, name: str, duration_s: float, paint: Callable[[int], Image]) -> Scene:
        return Scene(name, self.format.frames(duration_s), self.format.frames_per_s, paint)

    def _take(self, name: str) -> tuple[float, ...]:
        """Phases, 0 to 2 pi, that make one scene's sway and light unlike another's."""
        dice = np.random.default_rng((self.seed, zlib.crc32(name.encode())))
        return tuple(float(phase) for phase in dice.uniform(0, 2 * math.pi, 6))

    def _pose(self, take: tuple[float, ...], at_s: float) -> Pose:
        width, height = self.format.width_px, self.format.height_px
        here, before = (self._stand(take, moment) for moment in (at_s, at_s - 1 / self.format.frames_per_s))
        speed = math.hypot(here[0] - before[0], here[1] - before[1])
        tilt = 2.5 * math.sin(2 * math.pi * 0.45 * at_s + take[2])
        return Pose(width * here[0] / 640, height * here[1] / 480, height * here[2] / 480, tilt, speed)

    def _stand(self, take: tuple[float, ...], at_s: float) -> tuple[float, float, float]:
        """Middle and height of the face, as if the picture were 640 x 480."""
        walked = min(1.0, max(0.0, at_s - SHOW_S) / APPROACH_S)
        eased = walked * (1.6 - 0.6 * walked**2)  # slows down at the end
        face = 1 / (1 / FAR_FACE_PX + (1 / NEAR_FACE_PX - 1 / FAR_FACE_PX) * eased)
        walking = 1.0 - 0.85 * walked
        sway = face * (0.05 + 0.1 * walking) * math.sin(2 * math.pi * 0.7 * at_s + take[0])
        bob = face * 0.05 * walking * abs(math.sin(2 * math.pi * 0.9 * at_s + take[1]))
        gone = max(0.0, at_s - SHOW_S - APPROACH_S - STAND_S) / LEAVE_S
        side = 1 if math.cos(take[3]) > 0 else -1
        return 320 + sway + side * 620 * gone**1.6, 178 + 24 * eased - bob, face

    def _hold_up(
        self,
        held: Sprite,
        under: Image,
        *,
        take: tuple[float, ...],
        at_s: float,
        raised: float,
        pose: Pose | None,
    ) -> Image:
        unit = self.format.height_px / 480
        near = 0.4 if pose is None else min(1.0, pose.face_px / unit / NEAR_FACE_PX)
        width = CARD_FAR_PX + (CARD_NEAR_PX - CARD_FAR_PX) * near
        x = self.format.width_px / 2 if pose is None else pose.x_px + 0.3 * pose.face_px
        # Chest height, clear of the chin; a hand alone is held higher.
        y = 250 * unit if pose is None else pose.y_px + 0.85 * pose.face_px + 0.62 * width * unit
        x += 4 * unit * math.sin(2 * math.pi * 0.8 * at_s + take[4])
        y += (1 - raised) * (self.format.height_px + width * unit - y)
        turn = 7 * math.sin(2 * math.pi * 0.35 * at_s + take[5])
        return held.onto(under, x, y, unit * width / CARD_FAR_PX / 2, turn)

    def _exposed(self, picture: Image, take: tuple[float, ...], index: int, speed_px: float = 0.0) -> Image:
        """What the sensor makes of it: the light of the moment, a little blur, noise."""
        at_s, width, height = index / self.format.frames_per_s, self.format.width_px, self.format.height_px
        shift = round(width / 4 * (1 + math.sin(2 * math.pi * 0.13 * at_s + take[3])))
        gain = 1 + 0.1 * math.sin(2 * math.pi * 0.21 * at_s + take[4])
        lit = cv2.multiply(picture, self._light[:, shift : shift + width], scale=gain, dtype=cv2.CV_8U)
        blurred = cv2.GaussianBlur(lit, (5, 5), min(1.6, 0.5 + 0.05 * speed_px))
        dice = np.random.default_rng((self.seed, index, *(int(phase * 1e6) for phase in take[:2])))
        down, across = (int(at) for at in dice.integers(0, NOISE_SLACK_PX, 2))
        noise = self._noise[down : down + height, across : across + width]
        return np.asarray(cv2.add(blurred, noise, dtype=cv2.CV_8U), np.uint8)

    @cached_property
    def _noise(self) -> npt.NDArray[np.int16]:
        size = (self.format.height_px + NOISE_SLACK_PX, self.format.width_px + NOISE_SLACK_PX, 3)
        return np.random.default_rng((self.seed, 1)).normal(0, NOISE_SD, size).round().astype(np.int16)

    @cached_property
    def _light(self) -> Plane:
        across = np.linspace(-1, 1, self.format.width_px + self.format.width_px // 2 + 1, dtype=np.float32)
        row = 0.97 + 0.11 * np.cos(across * math.pi * 0.9)
        return np.ascontiguousarray(np.broadcast_to(row[None, :, None], (self.format.height_px, row.size, 3)))

    @cached_property
    def _background(self) -> Image:
        """A hall: wall, floor, a door, a notice board, softly lit and out of focus."""
        width, height = self.format.width_px, self.format.height_px
        down = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
        hall = np.broadcast_to(
            np.array((176, 178, 172), np.float32) * (1.05 - 0.25 * down), (height, width, 3)
        ).copy()
        floor = round(0.8 * height)
        hall[floor:] = (122, 116, 108)

        def board(left: float, top: float, right: float, bottom: float, colour: tuple[int, int, int]) -> None:
            corners = (
                (round(left * width), round(top * height)),
                (round(right * width), round(bottom * height)),
            )
            cv2.rectangle(hall, *corners, colour, -1)

        board(0.06, 0.22, 0.24, 0.8, (128, 108, 88))
        board(0.075, 0.24, 0.225, 0.79, (150, 130, 108))
        board(0.84, 0.2, 0.98, 0.44, (190, 190, 184))
        board(0.0, 0.79, 1.0, 0.805, (98, 94, 90))
        grain = (
            np.random.default_rng((self.seed, 2))
            .normal(0, 3, (height // 8, width // 8, 1))
            .astype(np.float32)
        )
        hall += cv2.resize(grain, (width, height), interpolation=cv2.INTER_CUBIC)[..., None]
        return np.asarray(np.clip(cv2.GaussianBlur(hall, (0, 0), 2.2 * height / 480), 0, 255), np.uint8)


def _raised(at_s: float, start_s: float, end_s: float, rise_s: float) -> float:
    """0 to 1: how far a card is held up when it rises from `start_s` and is gone at `end_s`."""
    up, down = (at_s - start_s) / rise_s, (end_s - at_s) / rise_s
    reach = max(0.0, min(1.0, up, down))
    return reach * reach * (3 - 2 * reach)


def _softened(shape: Plane, edge_px: float) -> Plane:
    return np.asarray(cv2.GaussianBlur(shape, (0, 0), edge_px), np.float32)


def _halved(picture: npt.NDArray[Pixels]) -> npt.NDArray[Pixels]:
    return np.asarray(cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), picture.dtype)
