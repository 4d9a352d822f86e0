"""What a night saw is what training sees of its day later, whatever was learned, corrected or ended since."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
from sqlalchemy import Engine

from app.db import reading, transaction
from app.domain.feature_table import build_features
from app.domain.features import Facts
from app.queries.facts import Known, load_facts
from app.queries.settings import CompanySettings
from app.services.accounts import record_accounts
from app.services.billing import record_invoices
from app.services.changes import recording
from app.services.churn import record_churn
from app.services.deals import record_deals
from app.services.onboarding import record_milestones
from app.services.products import record_products
from app.services.sources import Source
from app.services.success import record_surveys, record_tickets, record_touches, record_trainings
from app.services.usage import record_usage
from integrations.files.rows import (
    AccountRow,
    ChurnRow,
    ClosedDeal,
    DealRow,
    InvoiceRow,
    LineRow,
    MilestoneRow,
    ProductRow,
    SurveyRow,
    TicketRow,
    TouchRow,
    TrainingRow,
    UsageDayRow,
)

ACCOUNTS = ("A", "B", "C")
ALPHA = AccountRow("A", "Alpha", segment="small", valid_from=date(2025, 1, 1))
STEP = MilestoneRow("A1", 1, "Kick-off", due_on=date(2025, 2, 10))
TICKET = TicketRow("t1", "A", opened_on=date(2025, 2, 20))
ANSWER = SurveyRow("s1", "A", answered_on=date(2025, 2, 20), kind="nps", score=9)
TOUCH = TouchRow("c1", "A", occurred_on=date(2025, 2, 20), kind="call")
COURSE = TrainingRow("l1", "A", occurred_on=date(2025, 1, 6), topic="Basics", attendees=3)
BILL = InvoiceRow("b1", "A", issued_on=date(2025, 1, 6), due_on=date(2025, 2, 5), amount=Decimal(1200), currency="USD")
NOTICE = ChurnRow("n1", effective_on=date(2025, 7, 1), deal="A1", given_on=date(2025, 4, 20))


def deal(name: str, starts_on: date, **said: Any) -> ClosedDeal:
    line = {"amount": Decimal(1200), "quantity": Decimal(10), "term_months": 12, "starts_on": starts_on}
    line |= {key: said.pop(key) for key in tuple(said) if key in LineRow.__dataclass_fields__}
    head = DealRow(name, said.pop("account", name[0]), closed_on=starts_on, currency="USD", **said)
    return ClosedDeal(head, (LineRow(name, "Seats", key="1", **line),))


def usage(account: str, day: date, amount: float) -> UsageDayRow:
    return UsageDayRow(day, account=account, feature="reports", amount=amount)


Told = tuple[date, Callable[..., Any], Sequence[Any]]

# The day on which each thing was told to the service, live.
STORY: tuple[Told, ...] = (
    (date(2025, 1, 5), record_products, [ProductRow("Seats", "SEATS", "Seats", unit="seat")]),
    (date(2025, 1, 5), record_accounts, [ALPHA, *(AccountRow(name, name, segment="large") for name in "BC")]),
    (date(2025, 1, 6), record_deals, [deal(f"{name}1", date(2025, 1, 6)) for name in ACCOUNTS]),
    (date(2025, 1, 6), record_tickets, [replace(TICKET, id="t0", account="C", opened_on=date(2025, 1, 5))]),
    (date(2025, 1, 7), record_milestones, [STEP, replace(STEP, deal="B1"), replace(STEP, deal="C1")]),
    (date(2025, 1, 7), record_trainings, [COURSE, replace(COURSE, id="l2", account="B")]),
    (date(2025, 1, 8), record_invoices, [BILL, replace(BILL, id="b2", account="B", due_on=date(2025, 1, 20))]),
    (date(2025, 2, 21), record_tickets, [TICKET, replace(TICKET, id="t2", account="B")]),
    (date(2025, 2, 21), record_surveys, [ANSWER, replace(ANSWER, id="s2", account="B")]),
    (date(2025, 2, 21), record_touches, [TOUCH, replace(TOUCH, id="c2", account="B")]),
    # A training was another account's, a payment is heard of late, a credit note is owed by nobody.
    (date(2025, 2, 22), record_invoices, [replace(BILL, id="b4", account="C", issued_on=date(2025, 2, 6))]),
    (date(2025, 2, 24), record_trainings, [replace(COURSE, account="C")]),
    (date(2025, 3, 4), record_invoices, [replace(BILL, paid_on=date(2025, 2, 28))]),
    (date(2025, 3, 5), record_invoices, [replace(BILL, id="b3", account="B", amount=Decimal(-90))]),
    # Done late, escalated late, corrected, moved to another segment from the first day on.
    (date(2025, 3, 10), record_milestones, [replace(STEP, done_on=date(2025, 3, 9))]),
    (date(2025, 3, 11), record_milestones, [replace(STEP, deal="B1", due_on=date(2025, 4, 30))]),
    (date(2025, 3, 20), record_tickets, [replace(TICKET, is_escalated=True, closed_on=date(2025, 3, 19))]),
    (date(2025, 3, 21), record_surveys, [replace(ANSWER, answered_on=date(2025, 2, 19), score=3)]),
    (date(2025, 3, 22), record_touches, [replace(TOUCH, occurred_on=date(2025, 2, 10))]),
    (date(2025, 3, 23), record_accounts, [replace(ALPHA, segment="large")]),
    (date(2025, 3, 25), record_invoices, [replace(BILL, paid_on=date(2025, 2, 28), amount=Decimal(1300))]),
    # A line grows, a notice is given and moved, a contract is replaced by one that is told late.
    (date(2025, 4, 10), record_deals, [deal("B1", date(2025, 1, 6), amount=Decimal(2400), quantity=Decimal(20))]),
    (date(2025, 4, 20), record_churn, [NOTICE]),
    (date(2025, 4, 25), record_churn, [replace(NOTICE, effective_on=date(2025, 8, 1))]),
    (date(2025, 5, 10), record_deals, [deal("C2", date(2025, 4, 20), supersedes="C1", amount=Decimal(6000))]),
)


def at_noon(day: date) -> datetime:
    return datetime.combine(day, time(12), UTC)


def tell(engine: Engine, *story: Told, lag_days: int | None = None) -> None:
    for day, write, rows in story:
        source = Source("crm", at_noon(day), lag_days=lag_days)
        name = "deals" if write is record_deals else "rows"
        with (
            transaction(engine) as session,
            recording(session, "test", clock=lambda day=day: at_noon(day)) as change,
        ):
            recorded = write(session, change, source=source, **{name: rows})
            assert not recorded.refusals


def facts_of(engine: Engine, *, as_of: date, known_on: date) -> Facts:
    known_at = datetime.combine(known_on, time(0), UTC)
    with reading(engine) as session:
        return load_facts(session, Known(as_of, known_at, CompanySettings()))


def rows_at(facts: Facts, landmark: date) -> dict[int, dict[str, Any]]:
    """What the features of each account were on the landmark, by account and name."""
    table = build_features(facts, np.array([landmark], dtype="datetime64[D]"))
    clock = ("started_on", "term_months", "renewal_on", "committed_until", "mrr")
    return {
        int(facts.account_ids[account]): {name: str(getattr(table, name)[n]) for name in clock}
        | {
            name: value
            for name, value in zip(table.names, table.values[n].tolist(), strict=True)
            if not math.isnan(value)
        }
        for n, account in enumerate(table.account.tolist())
    }


def test_what_was_told_later_changes_nothing_of_what_was_known_then(engine: Engine) -> None:
    tell(engine, *STORY)
    facts = facts_of(engine, as_of=date(2025, 6, 1), known_on=date(2025, 6, 1))
    for landmark in (date(2025, 1, 20) + timedelta(days=9 * step) for step in range(14)):
        then = rows_at(facts_of(engine, as_of=landmark, known_on=landmark), landmark)
        now = rows_at(facts, landmark)
        assert len(then) == len(ACCOUNTS)
        for row in [*then.values(), *now.values()]:
            # A level has a column from the first day on which the company has two.
            for name in [name for name in row if name.startswith("segment: ") and not row[name]]:
                del row[name]
        assert now == then, landmark


def test_of_several_versions_the_one_known_on_the_day_counts_alone(engine: Engine) -> None:
    tell(engine, *STORY)
    facts = facts_of(engine, as_of=date(2025, 6, 1), known_on=date(2025, 6, 1))
    before, after = rows_at(facts, date(2025, 3, 9)), rows_at(facts, date(2025, 5, 12))

    def change_of(account: int, name: str) -> tuple[Any, Any]:
        return before[account].get(name), after[account].get(name)

    alpha, beta, gamma = facts.account_ids.tolist()
    assert change_of(alpha, "onboarding_overdue") == (1.0, 0.0)
    assert change_of(alpha, "onboarding_late") == (1.0, 1.0)
    assert change_of(beta, "onboarding_overdue") == (1.0, 1.0)
    assert [rows_at(facts, date(2025, 4, 29))[beta][f"onboarding_{name}"] for name in ("overdue", "late")] == [0, 0]
    assert change_of(alpha, "tickets_90d") == (1.0, 1.0)
    assert change_of(alpha, "escalations_90d") == (0.0, 1.0)
    assert change_of(alpha, "nps") == (9.0, 3.0)
    assert change_of(alpha, "days_since_contact") == (17.0, 91.0)
    assert change_of(alpha, "segment: small") == (1.0, 0.0)
    courses = [rows_at(facts, date(2025, 2, day)) for day in (24, 25)]
    assert [[rows[account]["trainings_12m"] for account in (alpha, gamma)] for rows in courses] == [[1, 0], [0, 1]]
    bills = [rows_at(facts, date(2025, *day)) for day in ((2, 20), (3, 4), (3, 5), (3, 30))]
    assert [rows[alpha]["overdue_days"] for rows in bills] == [15, 27, 0, 0]
    assert [rows[beta]["overdue_days"] for rows in bills] == [31, 43, 44, 69]
    assert [change_of(each, "mrr") for each in (alpha, beta, gamma)] == [
        ("100.0", "100.0"),
        ("100.0", "200.0"),
        ("100.0", "500.0"),
    ]
    assert rows_at(facts, date(2025, 5, 9))[gamma]["mrr"] == "100.0"


CUT = date(2025, 4, 1)
# Told on the day of the cut or later, and dated before it wherever a source can do so: nobody knew it by then.
STORM: tuple[Told, ...] = (
    (CUT, record_accounts, [replace(ALPHA, segment="small"), AccountRow("B", "B", segment="small")]),
    (
        CUT,
        record_tickets,
        [TicketRow(f"x{n}", name, date(2025, 3, n), is_escalated=True) for n in (1, 9) for name in "A"],
    ),
    (CUT, record_tickets, [replace(TICKET, is_escalated=True, opened_on=date(2025, 3, 30))]),
    (CUT, record_surveys, [SurveyRow(f"x{name}", name, date(2025, 3, 30), kind="nps", score=0) for name in ACCOUNTS]),
    (CUT, record_surveys, [replace(ANSWER, score=1)]),
    (CUT, record_touches, [TouchRow(f"x{name}", name, date(2025, 3, 31), kind="call") for name in ACCOUNTS]),
    (CUT, record_trainings, [replace(COURSE, id=f"x{name}", account=name) for name in ACCOUNTS]),
    (CUT, record_invoices, [replace(BILL, id=f"x{name}", account=name, due_on=date(2025, 1, 9)) for name in ACCOUNTS]),
    (CUT, record_invoices, [replace(BILL, due_on=date(2025, 1, 7))]),
    (CUT, record_milestones, [replace(STEP, deal=f"{name}1", done_on=date(2025, 2, 1)) for name in ACCOUNTS]),
    (CUT, record_deals, [deal("A1", date(2025, 1, 6), amount=Decimal(9600), quantity=Decimal(99))]),
    (
        CUT,
        record_churn,
        [replace(NOTICE, id=f"x{name}", deal=f"{name}1", effective_on=date(2025, 5, 1)) for name in ACCOUNTS],
    ),
    (CUT, record_usage, [usage(name, date(2025, 3, day), 500) for name in ACCOUNTS for day in (3, 10, 31)]),
)


def bytes_at(facts: Facts, landmark: date) -> dict[str, bytes]:
    table = build_features(facts, np.array([landmark], dtype="datetime64[D]"))
    clock = ("account", "started_on", "term_months", "renewal_on", "committed_until", "mrr")
    columns = zip(table.names, table.values.T, strict=True)
    return {name: getattr(table, name).tobytes() for name in clock} | {name: each.tobytes() for name, each in columns}


def test_whatever_is_told_after_a_day_changes_no_byte_of_that_day(engine: Engine) -> None:
    told = [each for each in STORY if each[0] < CUT]
    uses = [
        (
            date(2025, 1, 7) + timedelta(days=3 * n),
            record_usage,
            [usage(name, date(2025, 1, 6) + timedelta(days=3 * n), n)],
        )
        for n in range(28)
        for name in "AB"
    ]
    tell(engine, *sorted([*told, *uses], key=lambda each: each[0]))
    landmarks = [*(date(2025, 1, 20) + timedelta(days=9 * step) for step in range(8)), CUT]
    after = CUT + timedelta(days=2)
    calm = facts_of(engine, as_of=after, known_on=after)
    tell(engine, *STORM)
    for known_on in (after, date(2025, 6, 1)):
        stormy = facts_of(engine, as_of=known_on, known_on=known_on)
        for landmark in landmarks:
            assert bytes_at(stormy, landmark) == bytes_at(calm, landmark), landmark
    before, then = bytes_at(calm, after), bytes_at(stormy, after)
    moved = {name for name in before if before[name] != then[name]}
    assert moved >= {
        *("usage_level", "usage_mean_3m", "usage_trend", "tickets_90d", "escalations_90d", "nps", "days_since_contact"),
        *("trainings_12m", "overdue_days", "onboarding_late", "onboarding_overdue", "segment: small", "mrr", "log_mrr"),
    }


def mrr_on(engine: Engine, *days: date) -> list[float]:
    facts = facts_of(engine, as_of=date(2025, 12, 1), known_on=date(2027, 1, 1))
    table = build_features(facts, np.array(days, dtype="datetime64[D]"))
    return [round(value, 2) for value in table.mrr.tolist()]


def test_a_line_that_was_corrected_twice_is_never_counted_twice(engine: Engine) -> None:
    """The second correction says that it could have been known before the first."""
    line = deal("A1", date(2025, 1, 6), term_months=1, auto_renew=True, amount=Decimal(100))
    later = replace(NOTICE, effective_on=date(2026, 2, 1), given_on=date(2025, 9, 10))
    told = date(2026, 1, 1)
    tell(
        engine,
        (told, record_accounts, [ALPHA]),
        (told, record_deals, [line]),
        (told, record_churn, [later]),
        (told, record_churn, [replace(later, effective_on=date(2026, 3, 1), given_on=date(2025, 5, 10))]),
        lag_days=0,
    )
    assert mrr_on(engine, date(2025, 4, 1), date(2025, 7, 1), date(2025, 10, 1)) == [100.0, 100.0, 100.0]


def test_a_line_versioned_twice_in_one_change_is_counted_once(engine: Engine) -> None:
    tell(
        engine,
        (date(2025, 1, 6), record_accounts, [ALPHA]),
        (date(2025, 1, 6), record_deals, [deal("A1", date(2025, 1, 6))]),
    )
    source = Source("crm", at_noon(date(2025, 5, 10)))
    with transaction(engine) as session, recording(session, "test", clock=lambda: source.now) as change:
        for amount in (2400, 3600):
            record_deals(session, change, source=source, deals=[deal("A1", date(2025, 1, 6), amount=Decimal(amount))])
    assert mrr_on(engine, date(2025, 4, 1), date(2025, 7, 1)) == [100.0, 300.0]


def test_a_line_that_was_withdrawn_leaves_no_earlier_version_behind(engine: Engine) -> None:
    one = deal("A1", date(2025, 1, 6))
    extra = replace(one.lines[0], key="2")
    two = replace(one, lines=(*one.lines, extra))
    grown = replace(one, lines=(*one.lines, replace(extra, amount=Decimal(2400))))
    days = [date(2025, month, 6) for month in (1, 2, 3)]
    stories = zip(days, (two, grown, one), strict=True)
    tell(engine, (days[0], record_accounts, [ALPHA]), *((day, record_deals, [each]) for day, each in stories))
    assert mrr_on(engine, date(2025, 1, 20), date(2025, 2, 20), date(2025, 3, 20)) == [100.0, 100.0, 100.0]
