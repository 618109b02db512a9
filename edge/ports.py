"""What the kiosk needs of the world: small Protocols that its adapters fulfil.

The gate's own Protocol is `firmware_bridge.gate.Gate`.
"""

from __future__ import annotations

from typing import Protocol

from edge.capture.sample import Frame
from edge.compare.claim import Claim
from edge.enact.display import Display, Notice, Touch


class Camera(Protocol):
    """A source of frames; the newest one only, never a backlog."""

    async def read(self) -> Frame | None:
        """The next frame, or None when no picture can be had (unplugged, frozen, black, or at its end)."""
        ...

    def state(self) -> str:
        """`ok`, or what is wrong with it, for `state` and the screen."""
        ...

    async def close(self) -> None:
        """Give the device back."""
        ...


class ClaimReader(Protocol):
    """Finds a claim held into the picture."""

    def read(self, frame: Frame) -> Claim | None:
        """The claim of a QR in the frame, or None."""
        ...


class Screen(Protocol):
    """What a person sees and touches."""

    def show(self, display: Display, notice: Notice) -> None:
        """Replace what is shown; never waits."""
        ...

    async def touch(self) -> Touch:
        """The next thing the person did; waits for it."""
        ...
