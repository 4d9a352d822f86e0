"""What each noun leaves in the database, and that saying it again leaves no more."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from app.db import transaction
from app.errors import Invalid
from app.models.accounts import AccountVersion, Assignment
from app.models.billing import Invoice
from app.models.contracts import ContractLineVersion
from app.models.deals import DealOwner, DealVersion
from app.models.persons import FreeText, Person
from app.models.products import ProductPrice, ProductVersion
from app.models.success import Milestone, OnboardingPlan, OnboardingTemplate, TemplateMilestone, Ticket, Training
from app.models.usage import UsageDay
from app.models.versions import Change
from app.services.accounts import record_accounts
from app.services.billing import record_invoices
from app.services.changes import recording
from app.services.churn import record_churn
from app.services.deals import record_closed_deal, record_deals
from app.services.onboarding import record_milestones
from app.services.persons import record_persons, unknown_account
from app.services.products import record_products
from app.services.sources import Recorded, Refusal, Source
from app.services.success import record_tickets, record_trainings
from app.services.usage import RecordedUsage, record_usage
from app.services.versions import Outcome
from integrations.files.rows import (
    AccountRow,
    ChurnRow,
    ClosedDeal,
    ContactRow,
    DealRow,
    InvoiceRow,
    LineRow,
    MilestoneRow,
    ProductRow,
    StaffRow,
    TicketRow,
    TrainingRow,
    UsageDayRow,
)

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LIVE = Source("crm", NOON)
BACKFILL = Source("crm", NOON, lag_days=2)
ACCOUNTS = [AccountRow("A", "Alpha", segment="small"), AccountRow("B", "Beta", segment="large")]

Record = Callable[..., Any]


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    with transaction(engine) as session:
        yield session


@pytest.fixture
def change(session: Session) -> Iterator[Change]:
    with recording(session, "test", clock=lambda: NOON) as change:
        yield change


@pytest.fixture
def record(session: Session, change: Change) -> Record:
    def record(write: Callable[..., Any], rows: Sequence[Any], source: Source = LIVE) -> Any:
        name = "deals" if write is record_deals else "rows"
        return write(session, change, source=source, **{name: rows})

    record(record_accounts, ACCOUNTS)
    return record


def deal(name: str = "D1", **said: Any) -> ClosedDeal:
    lines = said.pop("lines", (LineRow(name, "Gold", Decimal(1200), key="1", term_months=12),))
    row = DealRow(**{"id": name, "account": "A", "closed_on": date(2024, 1, 1), "currency": "USD", **said})
    return ClosedDeal(row, lines)


def test_a_fact_is_known_now_or_as_a_backfill_assumes() -> None:
    tokyo = replace(BACKFILL, zone=ZoneInfo("Asia/Tokyo"))
    assert LIVE.available_at(date(2024, 1, 1), date(2024, 1, 5)) == NOON
    assert BACKFILL.available_at(date(2024, 1, 1)) == datetime(2024, 1, 3, tzinfo=UTC)
    assert BACKFILL.available_at(date(2024, 1, 1), date(2024, 1, 5)) == datetime(2024, 1, 5, tzinfo=UTC)
    assert tokyo.available_at(date(2024, 1, 1)) == datetime(2024, 1, 2, 15, tzinfo=UTC)
    assert BACKFILL.available_on(None) == date(2026, 1, 1)


def test_who_looks_after_an_account_is_kept_over_time(session: Session, record: Record) -> None:
    record(record_persons, [StaffRow("s1", "Sato")])
    row = replace(ACCOUNTS[0], csm="s1", account_owner="s2")
    assert record(record_accounts, [row]).along == Outcome(added=2)
    assert record(record_accounts, [row]) == Recorded(Outcome(unchanged=1), along=Outcome(unchanged=2))
    later = replace(LIVE, now=NOON.replace(month=3))
    assert record(record_accounts, [replace(row, csm="s2")], later).along == Outcome(changed=1, unchanged=1)
    found = session.execute(
        select(Assignment.role, Person.name, Assignment.valid_from, Assignment.valid_to)
        .join(Person, Person.id == Assignment.person_id)
        .where(Assignment.superseded_change_id.is_(None))
        .order_by(Assignment.role, Assignment.valid_from)
    )
    assert [tuple(row) for row in found] == [
        ("account_owner", "s2", date(1900, 1, 1), None),
        ("csm", "Sato", date(1900, 1, 1), date(2026, 3, 1)),
        ("csm", "s2", date(2026, 3, 1), None),
    ]


def test_a_contact_belongs_to_a_known_account_and_is_replaced_not_kept(session: Session, record: Record) -> None:
    contacts = [ContactRow("c1", "A", "Ana", "ana@example.com"), ContactRow("c2", "Z", "Zoe")]
    first = record(record_persons, contacts)
    assert (first.outcome, [refusal.reason for refusal in first.refusals]) == (
        Outcome(added=1),
        ["there is no account 'Z'; import the accounts first, or mend the id"],
    )
    assert record(record_persons, contacts[:1]).outcome == Outcome(unchanged=1)
    assert record(record_persons, [replace(contacts[0], name="Anna")]).outcome == Outcome(changed=1)
    assert session.execute(select(Person.name, Person.email)).all() == [("Anna", "ana@example.com")]


def test_prices_follow_one_another_and_reading_them_again_changes_nothing(session: Session, record: Record) -> None:
    rows = [
        ProductRow("k2", "SKU", "Bike", price=Decimal("12.5"), currency="USD", valid_from=date(2013, 7, 1)),
        ProductRow("k1", "SKU", "Bike", price=Decimal(10), currency="USD", valid_from=date(2012, 7, 1)),
    ]
    record(record_products, rows)
    again = record(record_products, rows)
    assert not again.has_changed_something
    in_force = ProductPrice.superseded_change_id.is_(None)
    prices = select(ProductPrice.amount, ProductPrice.valid_from, ProductPrice.valid_to).where(in_force)
    assert [tuple(row) for row in session.execute(prices.order_by(ProductPrice.valid_from))] == [
        (Decimal(10), date(1900, 1, 1), date(2013, 7, 1)),
        (Decimal("12.5"), date(2013, 7, 1), None),
    ]
    names = select(ProductVersion.name).where(ProductVersion.superseded_change_id.is_(None))
    assert session.scalars(names).all() == ["Bike"]


def test_a_deal_of_an_unknown_product_opens_it_and_one_of_a_sku_uses_it(session: Session, record: Record) -> None:
    record(record_products, [ProductRow("other key", "Gold", "Gold plan")])
    line = LineRow("D1", "Gold", Decimal(1200), key="1", term_months=12)
    record(record_deals, [deal(lines=(line, replace(line, key="2", product="Add-on", kind="one_time")))])
    products = select(ProductVersion.name, ProductVersion.is_recurring).order_by(ProductVersion.name)
    assert [tuple(row) for row in session.execute(products)] == [("Add-on", False), ("Gold plan", True)]


def test_one_deal_that_cannot_be_recorded_is_an_error_in_words(
    session: Session, change: Change, record: Record
) -> None:
    with pytest.raises(Invalid, match=r"The deal 'D1' cannot be recorded: there is no account 'Z'"):
        record_closed_deal(session, change, source=LIVE, deal=deal(account="Z"))
    assert record_closed_deal(session, change, source=LIVE, deal=deal()) == Outcome(added=3)
    assert record_closed_deal(session, change, source=LIVE, deal=deal()) == Outcome(unchanged=3)


def test_another_owner_makes_a_new_version_of_the_deal(session: Session, record: Record) -> None:
    record(record_deals, [deal(owner="s1")])
    assert record(record_deals, [deal(owner="s1")]).outcome == Outcome(unchanged=1)
    assert record(record_deals, [deal(owner="s2")]).outcome.changed == 1
    owners = (
        select(Person.external_id, DealVersion.superseded_change_id.is_(None))
        .join(DealOwner, DealOwner.person_id == Person.id)
        .join(DealVersion, DealVersion.id == DealOwner.deal_version_id)
        .order_by(DealVersion.id)
    )
    assert [tuple(row) for row in session.execute(owners)] == [("s1", False), ("s2", True)]


def add_template(session: Session, change: Change, name: str, **fits: str) -> None:
    template = OnboardingTemplate(name=name, change_id=change.id, **fits)
    session.add(template)
    session.flush()
    for position, (step, days) in enumerate([("Kick-off", 7), ("First value", 30)], start=1):
        values = {"template_id": template.id, "position": position, "name": step, "due_days": days}
        session.add(TemplateMilestone(**values, change_id=change.id))
    session.flush()


def test_a_new_contract_opens_the_plan_that_fits_best_and_opens_it_once(
    session: Session, change: Change, record: Record
) -> None:
    add_template(session, change, "any")
    add_template(session, change, "small", segment="small")
    deals = [deal(), deal("D2", account="B"), deal("D3", type="renewal"), deal("D4", stage="open", lines=())]
    record(record_deals, deals)
    record(record_deals, deals)
    plans = session.execute(
        select(OnboardingPlan.template, OnboardingPlan.started_on).order_by(OnboardingPlan.id)
    ).all()
    assert [tuple(plan) for plan in plans] == [("small", date(2024, 1, 1)), ("any", date(2024, 1, 1))]
    assert len(session.scalars(select(Milestone.id)).all()) == 4


def test_steps_that_a_source_brings_are_recorded_once_and_done_when_it_says(session: Session, record: Record) -> None:
    record(record_deals, [deal()])
    step = MilestoneRow("D1", 1, "Kick-off", date(2024, 1, 8))
    refused = record(record_milestones, [step, replace(step, deal="D9")])
    assert [(refusal.position, refusal.field) for refusal in refused.refusals] == [(1, "deal")]
    done = replace(step, done_on=date(2024, 1, 9))
    assert record(record_milestones, [done]).outcome == Outcome(changed=1)
    later = replace(LIVE, now=NOON.replace(month=3))
    assert record(record_milestones, [done], later).outcome == Outcome(unchanged=1)
    in_force = Milestone.superseded_change_id.is_(None)
    assert session.execute(select(Milestone.done_on, Milestone.done_available_at).where(in_force)).all() == [
        (date(2024, 1, 9), NOON)
    ]


def test_the_text_of_a_ticket_is_kept_once(session: Session, record: Record) -> None:
    ticket = TicketRow("T1", "A", date(2024, 1, 1), text="It fails")
    record(record_tickets, [ticket, replace(ticket, id="T2", account="Z")])
    assert record(record_tickets, [ticket]).outcome == Outcome(unchanged=1)
    assert record(record_tickets, [replace(ticket, closed_on=date(2024, 1, 2))]).outcome == Outcome(changed=1)
    assert session.scalars(select(FreeText.body)).all() == ["It fails"]
    assert len(session.scalars(select(Ticket.id)).all()) == 2


def test_usage_without_an_id_is_known_by_what_it_counts(session: Session, record: Record) -> None:
    row = UsageDayRow(date(2024, 1, 2), account="A", feature="export", amount=3)
    rows = [row, row, replace(row, feature=None), replace(row, account="B"), replace(row, amount=4)]
    first: RecordedUsage = record(record_usage, rows)
    assert (first.outcome, first.conflicts) == (Outcome(added=3, unchanged=1), (4,))
    again: RecordedUsage = record(record_usage, rows[:1])
    assert again.outcome.added == 0
    assert len(session.scalars(select(UsageDay.id)).all()) == 3


def test_usage_of_a_deal_lies_within_its_term_or_is_kept_apart(session: Session, record: Record) -> None:
    record(record_deals, [deal()])
    days = [date(2023, 12, 31), date(2024, 1, 1), date(2024, 12, 31), date(2025, 1, 1)]
    recorded: RecordedUsage = record(record_usage, [UsageDayRow(day, deal="D1") for day in days], BACKFILL)
    assert recorded.apart_read == recorded.apart_added == {"before_contract": 1, "after_contract": 1}
    found = session.execute(select(UsageDay.day, UsageDay.apart_reason, UsageDay.available_on).order_by(UsageDay.day))
    assert [row.apart_reason for row in found] == ["before_contract", None, None, "after_contract"]


def test_what_a_row_leaves_unsaid_stays_as_it_is_known(session: Session, record: Record) -> None:
    record(record_accounts, [replace(ACCOUNTS[0], parent="B")])
    later = replace(LIVE, now=NOON.replace(month=3))
    assert record(record_accounts, [replace(ACCOUNTS[0], employees=12)], later).outcome == Outcome(changed=1)
    found = session.execute(
        select(AccountVersion.valid_from, AccountVersion.employees, AccountVersion.parent_id.is_not(None))
        .where(AccountVersion.superseded_change_id.is_(None), AccountVersion.name == "Alpha")
        .order_by(AccountVersion.valid_from)
    )
    assert [tuple(row) for row in found] == [
        (date(1900, 1, 1), None, False),
        (date(2026, 1, 1), None, True),
        (date(2026, 3, 1), 12, True),
    ]


def test_of_two_notices_the_earlier_end_counts_since_it_was_known(session: Session, record: Record) -> None:
    record(record_deals, [deal()], BACKFILL)
    first = ChurnRow("n1", date(2024, 12, 1), deal="D1", given_on=date(2024, 2, 1))
    second = ChurnRow("n2", date(2024, 7, 1), deal="D1", given_on=date(2024, 6, 10))
    recorded = record(record_churn, [first, second], BACKFILL)
    assert (recorded.outcome, recorded.along) == (Outcome(added=2), Outcome(changed=1))
    line = select(ContractLineVersion.ends_on, ContractLineVersion.available_at)
    found = session.execute(line.where(ContractLineVersion.superseded_change_id.is_(None))).one()
    assert tuple(found) == (date(2024, 6, 30), datetime(2024, 6, 12, tzinfo=UTC))


def test_an_invoice_is_one_thing_its_payment_is_known_once_and_its_money_is_exact(
    session: Session, record: Record
) -> None:
    bill = InvoiceRow("b1", "A", date(2025, 12, 1), date(2025, 12, 31), amount=Decimal("1200.005"), currency="USD")
    paid = replace(bill, paid_on=date(2025, 12, 30))
    assert record(record_invoices, [bill, replace(bill, id="b2", account="Z")]) == Recorded(
        Outcome(added=1), (Refusal(1, "account", unknown_account("Z")),)
    )
    assert record(record_invoices, [paid]).outcome == Outcome(changed=1)
    later = replace(LIVE, now=NOON.replace(month=3))
    assert record(record_invoices, [paid], later).outcome == Outcome(unchanged=1)
    assert record(record_invoices, [replace(paid, due_on=date(2026, 1, 15))], later).outcome == Outcome(changed=1)
    versions = session.scalars(select(Invoice).order_by(Invoice.id)).all()
    assert [(each.paid_on, each.paid_available_at) for each in versions] == [
        (None, None),
        (date(2025, 12, 30), NOON),
        (date(2025, 12, 30), NOON),
    ]
    assert {(each.amount_minor, each.currency) for each in versions} == {(120000, "USD")}
    huge = record(record_invoices, [replace(bill, id="b3", amount=Decimal(10) ** 30)])
    assert [(each.field, each.reason[:10]) for each in huge.refusals] == [("amount", "1000000000")]


def test_a_training_says_what_was_taught_and_how_many_came(session: Session, record: Record) -> None:
    course = TrainingRow("l1", "A", date(2025, 12, 1), "Basics", feature="reports", attendees=4, text="Went well")
    assert record(record_trainings, [course]).outcome == Outcome(added=1)
    assert record(record_trainings, [course]).outcome == Outcome(unchanged=1)
    kept = session.scalars(select(Training)).one()
    assert (kept.topic, kept.feature, kept.attendees, kept.available_at) == ("Basics", "reports", 4, NOON)
