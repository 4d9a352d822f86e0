"""Who of some accounts has said that they leave, and when, as the published run knew it."""

from collections.abc import Mapping

from sqlalchemy.orm import Session

from app.domain.notices import Leave, find_leave
from app.queries.contract_lines import load_recurring_lines
from app.queries.runs import Run
from app.queries.settings import load_company_settings

CERTAIN = (0.0, 1.0)  # no model says so: such a probability is that of a notice


def find_leaves(session: Session, run: Run | None, *, churn: Mapping[int, float | None]) -> dict[int, Leave]:
    """By account, of those that are certain to leave; `churn` is what the run says of each for twelve months.

    Nothing is read where the run leaves it open of every account whether it stays.
    """
    told = [account_id for account_id, probability in churn.items() if probability in CERTAIN]
    if run is None or not told:
        return {}
    grace_days = load_company_settings(session, as_of=run.as_of, known_at=run.known_at).grace_days
    lines = load_recurring_lines(session, known_at=run.known_at, grace_days=grace_days, account_ids=told)
    leaves = {account_id: find_leave([line.life for line in own], run.as_of) for account_id, own in lines.items()}
    return {account_id: leave for account_id, leave in leaves.items() if leave}
