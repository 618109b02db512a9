"""Amounts have the digits of their currency, at every end."""

from __future__ import annotations

import pytest

from scripts.lab.money_page import PAGE, written
from wire.currency import CURRENCIES, THOUSANDTHS, WHOLE, format_amount


@pytest.mark.parametrize(
    ("minor", "currency", "shown"),
    [
        (250, "EUR", "2.50 EUR"),
        (-250, "EUR", "-2.50 EUR"),
        (-5, "EUR", "-0.05 EUR"),
        (0, "EUR", "0.00 EUR"),
        (250, "JPY", "250 JPY"),
        (-250, "JPY", "-250 JPY"),
        (2050, "KWD", "2.050 KWD"),
        (-1, "KWD", "-0.001 KWD"),
    ],
)
def test_an_amount_has_its_sign_and_the_digits_of_its_currency(minor: int, currency: str, shown: str) -> None:
    assert format_amount(minor, currency) == shown


def test_every_currency_without_hundredths_is_one_that_people_pay_with() -> None:
    assert WHOLE | THOUSANDTHS <= CURRENCIES
    assert frozenset() == WHOLE & THOUSANDTHS


def test_the_pages_digits_are_those_of_the_table() -> None:
    page = PAGE.read_text("utf-8")
    assert written(page) == page
    assert written(page.replace("BIF CLP", "BIF").replace("BHD IQD", "BHD")) == page
