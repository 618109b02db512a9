"""The WebSocket over which the kiosk's page is its camera: one picture at a time, each asked for.

Page to kiosk: a JPEG, or a `Word` as JSON. Kiosk to page: `Wanted` first, then `More` after each picture.
A page that has no frames to give (`Wanted.frames` false) connects while it is shown, which is all it says.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from enum import StrEnum
from typing import Protocol, runtime_checkable

import msgspec
from msgspec import Struct
from starlette.responses import PlainTextResponse
from starlette.websockets import WebSocket, WebSocketDisconnect

JPEG_MAX_BYTES = 512 * 1024
"""Four times a noisy picture of 640 x 480 at the page's quality."""
WORD_MAX_CHARS = 64
PACE = 2
"""A page may send at most so many times the pictures a second that it was asked for: a camera jitters."""
REFUSED_CODE = 1008
"""WebSocket: policy violation (RFC 6455, 7.4.1)."""


class Word(StrEnum):
    """What a page without a picture says of its camera."""

    REFUSED = "refused"  # the person, or the browser for them, said no
    UNPLUGGED = "unplugged"  # there is none, or another program has it
    FRONT = "front"  # this page was just looked at or touched


class _Said(Struct, frozen=True, forbid_unknown_fields=True):
    camera: Word


class Wanted(Struct, frozen=True, tag_field="kind", tag="wanted"):
    """What the kiosk wants of its page; larger pictures are made smaller there."""

    frames: bool
    width_px: int = 0
    height_px: int = 0
    fps: int = 0
    max_bytes: int = JPEG_MAX_BYTES


class More(Struct, frozen=True, tag_field="kind", tag="more"):
    """The next picture may come."""


@runtime_checkable
class Lens(Protocol):
    """What a page that is a camera, or is only shown, is connected to."""

    @property
    def wanted(self) -> Wanted:
        """What is asked of the page."""
        ...

    def begin(self) -> bool:
        """A page is there; False while another one is."""
        ...

    def take(self, received: bytes | Word) -> str | None:
        """One picture, or one word; a sentence where it cannot be used, and then the page has to leave."""
        ...

    def end(self) -> None:
        """The page is gone."""
        ...


_MORE = msgspec.json.encode(More()).decode()


async def film(socket: WebSocket, lens: Lens) -> None:
    """One page, from connecting to leaving."""
    if not lens.begin():
        why = "Another page is this kiosk's camera: close it first."
        await socket.send_denial_response(PlainTextResponse(why, 409))
        return
    try:
        await socket.accept()
        await _converse(socket, lens)
    except WebSocketDisconnect:
        pass
    finally:
        lens.end()


async def _converse(socket: WebSocket, lens: Lens) -> None:
    wanted = lens.wanted
    await socket.send_text(msgspec.json.encode(wanted).decode())
    # The server reads no further message before this one is answered: nothing piles up meanwhile.
    while (message := await socket.receive())["type"] == "websocket.receive":
        began_s = time.monotonic()
        received = _read(message)
        refusal = "say one of the words, or send a picture" if received is None else lens.take(received)
        if refusal is not None:
            await socket.close(REFUSED_CODE, refusal)
            return
        if isinstance(received, bytes):
            await asyncio.sleep(rest_s(time.monotonic() - began_s, wanted.fps))
            await socket.send_text(_MORE)


def rest_s(spent_s: float, fps: int) -> float:
    """How long a page waits for leave to send another picture, `spent_s` after the last one arrived."""
    return max(0.0, 1 / (PACE * fps) - spent_s)


def _read(message: Mapping[str, object]) -> bytes | Word | None:
    """A picture or a word; None for what is neither."""
    picture, text = message.get("bytes"), message.get("text")
    if isinstance(picture, bytes):
        return picture
    if not isinstance(text, str) or len(text) > WORD_MAX_CHARS:
        return None
    try:
        return msgspec.json.decode(text, type=_Said).camera
    except msgspec.DecodeError:
        return None
