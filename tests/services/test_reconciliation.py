"""What a reconciliation leaves open holds up the close of its month, until it is mended or let stand."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from app.db import reading, transaction
from app.domain.periods import Period, parse_period
from app.domain.reconciliation import Part, Position, Reason
from app.errors import Conflict, Invalid, NotFound
from app.queries.reconciliation import find_run, list_differences, runs_of_month, unexplained_of
from app.services.changes import recording
from app.services.periods import prepare_close, record_close
from app.services.reconciliation import Made, Source, override_difference, record_reconciliation
from jobs.reconcile import Asked, reconcile_billing
from tests.billed_company import AS_OF, Books, charge

NOW = datetime(2099, 1, 1, tzinfo=UTC)  # after whatever the clock of the recordings says
MADE = Made("user:1", NOW)
MAY: Period = parse_period("2026-05", fiscal_start_month=1)


def close(engine: Engine, period: Period = MAY) -> None:
    with reading(engine) as session:
        prepared = prepare_close(session, period, now=NOW)
    with transaction(engine) as session, recording(session, "command") as change:
        record_close(session, change, prepared=prepared, actor="user:1", at=NOW)


def let_stand(engine: Engine, difference_id: int, *, reason: str = "agreed") -> None:
    with transaction(engine) as session, recording(session, "test") as change:
        override_difference(session, change, difference_id=difference_id, reason=reason, made=MADE)


def test_a_month_is_not_closed_while_something_is_unexplained(engine: Engine, tmp_path: Path) -> None:
    books = Books()
    books.charges[7] = [charge(7, amount="100")]
    run_id = reconcile_billing(engine, books.record(engine, tmp_path), asked=Asked(AS_OF))
    with pytest.raises(Conflict, match=r"leave 84\.00 USD unexplained"):
        close(engine)
    with reading(engine) as session:
        [found] = list_differences(session, run_id).differences
    let_stand(engine, found.id)
    close(engine)


def test_a_month_that_nobody_reconciled_is_closed(engine: Engine, tmp_path: Path) -> None:
    books = Books()
    books.charges[7] = [charge(7, amount="100")]
    files = books.record(engine, tmp_path)
    reconcile_billing(engine, files, asked=Asked(AS_OF.replace(day=30)))  # a rehearsal, the day before the last
    close(engine)


def position(minor: int, *, account: int | None = None, customer: str | None = "x", currency: str = "USD") -> Position:
    return Position(account, customer, currency, 0, minor, (Part(Reason.UNEXPLAINED, "unexplained", minor),))


def keep(engine: Engine, *found: Position, **said: Any) -> int:
    source = Source(**{"kind": "billing", "system": "stripe", "as_of": AS_OF, "known_at": NOW, **said})
    with transaction(engine) as session, recording(session, "test") as change:
        return record_reconciliation(session, change, source=source, found=found, made=MADE)


def test_of_each_set_of_books_the_last_as_of_the_months_end_counts(engine: Engine) -> None:
    keep(engine, position(500), file_sha256="a")
    stripe = keep(engine, position(-300), position(200, currency="JPY"), file_sha256="b")
    crm = keep(engine, position(100), position(-100), kind="crm", system="")
    keep(engine, position(9_999), as_of=AS_OF.replace(day=30))
    with reading(engine) as session:
        assert [run.id for run in runs_of_month(session, month=AS_OF, known_at=NOW)] == [stripe, crm]
        found = unexplained_of(session, month=AS_OF.replace(day=1), known_at=NOW)
    assert [(each.minor, each.currency) for each in found] == [(200, "JPY"), (500, "USD")]  # 300 + 100 + 100, gross


def test_the_same_comparison_cannot_be_kept_twice(engine: Engine) -> None:
    keep(engine, position(1))
    with pytest.raises(Conflict, match="The same comparison"):
        keep(engine, position(1))


def test_sums_beyond_what_a_database_counts_are_refused_whole_or_kept_exactly(engine: Engine) -> None:
    with pytest.raises(Invalid, match="more than can be booked"):
        keep(engine, position(2**63))
    run_id = keep(engine, *(position(2**63 - 1, customer=str(n)) for n in range(3)))
    with reading(engine) as session:
        run = find_run(session, run_id)
    assert run.totals[0].other.minor == 3 * (2**63 - 1)


def test_evidence_is_cut_and_counted(engine: Engine) -> None:
    part = Part(Reason.MISSING_IN_LEDGER, "nothing_sold", 5, tuple(range(2, 5_002)))
    run_id = keep(engine, Position(None, "x", "USD", 0, 5, (part,)))
    with reading(engine) as session:
        [found] = list_differences(session, run_id).differences
    assert (len(found.parts[0].rows), found.parts[0].theirs_count) == (100, 5_000)


def test_what_may_not_be_let_stand_is_refused(engine: Engine) -> None:
    run_id = keep(engine, position(1))
    with reading(engine) as session:
        [found] = list_differences(session, run_id).differences
    for reason in ("", " \n", "x" * 2_001):
        with pytest.raises(Invalid, match="Say why"):
            let_stand(engine, found.id, reason=reason)
    with pytest.raises(NotFound):
        let_stand(engine, found.id + 1)
    let_stand(engine, found.id)
    with pytest.raises(Conflict, match="already"):
        let_stand(engine, found.id)
