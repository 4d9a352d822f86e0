"""The list of accounts as CSV."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from flask import Response
from flask.typing import ResponseReturnValue

from app.auth import may, requires
from app.domain.notices import Leave
from app.http import database
from app.queries.account_list import Companion, load_companions
from app.queries.accounts import AccountQuery, AccountRow, list_accounts
from app.queries.leaves import find_leaves
from app.schemas.spreadsheet import write_csv
from app.web.accounts_asked import Asked, read_asked
from app.web.formats import amount
from app.web.moment import Moment, load_moment

CSV_BATCH = 2_000
CSV_COLUMNS = (
    "account_id",
    "name",
    "segment",
    "plan",
    "channel",
    "csm",
    "status",
    "arr",
    "currency",
    "tenure_months",
    "renewal_on",
    "health",
    "band",
    "coverage",
    "override_band",
    "override_score",
    "override_expires_on",
    "churn_probability_12_months",
    "leaves_on",
    "ltv_residual",
    "ltv_residual_lower",
    "ltv_residual_upper",
    "top_driver",
    "as_of",
)


@requires("accounts:read")
def download_accounts() -> ResponseReturnValue:
    """The whole filtered set in its order, in the names and forms that programs read."""
    moment = load_moment()
    asked = read_asked(moment)
    name = f"accounts-{moment.as_of.isoformat()}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(write_csv(CSV_COLUMNS, _csv_rows(asked, moment)), mimetype="text/csv", headers=headers)


def _csv_rows(asked: Asked, moment: Moment) -> Iterator[Sequence[Any]]:
    query = AccountQuery(asked.as_filter(moment), asked.sort, None, CSV_BATCH)
    while True:
        page = list_accounts(database(), query, today=moment.today)
        ids = [row.id for row in page.rows]
        companions = load_companions(database(), ids, run=page.run, today=moment.today)
        leaves = find_leaves(database(), page.run, churn={row.id: row.churn_probability for row in page.rows})
        for row in page.rows:
            yield _csv_row(row, companions[row.id], leave=leaves.get(row.id), moment=moment)
        if page.next_cursor is None:
            return
        query = replace(query, cursor=page.next_cursor)


def _csv_row(row: AccountRow, companion: Companion, *, leave: Leave | None, moment: Moment) -> Sequence[Any]:
    def money(minor: int | None, *, is_shown: bool = True) -> Any:
        return None if minor is None or not is_shown else amount(minor, moment.currency)

    shows_ltv, override = may("ltv:read"), companion.override

    return (
        row.id,
        row.name,
        row.segment,
        companion.plan,
        row.channel,
        companion.csm,
        row.status,
        money(row.arr_minor),
        moment.currency,
        row.tenure_months,
        row.renewal_on,
        row.health,
        row.band,
        row.coverage,
        *((override.band, override.score, override.expires_on) if override else (None, None, None)),
        row.churn_probability,
        leave.leaves_on if leave else None,
        money(row.ltv_residual_minor, is_shown=shows_ltv),
        money(row.ltv_residual_lower_minor, is_shown=shows_ltv),
        money(row.ltv_residual_upper_minor, is_shown=shows_ltv),
        companion.driver.name if companion.driver else None,
        moment.as_of,
    )
