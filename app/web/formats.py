"""Numbers, money and dates in the reader's language."""

from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from babel import dates, numbers
from flask_babel import get_locale

from app.domain.money import minor_digits
from app.web.texts import gettext as _
from app.web.texts import ngettext

NONE = "–"


def show_number(value: float | Decimal | None, *, digits: int = 0) -> str:
    """What rounds to 0 has no sign."""
    if value is None:
        return NONE
    if round(value, digits) == 0:
        value = 0
    pattern = "#,##0" + ("." + "0" * digits if digits else "")
    return numbers.format_decimal(value, format=pattern, locale=get_locale())


def show_points(points: float) -> str:
    """With its sign, to a tenth; what rounds to none of it has none."""
    tenths = round(points, 1)
    sign = "+" if tenths > 0 else "\N{MINUS SIGN}" if tenths < 0 else ""
    return sign + show_number(abs(tenths), digits=1)


def count_accounts(count: int) -> str:
    return ngettext("%(count)s account", "%(count)s accounts", count, count=show_number(count))


def show_quantity(value: Decimal) -> str:
    """As many digits as it has."""
    return numbers.format_decimal(value.normalize(), locale=get_locale(), decimal_quantization=False)


def show_percent(share: float | None, *, digits: int = 1) -> str:
    """A share of 1 as per cent; what rounds to none or all of it is shown as less or more than what it is."""
    if share is None:
        return NONE
    step = 10.0 ** -(digits + 2)
    if 0 < share < step / 2:
        return "<" + _percent(step, digits)
    if 1 - step / 2 < share < 1:
        return ">" + _percent(1 - step, digits)
    return _percent(share, digits)


def _percent(share: float, digits: int) -> str:
    pattern = "#,##0" + ("." + "0" * digits if digits else "") + "%"
    return numbers.format_percent(share, format=pattern, locale=get_locale())


def show_money_range(low: int, high: int, *, currency: str) -> str:
    """Both ends in one manner: whole while that is short, else to three digits."""
    show = show_money if amount(high, currency) < 100_000 else show_money_briefly
    return f"{show(low, currency)} – {show(high, currency)}"


def amount(minor: int, currency: str) -> Decimal:
    return Decimal(minor).scaleb(-minor_digits(currency))


def show_money(minor: int | None, currency: str) -> str:
    """In whole units of the currency."""
    return NONE if minor is None else _currency(amount(minor, currency).quantize(Decimal(1)), currency, digits=0)


def show_money_exactly(minor: int | None, currency: str) -> str:
    """To the minor unit."""
    return NONE if minor is None else _currency(amount(minor, currency), currency, digits=minor_digits(currency))


def _currency(value: Decimal, currency: str, *, digits: int) -> str:
    locale = get_locale()
    pattern = locale.currency_formats["standard"].pattern.replace("0.00", "0" + ("." + "0" * digits if digits else ""))
    return numbers.format_currency(value, currency, format=pattern, locale=locale, currency_digits=False)


def show_price(price: Decimal, currency: str) -> str:
    """A price as it was agreed, which may be finer than the currency."""
    return numbers.format_currency(price.normalize(), currency, locale=get_locale(), decimal_quantization=False)


def show_money_briefly(minor: int | None, currency: str) -> str:
    """To three digits or so: $48.2K, 482万."""
    if minor is None:
        return NONE
    value = amount(minor, currency)
    step = 4 if get_locale().language == "ja" else 3  # digits between one unit and the next: 万, 億; thousand, million
    size = max(0, value.adjusted()) if value else 0
    if size < step:
        return show_money(minor, currency)
    digits = max(0, 2 - size % step)
    return numbers.format_compact_currency(value, currency, locale=get_locale(), fraction_digits=digits)


def show_day(day: date | None) -> str:
    return NONE if day is None else dates.format_date(day, format="medium", locale=get_locale())


def show_instant(instant: datetime, zone: str) -> str:
    """To the minute, in the company's time zone, which is named."""
    local = instant.astimezone(ZoneInfo(zone))
    time = dates.format_time(local, format="short", tzinfo=local.tzinfo, locale=get_locale())
    time = time.replace("\u202f", " ")  # a narrow space that few fonts have
    return f"{show_day(local.date())} {time} {dates.get_timezone_name(local, width='short', locale=get_locale())}"


def show_tenure(months: int | None) -> str:
    """In months up to two years, in years and months beyond."""
    if months is None:
        return NONE
    if months < 24:
        return ngettext("%(num)s month", "%(num)s months", months)
    years, rest = divmod(months, 12)
    if not rest:
        return _("%(years)s y", years=years)
    return _("%(years)s y %(months)s mo", years=years, months=rest)


def show_days_until(days: int) -> str:
    if days == 0:
        return _("today")
    if days < 0:
        return ngettext("%(num)s day ago", "%(num)s days ago", -days)
    return ngettext("in %(num)s day", "in %(num)s days", days)
