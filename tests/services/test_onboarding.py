"""Onboarding: which contract opens a plan from which template, once; steps ticked and taken back; versions."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import Engine, select

from app.db import reading, transaction
from app.errors import Conflict, Invalid, NotFound
from app.models.audit import AuditEntry
from app.models.success import Milestone, OnboardingPlan
from app.queries.onboarding import Plan, load_onboarding_plans
from app.queries.onboarding_templates import TemplateStep, load_templates
from app.services.accounts import record_accounts
from app.services.changes import recording
from app.services.deals import record_deals
from app.services.health import Said
from app.services.onboarding import mark_step
from app.services.onboarding_templates import WantedTemplate, write_template
from app.services.products import record_products
from app.services.sources import Source
from integrations.files.rows import AccountRow, ClosedDeal, DealRow, LineRow, ProductRow

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)
START = date(2026, 3, 2)
STEPS = (TemplateStep("Kick-off", 7), TemplateStep("First value", 30))


@pytest.fixture
def company(engine: Engine) -> Engine:
    with transaction(engine) as session, recording(session, "test", clock=lambda: NOW) as change:
        source = Source("crm", NOW)
        rows = [AccountRow("A", "Alpha", segment="small"), AccountRow("B", "Beta", segment="large")]
        record_accounts(session, change, source=source, rows=rows)
        products = [
            ProductRow("CORE", "CORE", "Core", family="Platform"),
            ProductRow("BI", "BI", "Reports", family="Analytics"),
        ]
        record_products(session, change, source=source, rows=products)
    return engine


def write(engine: Engine, name: str, *, family: str | None = None, segment: str | None = None, steps=STEPS) -> int:  # type: ignore[no-untyped-def]
    with transaction(engine) as session:
        return write_template(session, WantedTemplate(name, family, segment, steps), said=said())


def said(at: datetime = NOW) -> Said:
    return Said("user:7", at, at.date())


def deal(id_: str, account: str = "A", *, type_: str = "new", product: str = "CORE", on: date = START) -> ClosedDeal:
    row = DealRow(id_, account, "Deal", type=type_, opened_on=on, closed_on=on, currency="USD")
    line = LineRow(id_, product=product, amount=Decimal(1200), term_months=12, starts_on=on)
    return ClosedDeal(row, (line,))


def win(engine: Engine, deals: Sequence[ClosedDeal], *, lag_days: int | None = None) -> list[tuple[str, str]]:
    """The plans that there are afterwards: template, and name of the deal's account."""
    with transaction(engine) as session, recording(session, "sync of crm", clock=lambda: NOW) as change:
        recorded = record_deals(session, change, source=Source("crm", NOW, lag_days=lag_days), deals=deals)
        assert not recorded.refusals
    with reading(engine) as session:
        rows = session.execute(select(OnboardingPlan.template, OnboardingPlan.account_id).order_by(OnboardingPlan.id))
        return [(row.template, "AB"[row.account_id - 1]) for row in rows]


def plan_of(engine: Engine, account_id: int = 1, *, as_of: date = START) -> Plan:
    with reading(engine) as session:
        (plan,) = load_onboarding_plans(session, account_id, known_at=NOW + timedelta(days=99), as_of=as_of)
        return plan


def test_the_first_won_deal_of_an_account_opens_a_plan_and_no_later_one_does(company: Engine) -> None:
    write(company, "Standard")
    later = [deal("D2", on=START + timedelta(days=9)), deal("D3", type_="expansion"), deal("D4", type_="renewal")]
    assert win(company, [deal("D1")]) == [("Standard", "A")]
    assert win(company, [deal("D1"), *later]) == [("Standard", "A")]
    steps = plan_of(company).steps
    assert [(step.name, step.due_on) for step in steps] == [
        ("Kick-off", date(2026, 3, 9)),
        ("First value", date(2026, 4, 1)),
    ]


def test_an_account_that_has_long_been_one_gets_no_plan_for_its_next_deal(company: Engine) -> None:
    assert win(company, [deal("D1", on=date(2024, 1, 1))]) == []
    write(company, "Standard")
    assert win(company, [deal("D2")]) == []


