"""Questions about movements: pages, sums and ARR agree with each other, stored or worked out, on both databases."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import Engine, select

from app.db import reading, transaction
from app.domain.contracts import ONE_DAY
from app.migrate import downgrade, migrate
from app.models.contracts import ContractLineVersion
from app.models.ledger import ContractPause
from app.queries.contract_lines import load_arr_lines
from app.queries.facts import Known
from app.queries.known import last_recorded_at
from app.queries.ledger import load_rules
from app.queries.movements import MovementsAsked, StoredMovement, load_arr_by_account, load_movements, sum_movements
from app.queries.revenue import load_arr
from app.queries.settings import load_company_settings
from app.services.changes import recording
from app.services.versions import record_versions
from tests.ledger_story import tell

LAST = date(2027, 12, 31)


def test_pages_give_every_movement_once_in_the_order_of_days(engine: Engine) -> None:
    known_at = tell(engine, 1, 25)[-1]
    with reading(engine) as session:
        asked = MovementsAsked(known_at, LAST, first_on=date(2024, 3, 1))
        every = load_movements(session, asked)
        found: list[StoredMovement] = []
        while page := load_movements(session, asked, after=_end(found), limit=2):
            found += page
    assert found == every
    assert len(every) > 4
    assert all(each.moved_on >= date(2024, 3, 1) for each in every)


def _end(found: list[StoredMovement]) -> tuple[date, int] | None:
    return (found[-1].moved_on, found[-1].id) if found else None


def test_every_grouping_sums_to_the_same(engine: Engine) -> None:
    known_at = tell(engine, 2, 30)[-1]
    with reading(engine) as session:
        asked = MovementsAsked(known_at, LAST)
        whole = {each.key: each.amount_minor for each in sum_movements(session, asked, by=["currency"])}
        assert whole
        for by in ("month", "category", "reason", "product", "account", "line", "day"):
            parts: Counter[tuple[str]] = Counter()
            for each in sum_movements(session, asked, by=[by, "currency"]):
                parts[each.key[1],] += each.amount_minor
            assert dict(parts) == whole, by
        months = [each.key for each in sum_movements(session, asked, by=["month", "currency"])]
        assert months == sorted({(each.month, each.currency) for each in load_movements(session, asked)})
        with pytest.raises(ValueError, match="by currency"):
            sum_movements(session, asked, by=["month"])


def test_arr_of_accounts_is_that_of_their_lines_in_force(engine: Engine) -> None:
    known_at = tell(engine, 3, 40)[-1]
    with reading(engine) as session:
        rules = load_rules(session, known_at)
        every = load_arr_lines(session, known_at=known_at, grace_days=rules.grace)
        for days in range(0, 1200, 50):
            day = date(2024, 1, 1) + timedelta(days=days)
            held: Counter[tuple[int, str]] = Counter()
            for account, lines in every.items():
                for line in lines:
                    ends_on = line.life.leaves_on or date.max
                    if line.life.line.starts_on <= day < ends_on:
                        held[rules.survivor(account), line.currency] += line.life.line.arr_minor
            found = load_arr_by_account(session, known_at=known_at, as_of=day, through_merges=True)
            assert found == {key: amount for key, amount in held.items() if amount}, day


def test_what_was_known_before_movements_were_stored_is_worked_out_and_the_same(engine: Engine) -> None:
    ticks = tell(engine, 4, 25)
    asked = [MovementsAsked(at, LAST) for at in ticks[5::5]]
    by = ("account", "month", "category", "reason", "product", "line", "currency")
    with reading(engine) as session:
        before = [sum_movements(session, each, by=by) for each in asked]
    downgrade(engine, "0005")
    migrate(engine)
    with reading(engine) as session:
        assert [sum_movements(session, each, by=by) for each in asked] == before
        pages = load_movements(session, asked[0], limit=2)
        assert len(pages) == 2
        rest = load_movements(session, asked[0], after=_end(pages))
        assert pages + rest == load_movements(session, asked[0])


def test_days_are_inclusive_and_accounts_and_products_narrow(engine: Engine) -> None:
    known_at = tell(engine, 1, 25)[-1]
    with reading(engine) as session:
        every = load_movements(session, MovementsAsked(known_at, LAST))
        one = every[0]
        day = MovementsAsked(known_at, one.moved_on, first_on=one.moved_on)
        assert load_movements(session, day) == [each for each in every if each.moved_on == one.moved_on]
        before = MovementsAsked(known_at, one.moved_on - ONE_DAY)
        assert load_movements(session, before) == []
        own = MovementsAsked(known_at, LAST, account_ids=[one.account_id], product_ids=[one.product_id])
        assert load_movements(session, own) == [
            each for each in every if (each.account_id, each.product_id) == (one.account_id, one.product_id)
        ]


def test_arr_as_it_is_answered_is_what_the_movements_sum_to(engine: Engine) -> None:
    """Discounts, pauses and the grace of the day included."""
    known_at = tell(engine, 3, 40)[-1]
    line_id = _pause_something(engine)
    with reading(engine) as session:
        known_at = last_recorded_at(session) or known_at
        moved = load_movements(session, MovementsAsked(known_at, LAST))
        assert {"pause", "resume"} <= {each.reason for each in moved if each.contract_line_id == line_id}
        for days in range(0, 1200, 60):
            known = Known(date(2024, 1, 1) + timedelta(days=days), known_at, load_company_settings(session))
            answered = load_arr(session, "currency", known=known)
            summed: Counter[str] = Counter()
            for each in moved:
                if each.moved_on <= known.as_of:
                    summed[each.currency] += each.amount_minor
            got = {each.total.amount.currency: each.total.amount.minor for each in answered.groups}
            assert {code: n for code, n in got.items() if n} == {code: n for code, n in summed.items() if n}, days


def _pause_something(engine: Engine) -> int:
    """The longest line pauses for a month from the hundredth day on; which one."""
    with transaction(engine) as session, recording(session, "pause") as change:
        version = ContractLineVersion
        wanted = version.superseded_change_id.is_(None), version.arr_minor > 0
        lines = session.execute(select(version).where(*wanted)).scalars().all()
        line = max(lines, key=lambda each: (each.ends_on or date.max) - each.starts_on)
        pauses_on = line.starts_on + timedelta(days=20)
        row = {
            "system": "crm",
            "external_id": "p1",
            "account_id": line.account_id,
            "contract_line_id": line.contract_line_id,
            "pauses_on": pauses_on,
            "resumes_on": pauses_on + timedelta(days=10),
            "available_at": datetime(2026, 1, 1, tzinfo=UTC),
        }
        record_versions(session, change, table=ContractPause, key=["system", "external_id"], rows=[row])
        return line.contract_line_id
