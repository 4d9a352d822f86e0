"""What winning accounts costs, by channel and month."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Session

from app.domain.money import MoneyError, round_to_money
from app.models.billing import AcquisitionCost
from app.models.versions import Change
from app.services.sources import Recorded, Refusal, Source
from app.services.versions import record_versions
from integrations.files.rows import AcquisitionCostRow


def record_acquisition_costs(
    session: Session, change: Change, *, source: Source, rows: Sequence[AcquisitionCostRow]
) -> Recorded:
    """Record what each channel cost in a month; (channel, month) must be unique in `rows`.

    It is the whole cost of that month: told again it replaces what was known. An amount is rounded half-even to its
    currency's minor unit, once; one without a currency, below 0 or more than can be booked is refused.
    """
    versions: list[dict[str, Any]] = []
    refusals: list[Refusal] = []
    for position, row in enumerate(rows):
        try:
            versions.append(_version(row, source=source))
        except MoneyError as error:
            refusals.append(Refusal(position, "amount", str(error)))
    outcome = record_versions(session, change, table=AcquisitionCost, key=["channel", "month"], rows=versions)
    return Recorded(outcome, tuple(refusals))


def _version(row: AcquisitionCostRow, *, source: Source) -> dict[str, Any]:
    if row.currency is None or row.amount < 0:
        raise MoneyError("a cost is an amount of 0 or more, with its currency")
    money = round_to_money(row.amount, row.currency)
    month = row.month.replace(day=1)
    return {
        "channel": row.channel,
        "month": month,
        "amount_minor": money.minor,
        "currency": money.currency,
        "available_at": source.available_at(row.month, row.available_on),
    }
