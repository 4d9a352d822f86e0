"""Expansion: the accounts that are ready for more, of what, worth how much; and what was done about it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flask import Response, render_template
from flask.typing import ResponseReturnValue
from flask_babel import LazyString

from app.auth import requires
from app.domain.expansion_moves import LIKELIHOODS, MOTIONS
from app.http import database
from app.queries.account_list import Companion, load_companions
from app.queries.expansion import Opportunity, OpportunityQuery, list_opportunities, sum_up_opportunities
from app.queries.expansion_choices import Choices, load_choices
from app.queries.expansion_report import load_expansion_report
from app.schemas.spreadsheet import write_csv
from app.web.expansion_asked import STATE_GROUPS, Asked, read_asked
from app.web.expansion_evidence import describe_evidence
from app.web.expansion_move import describe_moved
from app.web.expansion_report import describe_report
from app.web.expansion_words import LIKELIHOODS as LIKELIHOOD_WORDS
from app.web.expansion_words import MOTIONS as MOTION_WORDS
from app.web.expansion_words import STATES
from app.web.formats import amount, show_number
from app.web.lists import Column, Select, describe_column
from app.web.moment import Moment, advise, describe_freshness, load_moment
from app.web.opportunities import Row, describe_row, show_worths
from app.web.texts import gettext as _
from app.web.texts import lazy_gettext as _l
from app.web.texts import ngettext
from app.web.words import word

PAGE = 50
CSV_BATCH = 2_000
# Name, heading, what it is sorted by (none: it cannot be), whether it is a number.
COLUMNS: tuple[tuple[str, LazyString, str | None, bool], ...] = (
    ("account", _l("Account"), None, False),
    ("what", _l("What"), None, False),
    ("worth", _l("Worth"), "worth", True),
    ("likelihood", _l("Likelihood"), None, False),
    ("why", _l("Why now"), None, False),
    ("state", _l("State"), None, False),
    ("flagged", _l("Flagged"), "flagged", False),
)
CSV_COLUMNS = (
    *("opportunity_id", "account_id", "account", "csm", "motion", "sku", "product", "quantity", "worth", "currency"),
    *("expected_value", "probability", "measure", "likelihood", "state", "snoozed_until", "flagged_on", "evidence"),
)


@dataclass(frozen=True, slots=True)
class Results:
    count_text: str
    worth_text: str
    csv_url: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    next_url: str | None
    first_url: str | None


@requires("opportunities:read")
def show_expansion() -> ResponseReturnValue:
    moment = load_moment()
    asked = read_asked()
    return render_template(
        "expansion.html",
        fresh=describe_freshness(moment),
        advice=advise(moment),
        moved=describe_moved(),
        selects=_selects(asked, load_choices(database(), today=moment.today)),
        asked=asked,
        has_run=moment.run is not None,
        results=_results(asked, moment),
        report=None if moment.run is None else describe_report(load_expansion_report(database(), moment.run.id)),
    )


@requires("opportunities:read")
def download_expansion() -> ResponseReturnValue:
    """The whole filtered set in its order, in the names and forms that programs read."""
    moment = load_moment()
    headers = {"Content-Disposition": f'attachment; filename="expansion-{moment.today.isoformat()}.csv"'}
    return Response(write_csv(CSV_COLUMNS, _csv_rows(read_asked(), moment)), mimetype="text/csv", headers=headers)


def _results(asked: Asked, moment: Moment) -> Results:
    chosen = asked.as_filter()
    page = list_opportunities(database(), OpportunityQuery(chosen, asked.sort, asked.cursor, PAGE), today=moment.today)
    totals = sum_up_opportunities(database(), chosen, today=moment.today)
    companions = _companions(page.rows, moment)
    sums: dict[tuple[str, str], int] = {}
    for (_state, measure, currency), minor in totals.worth.items():
        sums[measure, currency] = sums.get((measure, currency), 0) + minor
    count = sum(totals.counts.values())
    return Results(
        count_text=ngettext("%(count)s opportunity", "%(count)s opportunities", count, count=show_number(count)),
        worth_text=show_worths(sums),
        csv_url=asked.address("web.expansion_csv"),
        columns=tuple(_columns(asked)),
        rows=tuple(describe_row(row, companions.get(row.account_id)) for row in page.rows),
        next_url=asked.address("web.expansion", cursor=page.next_cursor) if page.next_cursor else None,
        first_url=asked.address("web.expansion") if asked.cursor else None,
    )


def _companions(rows: Sequence[Opportunity], moment: Moment) -> dict[int, Companion]:
    ids = sorted({row.account_id for row in rows})
    return load_companions(database(), ids, run=None, today=moment.today)


def _columns(asked: Asked) -> Iterator[Column]:
    for name, heading, sort, is_number in COLUMNS:
        column = Column(name, str(heading), is_number)
        yield describe_column(asked, "web.expansion", heading=column, sort=sort) if sort else column


def _selects(asked: Asked, choices: Choices) -> list[Select]:
    states = {"open": _("Open"), "all": _("All")}
    lists: list[tuple[str, str, list[tuple[str, str]]]] = [
        ("state", _("State"), [(name, states.get(name) or word(STATES, name)) for name in STATE_GROUPS]),
        ("motion", _("Kind"), [("", _("All")), *((name, word(MOTION_WORDS, name)) for name in MOTIONS)]),
        (
            "likelihood",
            _("Likelihood"),
            [("", _("All")), *((name, word(LIKELIHOOD_WORDS, name)) for name in LIKELIHOODS)],
        ),
        ("product", _("Product"), [("", _("All")), *((str(number), name) for number, name in choices.products)]),
        ("csm", _("CSM"), [("", _("All")), *((str(number), name) for number, name in choices.csms)]),
    ]
    return [Select(name, label, getattr(asked, name), tuple(options)) for name, label, options in lists]


def _csv_rows(asked: Asked, moment: Moment) -> Iterator[tuple[object, ...]]:
    cursor = None
    while True:
        query = OpportunityQuery(asked.as_filter(), asked.sort, cursor, CSV_BATCH)
        page = list_opportunities(database(), query, today=moment.today)
        companions = _companions(page.rows, moment)
        for row in page.rows:
            yield _csv_row(row, companions.get(row.account_id, Companion()))
        cursor = page.next_cursor
        if cursor is None:
            return


def _csv_row(row: Opportunity, companion: Companion) -> tuple[object, ...]:
    return (
        row.id,
        row.account_id,
        row.account_name,
        companion.csm,
        row.motion,
        row.sku,
        row.product_name,
        row.quantity,
        amount(row.worth.minor, row.worth.currency),
        row.worth.currency,
        None if row.expected_value is None else amount(row.expected_value.minor, row.expected_value.currency),
        row.probability,
        row.measure,
        row.likelihood,
        row.state,
        row.snoozed_until,
        row.flagged_on,
        " ".join(describe_evidence(item) for item in row.evidence),
    )
