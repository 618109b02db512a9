"""ISO 4217: the currencies there are, and how many digits of each are minor units."""

from __future__ import annotations

import re
from typing import Final

_CODE = re.compile("[A-Z]{3}")
_PAYABLE: Final = """
    AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF
    CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD
    HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL
    LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP
    PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT
    TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG
"""
CURRENCIES: Final = frozenset(_CODE.findall(_PAYABLE))
"""What people pay with; funds, metals and testing codes are left out."""
WHOLE: Final = frozenset(_CODE.findall("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"))
"""Currencies without minor units."""
THOUSANDTHS: Final = frozenset(_CODE.findall("BHD IQD JOD KWD LYD OMR TND"))
"""Currencies whose minor unit is a thousandth; all others have hundredths."""


def minor_digits(currency: str) -> int:
    """Digits after the point of an amount in this currency."""
    if currency in WHOLE:
        return 0
    return 3 if currency in THOUSANDTHS else 2


def format_amount(amount_minor: int, currency: str) -> str:
    """An amount as receipts and pages show it, the same in every language: `2.50 EUR`, `-0.05 EUR`."""
    digits = minor_digits(currency)
    whole, rest = divmod(abs(amount_minor), 10**digits)
    return f"{'-' if amount_minor < 0 else ''}{whole}{f'.{rest:0{digits}}' if digits else ''} {currency}"
