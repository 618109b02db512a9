"""The QR reader against pictures of codes drawn by another library."""

from __future__ import annotations

import numpy as np
import pytest
import segno
import zxingcpp

from edge.adapters.camera.qr import MAX_PAYLOAD_BYTES, QrReader
from edge.capture.sample import Frame, Image
from edge.compare.claim import QrClaim, qr_text
from wire.ids import ClaimId

MINE = ClaimId("00112233445566778899aabbccddeeff")
OTHER = ClaimId("ffeeddccbbaa99887766554433221100")


def code(payload: str, module_px: int = 4) -> Image:
    modules = np.array(list(segno.make(payload, micro=False).matrix_iter(border=4)), np.uint8)
    return np.repeat(np.kron(255 * (1 - modules), np.ones((module_px, module_px), np.uint8))[..., None], 3, 2)


def held_up(*codes: Image, size: tuple[int, int] = (480, 640)) -> Frame:
    picture = np.full((*size, 3), 128, np.uint8)
    left = 20
    for drawn in codes:
        picture[100 : 100 + drawn.shape[0], left : left + drawn.shape[1]] = drawn
        left += drawn.shape[1] + 20
    return Frame(picture, 0, "test")


def test_a_claim_held_into_the_picture_is_read() -> None:
    reader = QrReader()
    assert reader.read(held_up(code(qr_text(MINE)))) == QrClaim(MINE)
    assert (reader.foreign, reader.contradictory) == (0, 0)


def test_a_claim_is_read_from_a_frame_larger_than_is_searched() -> None:
    frame = held_up(code(qr_text(MINE), module_px=8), size=(1080, 1920))
    assert QrReader().read(frame) == QrClaim(MINE)


def test_a_picture_without_a_code_holds_no_claim() -> None:
    reader = QrReader()
    assert reader.read(held_up()) is None
    assert reader.foreign == 0


@pytest.mark.parametrize(
    "payload",
    [
        "https://example.org/menu",
        "stile:0011",
        qr_text(MINE) + "00",
        "X" * (MAX_PAYLOAD_BYTES + 1),
        "grüße",
    ],
)
def test_a_foreign_code_is_ignored_and_counted_once_while_it_stays(payload: str) -> None:
    reader = QrReader()
    assert [reader.read(held_up(code(payload, 3))) for _ in range(3)] == [None, None, None]
    assert reader.foreign == 1


def test_a_foreign_code_beside_a_claim_does_not_hide_it() -> None:
    reader = QrReader()
    assert reader.read(held_up(code("https://example.org"), code(qr_text(MINE)))) == QrClaim(MINE)
    assert reader.foreign == 1


def test_two_different_claims_at_once_are_no_claim() -> None:
    reader = QrReader()
    assert reader.read(held_up(code(qr_text(MINE)), code(qr_text(OTHER)))) is None
    assert reader.contradictory == 1


def test_a_code_of_another_kind_with_our_payload_is_not_looked_for() -> None:
    drawn = np.asarray(
        zxingcpp.create_barcode(qr_text(MINE), zxingcpp.BarcodeFormat.DataMatrix).to_image(scale=5)
    )
    frame = held_up(np.repeat(drawn[..., None], 3, 2))
    found = zxingcpp.read_barcodes(frame.image)
    assert [code.text for code in found] == [qr_text(MINE)]
    assert QrReader().read(frame) is None
