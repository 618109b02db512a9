"""Claims held up to the camera as QR codes, read with zxing-cpp; everybody else's codes are only counted."""

from __future__ import annotations

import hashlib

import cv2
import numpy as np
import zxingcpp

from edge.capture.sample import Frame, Image
from edge.compare.claim import Claim, parse_qr

MAX_PAYLOAD_BYTES = 64
"""A claim is 38 bytes (`edge.compare.claim.qr_text`); anything longer is not ours and never becomes text."""
MAX_SIDE_PX = 960
"""Longer side that is searched. Noise, the worst picture, costs 1.4 ms at 640 x 480 and 10 ms at 1920 x 1080
on one x86-64 core; an ordinary one .3 ms at 640 x 480."""
QR_ONLY = zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode)


class QrReader:
    """Fulfils `edge.ports.ClaimReader`: only QR codes, only Stile's own payload, one claim at a time."""

    def __init__(self) -> None:
        self.foreign = 0
        """Codes of somebody else's held up so far; one that stays in the picture counts once."""
        self.contradictory = 0
        """Frames in which two different claims were held up; neither was taken."""
        self._last_foreign = b""

    def read(self, frame: Frame) -> Claim | None:
        """The claim of a QR in the frame, or None; two different claims at once are None too."""
        claims = set()
        for code in zxingcpp.read_barcodes(_grey(frame.image), formats=QR_ONLY, try_invert=False):
            payload = code.bytes
            text = payload.decode("ascii", "replace") if len(payload) <= MAX_PAYLOAD_BYTES else ""
            claim = parse_qr(text)
            if claim is None:
                self._count_foreign(payload)
            else:
                claims.add(claim)
        if len(claims) > 1:
            self.contradictory += 1
            return None
        return claims.pop() if claims else None

    def _count_foreign(self, payload: bytes) -> None:
        # A digest tells one code from the next without keeping what a stranger's code says.
        digest = hashlib.sha256(payload).digest()
        if digest != self._last_foreign:
            self.foreign += 1
            self._last_foreign = digest


def _grey(image: Image) -> Image:
    longer = max(image.shape[:2])
    if longer > MAX_SIDE_PX:
        scale = MAX_SIDE_PX / longer
        image = np.asarray(
            cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8
        )
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
