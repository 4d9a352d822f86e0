"""Exact ARR of each account as of a day, in the reporting currency."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from sqlalchemy.orm import Session

from app.domain.contracts import LineState, line_state
from app.domain.money import Money
from app.queries.contract_lines import LinesByAccount, RecurringLine
from app.queries.facts import Known
from app.queries.fx import load_rates

# An account is the first of these that any of its lines is.
PRECEDENCE = (LineState.LIVE, LineState.IN_GRACE, LineState.NOT_STARTED, LineState.ENDED)
IN_ARR = frozenset({LineState.LIVE, LineState.IN_GRACE})


@dataclass(frozen=True, slots=True)
class AccountArr:
    """`minor`: of lines that are live or in grace, each converted and rounded once at the rate of the day."""

    minor: int
    state: LineState  # of the account: live if any line is, else in grace, not started, or ended
    started_on: date
    by_product: Mapping[int, int]  # `minor` by product


def load_account_arr(session: Session, known: Known, *, lines: LinesByAccount) -> dict[int, AccountArr]:
    """By account, of those that have or had recurring revenue, or have signed for it."""
    rates = load_rates(session, known_at=known.known_at)
    currency = known.settings.reporting_currency

    def worth(line: RecurringLine) -> int:
        return rates.convert(Money(line.life.line.arr_minor, line.currency), currency, on=known.as_of).minor

    found = {}
    for account_id, own in lines.items():
        states = [line_state(line.life, known.as_of) for line in own]
        by_product: dict[int, int] = {}
        for line, state in zip(own, states, strict=True):
            if state in IN_ARR:
                by_product[line.product_id] = by_product.get(line.product_id, 0) + worth(line)
        found[account_id] = AccountArr(
            minor=sum(by_product.values()),
            state=next(state for state in PRECEDENCE if state in states),
            started_on=min(line.life.line.starts_on for line in own),
            by_product=by_product,
        )
    return found
