"""What findings are worth to expect, where their probability may be said."""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy.orm import Session

from app.domain.expansion_moves import ARR
from app.domain.expansion_worth import expected_value
from app.queries.expansion_facts import load_survival
from app.queries.facts import Known
from app.services.expansion_raising import Finding


def value_findings(session: Session, known: Known, *, found: Sequence[Finding], run_id: int) -> list[Finding]:
    """Probability x what it adds x margin, over the months that the account is expected to stay where it is ARR.

    An account without a curve has no months: what it would pay by the month has no expected value.
    """
    months, margin = known.settings.ltv_horizon_months, known.settings.gross_margin
    asked = sorted({each.account_id for each in found if each.chances is not None and each.measure == ARR})
    kept = load_survival(session, run_id, account_ids=asked, months=months, of_revenue=True)
    valued = []
    for each in found:
        stays = kept.get(each.account_id)
        if each.chances is None or (each.measure == ARR and stays is None):
            valued.append(each)
            continue
        value = expected_value(
            each.amount_minor,
            probability=each.chances.within_180_days,
            margin=float(margin),
            months=None if stays is None or each.measure != ARR else float(stays.sum()),
        )
        valued.append(replace(each, expected_value_minor=value))
    return valued
