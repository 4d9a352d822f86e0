"""The list of accounts: filtered, sorted, a page at a time, and as CSV."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from flask import render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import LazyString

from app.auth import may, requires
from app.domain.health import NOTICE
from app.domain.notices import Leave
from app.http import database
from app.queries.account_list import (
    Choices,
    Companion,
    TopDriver,
    Totals,
    count_all_accounts,
    load_choices,
    load_companions,
    sum_up_accounts,
)
from app.queries.accounts import AccountQuery, AccountRow, list_accounts
from app.queries.leaves import find_leaves
from app.web.accounts_asked import FILTERS, RENEWAL_DAYS, Asked, read_asked
from app.web.drivers import driver_words, effect_words
from app.web.formats import (
    NONE,
    count_accounts,
    show_day,
    show_days_until,
    show_money,
    show_money_briefly,
    show_money_range,
    show_number,
    show_percent,
    show_tenure,
)
from app.web.health import TONES, Pill, describe_pill
from app.web.leaving import leaving_words, notice_words
from app.web.lists import Column, Figure, Select, describe_column
from app.web.moment import Moment, advise, describe_freshness, load_moment
from app.web.texts import gettext as _
from app.web.texts import lazy_gettext as _l
from app.web.texts import ngettext
from app.web.words import BANDS, word

PAGE = 50
SUMMED_AT_ONCE = 20_000  # accounts; sums over more take longer than the rest of the page
# Name, heading, whether its first click sorts downwards, whether it is a number.
COLUMNS: tuple[tuple[str, LazyString, bool, bool], ...] = (
    ("name", _l("Account"), False, False),
    ("health", _l("Health"), False, False),
    ("churn_probability", _l("Churn in 12 months"), True, True),
    ("arr", _l("ARR"), True, True),
    ("ltv", _l("LTV"), True, True),
    ("tenure", _l("Tenure"), True, True),
    ("renewal", _l("Renewal"), False, False),
)


@dataclass(frozen=True, slots=True)
class Form:
    search: str
    sort: str
    selects: tuple[Select, ...]
    is_filtered: bool


@dataclass(frozen=True, slots=True)
class Driver:
    text: str
    effect: str
    tone: str
    icon: str


@dataclass(frozen=True, slots=True)
class Row:
    url: str
    name: str
    about: str
    health: Pill
    churn: str
    arr: str
    ltv: str
    ltv_range: str
    tenure: str
    renewal: str
    renewal_in: str
    driver: Driver | None


@dataclass(frozen=True, slots=True)
class BandPart:
    band: str
    word: str
    count: str
    start: float
    width: float


@dataclass(frozen=True, slots=True)
class TotalsStrip:
    count_text: str
    figures: tuple[Figure, ...]
    bands: tuple[BandPart, ...]


@dataclass(frozen=True, slots=True)
class Results:
    order_text: str
    csv_url: str
    totals_url: str
    columns: tuple[Column, ...]
    labels: Mapping[str, str]
    rows: tuple[Row, ...]
    next_url: str | None
    first_url: str | None


@requires("accounts:read")
def show_accounts() -> ResponseReturnValue:
    """The page; where there are many accounts the sums follow after it, in a request of their own."""
    moment = load_moment()
    asked = read_asked(moment)
    is_summed = "totals" in request.args or count_all_accounts(database()) <= SUMMED_AT_ONCE
    return render_template(
        "accounts.html",
        fresh=describe_freshness(moment),
        advice=advise(moment),
        form=_form(asked, load_choices(database(), moment.run)),
        results=_results(asked, moment),
        totals=_totals(asked, moment) if is_summed else None,
    )


def _results(asked: Asked, moment: Moment) -> Results:
    query = AccountQuery(asked.as_filter(moment), asked.sort, asked.cursor, PAGE)
    page = list_accounts(database(), query, today=moment.today)
    ids = [row.id for row in page.rows]
    companions = load_companions(database(), ids, run=page.run, today=moment.today)
    leaves = find_leaves(database(), page.run, churn={row.id: row.churn_probability for row in page.rows})
    return Results(
        order_text=_("Column headers can be clicked to sort."),
        csv_url=asked.address("web.accounts_csv"),
        totals_url=asked.address("web.accounts", cursor=asked.cursor, totals="1"),
        columns=tuple(_columns(asked)),
        labels={
            "churn": _("Churn, 12 mo"),
            "arr": _("ARR"),
            "ltv": _("LTV") if may("ltv:read") else "",
            "tenure": _("Tenure"),
            "renewal": _("Renewal"),
        },
        rows=tuple(
            _describe_row(row, companions[row.id], leave=leaves.get(row.id), moment=moment) for row in page.rows
        ),
        next_url=asked.address("web.accounts", cursor=page.next_cursor) if page.next_cursor else None,
        first_url=asked.address("web.accounts") if asked.cursor else None,
    )


def _totals(asked: Asked, moment: Moment) -> TotalsStrip:
    totals = sum_up_accounts(database(), asked.as_filter(moment), run=moment.run, today=moment.today)
    return TotalsStrip(
        count_text=count_accounts(totals.accounts),
        figures=tuple(_figures(totals, moment)) if moment.run and totals.accounts else (),
        bands=tuple(_band_parts(totals)),
    )


def _form(asked: Asked, choices: Choices) -> Form:
    any_ = ("", _("All"))
    days = [(str(n), ngettext("within %(num)s day", "within %(num)s days", n)) for n in RENEWAL_DAYS]
    lists: list[tuple[str, str, Sequence[tuple[str, str]]]] = [
        ("band", _("Health"), [(band, word(BANDS, band)) for band in TONES]),
        ("renewal", _("Renewal"), days),
        ("csm", _("CSM"), [(str(person_id), name) for person_id, name in choices.csms]),
        ("segment", _("Segment"), [(name, name) for name in choices.segments]),
        ("plan", _("Plan"), [(name, name) for name in choices.plans]),
        ("channel", _("Channel"), [(name, name) for name in choices.channels]),
    ]
    selects = [Select(name, label, getattr(asked, name), (any_, *options)) for name, label, options in lists if options]
    statuses = (
        ("current", _("Customers")),
        ("churned", _("Churned")),
        ("none", _("Without subscription")),
        ("all", _("All")),
    )
    selects.append(Select("status", _("Status"), asked.status, statuses))
    is_filtered = any(getattr(asked, name) for name in FILTERS if name != "status") or "status" in request.args
    return Form(asked.search, asked.sort.text, tuple(selects), is_filtered)


def _columns(asked: Asked) -> Iterator[Column]:
    for name, heading, starts_down, is_number in COLUMNS:
        if name == "ltv" and not may("ltv:read"):
            continue
        column = Column(name, str(heading), is_number)
        yield describe_column(asked, "web.accounts", heading=column, sort=name, starts_down=starts_down)
    yield Column("driver", _("Top driver"))


def _figures(totals: Totals, moment: Moment) -> Iterator[Figure]:
    currency = moment.currency
    yield Figure(_("ARR"), show_money_briefly(totals.arr_minor, currency), show_money(totals.arr_minor, currency))
    share = totals.arr_at_risk_minor / totals.arr_minor if totals.arr_minor else None
    under = _("%(share)s of ARR, expected within 12 months", share=show_percent(share)) if share is not None else ""
    yield Figure(_("ARR at risk"), show_money_briefly(totals.arr_at_risk_minor, currency), under)
    if not may("ltv:read"):
        return
    months = moment.report.get("ltv_horizon_months", moment.settings.ltv_horizon_months)
    under = _("residual, over %(months)s months", months=months)
    yield Figure(_("LTV"), show_money_briefly(totals.ltv_residual_minor, currency), under)


def _band_parts(totals: Totals) -> Iterator[BandPart]:
    total = sum(totals.by_band.values())
    start = 0.0
    for band, tone in (*TONES.items(), (None, "none")):
        count = totals.by_band.get(band, 0)
        if count:
            width = 100 * count / total
            label = word(BANDS, band) if band else _("No score")
            yield BandPart(tone, label, show_number(count), round(start, 2), round(width, 2))
            start += width


def _describe_row(row: AccountRow, companion: Companion, *, leave: Leave | None, moment: Moment) -> Row:
    currency = moment.currency
    pays = row.status in ("live", "in_grace")
    return Row(
        url=url_for("web.account", account_id=row.id),
        name=row.name,
        about=" · ".join(part for part in (row.segment, companion.plan, companion.csm) if part),
        health=describe_pill(row, companion.override),
        churn=leaving_words(leave) if leave else show_percent(row.churn_probability),
        arr=show_money(row.arr_minor, currency) if row.status != "not_applicable" else NONE,
        ltv=show_money(row.ltv_residual_minor, currency),
        ltv_range=_range(row, currency),
        tenure=show_tenure(row.tenure_months),
        renewal=show_day(row.renewal_on) if pays else NONE,
        renewal_in=show_days_until((row.renewal_on - moment.as_of).days) if row.renewal_on and pays else "",
        driver=_describe_driver(companion.driver, leave=leave),
    )


def _range(row: AccountRow, currency: str) -> str:
    low, high = row.ltv_residual_lower_minor, row.ltv_residual_upper_minor
    if low is None or high is None or low == high:
        return ""
    return show_money_range(low, high, currency=currency)


def _describe_driver(driver: TopDriver | None, *, leave: Leave | None) -> Driver | None:
    if driver is None:
        return None
    tone, icon = ("risk", "up") if driver.contribution > 0 else ("good", "down")
    words = notice_words(leave) if leave and driver.name == NOTICE else driver_words(driver.name)
    return Driver(words, effect_words(driver.contribution), tone, icon)
