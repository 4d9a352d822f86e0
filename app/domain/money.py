"""Money: an integer of minor units and an ISO 4217 code. No float comes near it.

What a source writes is read exactly (`parse_decimal`), and becomes money either strictly
(`parse_money` refuses what is finer than the currency) or rounded half-even (`round_to_money`).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal
from typing import Self

_CODES_BY_DIGITS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: """AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW
          CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF
          IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK
          MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP
          SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XCD XCG YER
          ZAR ZMW ZWG""",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
_WITHDRAWN_BY_DIGITS = {0: "BYR", 2: "ANG BGN CUC EEK HRK LTL LVL MRO SLL STD VEF ZWL"}  # old deals still carry them

MINOR_DIGITS: dict[str, int] = {
    code: digits
    for table in (_CODES_BY_DIGITS, _WITHDRAWN_BY_DIGITS)
    for digits, codes in table.items()
    for code in codes.split()
}
"""Digits after the point of every ISO 4217 currency that can be owed; metals, XDR and test codes are left out."""

MAX_MINOR = 2**53 - 1
"""The largest amount in minor units that comes in: what a spreadsheet and a browser still hold exactly."""

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)")
_LONGEST_NUMBER = 40
# Wide enough for any number of that length times a rate, so that the one rounding asked for is the only one.
_EXACT = Context(prec=120, rounding=ROUND_HALF_EVEN)


class MoneyError(ValueError):
    """An amount, a currency or a rate that cannot be what it claims to be."""


def minor_digits(currency: str) -> int:
    """Digits after the decimal point: 0 for JPY, 2 for USD, 3 for KWD. An unknown code raises MoneyError."""
    try:
        return MINOR_DIGITS[currency]
    except KeyError:
        raise MoneyError(f"{currency!r} is not a currency; use an ISO 4217 code such as USD, EUR or JPY") from None


def check_currency(code: str) -> str:
    """The code itself if ISO 4217 has it; MoneyError otherwise. Codes are upper case."""
    minor_digits(code)
    return code


@dataclass(frozen=True, slots=True)
class Money:
    """An amount that can be booked. Sums and differences keep to one currency."""

    minor: int
    currency: str

    def __post_init__(self) -> None:
        minor_digits(self.currency)

    def __add__(self, other: Self) -> "Money":
        self._refuse_other_currency(other)
        return Money(self.minor + other.minor, self.currency)

    def __sub__(self, other: Self) -> "Money":
        self._refuse_other_currency(other)
        return Money(self.minor - other.minor, self.currency)

    def _refuse_other_currency(self, other: Self) -> None:
        if self.currency != other.currency:
            raise MoneyError(f"{self.currency} and {other.currency} cannot be added without an exchange rate")

    @property
    def amount(self) -> Decimal:
        """The amount in the currency's major unit, exact."""
        return Decimal(self.minor).scaleb(-minor_digits(self.currency), _EXACT)

    @property
    def text(self) -> str:
        """The amount as a plain decimal with all digits of its currency: "1234.50", "1200" for JPY."""
        return f"{self.amount:f}"


def parse_decimal(text: str) -> Decimal:
    """Read a number exactly: digits, an optional sign and point, nothing else.

    Refused with MoneyError: empty text, NaN, Infinity, exponents (1e400), grouping signs, digits
    other than 0 to 9 (full-width ones too), and anything longer than 40 characters.
    """
    if not text.strip():
        raise MoneyError("the amount is empty")
    if len(text) > _LONGEST_NUMBER:
        raise MoneyError(f"the amount has {len(text)} characters; at most {_LONGEST_NUMBER} are read")
    if not _NUMBER.fullmatch(text):
        raise MoneyError(f"{text!r} is not a plain decimal number such as 1234.50")
    return Decimal(text)


def parse_money(text: str, currency: str) -> Money:
    """Read an amount that must fit its currency: JPY takes "1200.00" and refuses "1200.50"."""
    exact = parse_decimal(text)
    money = round_to_money(exact, currency)
    if money.amount != exact:
        digits = minor_digits(currency)
        raise MoneyError(f"{text} is finer than {currency} allows, which has {digits} digits after the point")
    return money


def round_to_money(exact: Decimal, currency: str) -> Money:
    """An exact amount in major units, rounded half-even once to the currency's minor unit."""
    money = Money(int(_in_minor_units(exact, currency).to_integral_value(ROUND_HALF_EVEN, _EXACT)), currency)
    if abs(money.minor) > MAX_MINOR:
        raise MoneyError(f"{money.text} {currency} is more than can be booked, {Money(MAX_MINOR, currency).text}")
    return money


def _in_minor_units(exact: Decimal, currency: str) -> Decimal:
    digits = minor_digits(currency)
    if not exact.is_finite():
        raise MoneyError(f"{exact} is not an amount")
    return exact.scaleb(digits, _EXACT)


def exact_sum(amounts: Sequence[Decimal]) -> Decimal:
    """The sum without any rounding, whatever the digits of its terms."""
    total = Decimal(0)
    for amount in amounts:
        total = _EXACT.add(total, amount)
    return total


def spread(total: Money, exact_lines: Sequence[Decimal]) -> list[Money]:
    """Spread a deal's rounded total over its lines by largest remainder.

    Each line gets its exact amount (major units) rounded down to the minor unit; the minor units
    then missing go, one each, to the lines with the largest remainders, the earlier line first
    among equals. The lines add up to `total` exactly, and each differs from its exact amount by
    less than one minor unit. MoneyError if the lines do not add up to the total within rounding,
    or if there is no line for it.
    """
    minor = [_in_minor_units(line, total.currency) for line in exact_lines]
    floors = [int(line.to_integral_value(ROUND_FLOOR, _EXACT)) for line in minor]
    missing = total.minor - sum(floors)
    if not 0 <= missing <= len(minor):
        raise MoneyError(
            f"the lines add up to {exact_sum(exact_lines):f} {total.currency}, which does not round to {total.text}"
        )
    by_remainder = sorted(range(len(minor)), key=lambda i: (floors[i] - minor[i], i))
    lucky = set(by_remainder[:missing])
    return [Money(floor + (i in lucky), total.currency) for i, floor in enumerate(floors)]


def convert(money: Money, to_currency: str, *, rate: Decimal) -> Money:
    """Money in another currency: amount x rate, rounded half-even once.

    `rate` is units of `to_currency` for one unit of the money's own (major units); it must be a
    positive number, else MoneyError.
    """
    if not rate.is_finite() or rate <= 0:
        raise MoneyError(f"{rate} is not an exchange rate; a rate is a number above 0")
    return round_to_money(_EXACT.multiply(money.amount, rate), to_currency)


def divide_half_even(numerator: int, denominator: int) -> int:
    """numerator / denominator as the nearest integer, the even one of two equally near. denominator > 0."""
    if denominator <= 0:
        raise ValueError("the denominator must be above 0")
    quotient, remainder = divmod(numerator, denominator)
    rounds_up = 2 * remainder > denominator or (2 * remainder == denominator and quotient % 2 == 1)
    return quotient + rounds_up
