from datetime import UTC, date, datetime
from decimal import Decimal

from sqlalchemy import Engine

from app.db import reading, transaction
from app.domain.money import Money
from app.queries.acquisition import MonthCost, load_costs
from app.services.acquisition import record_acquisition_costs
from app.services.changes import recording
from app.services.sources import Recorded, Source
from app.services.versions import Outcome
from integrations.files.rows import AcquisitionCostRow

FIRST, LATER = datetime(2026, 4, 2, 9, tzinfo=UTC), datetime(2026, 5, 4, 9, tzinfo=UTC)


def record(engine: Engine, *rows: AcquisitionCostRow, at: datetime = FIRST) -> Recorded:
    with transaction(engine) as session, recording(session, "test", clock=lambda: at) as change:
        return record_acquisition_costs(session, change, source=Source(system="books", now=at), rows=rows)


def test_a_cost_is_of_its_whole_month_and_rounded_half_even_once(engine: Engine) -> None:
    recorded = record(
        engine,
        AcquisitionCostRow("Web", date(2026, 3, 31), Decimal("1200.005"), "USD"),
        AcquisitionCostRow("Web", date(2026, 2, 1), Decimal("500.5"), "JPY"),
    )
    assert recorded == Recorded(Outcome(added=2))
    with reading(engine) as session:
        assert load_costs(session, known_at=FIRST) == [
            MonthCost("Web", date(2026, 3, 1), Money(120_000, "USD")),
            MonthCost("Web", date(2026, 2, 1), Money(500, "JPY")),
        ]


def test_what_was_known_before_can_still_be_asked_for(engine: Engine) -> None:
    for amount, at in (("100", FIRST), ("120", LATER), ("120.00", LATER)):
        record(engine, AcquisitionCostRow("Event", date(2026, 3, 1), Decimal(amount), "EUR"), at=at)
    with reading(engine) as session:
        assert [each.cost.minor for each in load_costs(session, known_at=FIRST)] == [10_000]
        assert [each.cost.minor for each in load_costs(session, known_at=LATER)] == [12_000]


def test_what_is_no_cost_is_refused_and_the_others_are_taken(engine: Engine) -> None:
    month = date(2026, 3, 1)
    recorded = record(
        engine,
        AcquisitionCostRow("Below", month, Decimal(-1), "USD"),
        AcquisitionCostRow("Bare", month, Decimal(1)),
        AcquisitionCostRow("Endless", month, Decimal(10) ** 20, "USD"),
        AcquisitionCostRow("Good", month, Decimal(0), "USD"),
    )
    assert [(refusal.position, refusal.field) for refusal in recorded.refusals] == [(n, "amount") for n in range(3)]
    assert recorded.outcome == Outcome(added=1)
