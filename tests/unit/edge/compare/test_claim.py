"""Claims: what a code, a card or a keypad says, before anyone is looked up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.compare.claim import CardClaim, PhoneClaim, QrClaim, parse_card, parse_phone, parse_qr, qr_text
from wire.ids import ClaimId, parse_claim_id

CLAIM = ClaimId("00112233445566778899aabbccddeeff")


@given(st.binary(min_size=16, max_size=16))
def test_every_claim_id_survives_its_qr_code(raw: bytes) -> None:
    claim_id = parse_claim_id(raw.hex())
    assert parse_qr(qr_text(claim_id)) == QrClaim(claim_id)


def test_a_qr_code_holds_only_what_its_dense_alphanumeric_mode_can() -> None:
    assert set(qr_text(CLAIM)) <= set("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:")


@pytest.mark.parametrize("text", [f"stile:{CLAIM}", f" STILE:{CLAIM.upper()}\n"])
def test_either_case_is_read(text: str) -> None:
    assert parse_qr(text) == QrClaim(CLAIM)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "stile:",
        f"stile:{CLAIM}0",
        f"stile:{CLAIM[:-1]}",
        f"https://example.org/{CLAIM}",
        CLAIM,
        "stile:" + "g" * 32,
    ],
)
def test_any_other_code_is_no_claim(text: str) -> None:
    assert parse_qr(text) is None


def test_cards_and_digits_are_read_without_their_spaces() -> None:
    assert parse_card("1234 5678-90") == CardClaim(parse_card("1234567890").number)  # type: ignore[union-attr]
    assert parse_phone("12 34") == PhoneClaim(parse_phone("1234").digits)  # type: ignore[union-attr]


@pytest.mark.parametrize("text", ["", "123", "a" * 33, "12;34", "12345\n67"])
def test_what_is_no_card_is_no_claim(text: str) -> None:
    assert parse_card(text) is None


@pytest.mark.parametrize("text", ["", "123", "123456789", "12a4", "١٢٣٤"])
def test_what_are_no_phone_digits_is_no_claim(text: str) -> None:
    assert parse_phone(text) is None