def test_an_add_on_opens_a_plan_where_its_product_has_a_template_and_that_once(company: Engine) -> None:
    write(company, "Standard")
    write(company, "Reports", family="Analytics")
    add_on = deal("D2", type_="expansion", product="BI", on=START + timedelta(days=40))
    again = deal("D3", type_="renewal", product="BI", on=START + timedelta(days=400))
    assert win(company, [deal("D1"), add_on]) == [("Standard", "A"), ("Reports", "A")]
    write(company, "Reports", family="Analytics", steps=STEPS[:1])
    assert win(company, [again]) == [("Standard", "A"), ("Reports", "A")]


def test_the_template_that_says_most_about_product_and_segment_is_taken(company: Engine) -> None:
    write(company, "any")
    write(company, "large", segment="large")
    write(company, "platform", family="Platform")
    write(company, "both", family="Platform", segment="large")
    assert win(company, [deal("D1"), deal("D2", "B")]) == [("platform", "A"), ("both", "B")]


@pytest.mark.parametrize(("days_ago", "opens"), [(28, True), (30, True), (31, False), (900, False)])
def test_a_load_of_history_opens_only_plans_that_still_run(company: Engine, days_ago: int, opens: bool) -> None:
    write(company, "Standard")
    began_on = NOW.date() - timedelta(days=days_ago)
    assert bool(win(company, [deal("D1", on=began_on)], lag_days=1)) is opens


def test_a_template_written_again_takes_the_place_of_the_first_and_open_plans_stay(company: Engine) -> None:
    write(company, "Standard")
    win(company, [deal("D1")])
    write(company, "Standard", steps=STEPS[:1])
    with reading(company) as session:
        [template] = load_templates(session)
    assert (template.name, len(template.steps), template.actor) == ("Standard (2)", 1, "user:7")
    assert win(company, [deal("D2", "B")]) == [("Standard", "A"), ("Standard (2)", "B")]
    assert len(plan_of(company).steps) == 2
    write(company, "Standard (2)", steps=())
    with reading(company) as session:
        assert load_templates(session) == ()
        actions = session.scalars(select(AuditEntry.action).order_by(AuditEntry.id)).all()
    assert [each.partition(".")[2] for each in actions] == ["written", "written", "ended"]
    with pytest.raises(Conflict):
        write(company, "Standard", steps=())


@pytest.mark.parametrize(
    ("name", "step"),
    [("", STEPS[0]), ("x" * 151, STEPS[0]), ("a\nb", STEPS[0]), ("a", TemplateStep("", 1)),
     ("a", TemplateStep("x", 731)), ("a", TemplateStep("x", -1))],
)  # fmt: skip
def test_a_template_that_does_not_fit_is_refused(company: Engine, name: str, step: TemplateStep) -> None:
    with pytest.raises(Invalid):
        write(company, name, steps=(step,))


def mark(engine: Engine, step_id: int, *, is_done: bool, days: int) -> None:
    with transaction(engine) as session:
        mark_step(session, step_id, is_done=is_done, said=said(NOW + timedelta(days=days)))


def test_a_step_is_ticked_and_taken_back_and_both_stay_on_record(company: Engine) -> None:
    write(company, "Standard")
    win(company, [deal("D1")])
    day = START + timedelta(days=50)
    first = plan_of(company).steps[0]
    mark(company, first.id, is_done=True, days=5)
    ticked = plan_of(company, as_of=day).steps[0]
    assert (ticked.done_on, ticked.name, ticked.due_on) == (date(2026, 3, 6), first.name, first.due_on)
    with pytest.raises(Conflict):
        mark(company, first.id, is_done=True, days=6)
    mark(company, ticked.id, is_done=False, days=7)
    assert plan_of(company, as_of=day).steps[0].done_on is None
    with pytest.raises(NotFound):
        mark(company, 9_999, is_done=True, days=8)
    with reading(company) as session:
        rows = session.execute(
            select(Milestone.done_on, Milestone.done_available_at).where(Milestone.position == 1).order_by(Milestone.id)
        ).all()
        acts = session.execute(
            select(AuditEntry.action, AuditEntry.details).where(AuditEntry.action.startswith("onboarding_step"))
        ).all()
    done_at = NOW + timedelta(days=5)
    assert [tuple(row) for row in rows] == [(None, None), (done_at.date(), done_at), (None, None)]
    assert [row.action for row in acts] == ["onboarding_step.done", "onboarding_step.reopened"]
    assert acts[0].details == {"account_id": 1}
