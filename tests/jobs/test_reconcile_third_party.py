"""A real CRM's amounts beside what was booked of them: 3,796 deals whose lines have up to four decimals."""

import csv
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import Engine

from app.db import reading
from app.domain.reconciliation import Reason
from app.queries.reconciliation import find_run, list_differences
from integrations.files.mapping import load_mapping
from jobs.import_files import import_files
from jobs.import_run import Options
from jobs.reconcile import Asked, reconcile_crm

FILES = tuple(f"adventureworks_reseller/{name}.csv" for name in ("deal_lines", "accounts", "products"))
AMOUNT = "amount"


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_all_that_adventureworks_deals_differ_by_is_rounding(
    engine: Engine, third_party_data: Callable[[str], Path]
) -> None:
    paths = [third_party_data(name) for name in FILES]
    import_files(engine, load_mapping(Path("adventureworks")), paths=paths, options=Options())
    run_id = reconcile_crm(engine, asked=Asked(date(2013, 12, 31)))
    with reading(engine) as session:
        run = find_run(session, run_id)
        found = list_differences(session, run_id, limit=1_000).differences
    [total] = run.totals
    assert (run.rows, run.compared, run.open_differences) == (3_796, 635, 0)
    assert total.ledger.text == "80450596.99"
    assert set(total.reasons) == {Reason.ROUNDING}
    assert all(abs(each.difference.minor) <= len(each.parts[0].deals) for each in found)
    exact = exact_sum(paths[0])
    assert exact == Decimal("80450596.9823")
    assert abs(total.other.amount - exact) <= Decimal("0.005") * run.compared  # each account is rounded once
    assert total.difference.minor == sum(each.difference.minor for each in found)


def exact_sum(path: Path) -> Decimal:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return sum((Decimal(row[AMOUNT]) for row in csv.DictReader(file)), Decimal(0))
