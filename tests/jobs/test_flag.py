"""The night of the example company finds who is ready for more: few, with reasons, and nobody in trouble."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from app.db import reading
from app.domain.expansion_seats import WINDOW_DAYS
from app.models.accounts import ExternalId
from app.models.contracts import ContractLineVersion
from app.models.events import PersonDay
from app.models.expansion import ExpansionOpportunity
from app.models.products import Product
from app.models.runs import JobStep
from app.models.scores import PublishedRun, Score
from app.models.success import Ticket
from app.models.versions import Change
from app.models.webhooks import WebhookMessage
from app.queries.expansion_facts import load_sold_lines
from app.queries.facts import Known
from app.queries.known import resolve_known_at
from app.queries.settings import load_company_settings
from jobs import flag_upsell
from jobs.demo import SEED
from jobs.example_company.files import account_code
from jobs.example_company.world import World, simulate
from jobs.flag import flag_opportunities
from jobs.night import Night
from jobs.steps import Run
from tests.installation import work_on

pytestmark = pytest.mark.one_database


@pytest.fixture(scope="module")
def world() -> World:
    return simulate(SEED)


@pytest.fixture
def flagged(example_engine: Engine) -> list[ExpansionOpportunity]:
    with reading(example_engine) as session:
        return list(session.scalars(select(ExpansionOpportunity).order_by(ExpansionOpportunity.id)))


@pytest.fixture
def night(example_engine: Engine, world: World) -> Night:
    with reading(example_engine) as session:
        known_at = resolve_known_at(session, None, now=datetime.now(UTC))
    return Night(work_on(example_engine), Run(0, world.as_of, known_at, False))


def test_some_accounts_are_ready_for_more_and_most_are_not(example_engine: Engine, flagged) -> None:
    assert 10 <= len(flagged) <= 60
    motions = Counter(row.motion for row in flagged)
    assert min(motions["upsell"], motions["cross_sell"]) >= 5
    assert {row.state for row in flagged} == {"flagged"}
    assert max(Counter(row.account_id for row in flagged).values()) <= 2
    with reading(example_engine) as session:
        result = session.scalars(select(JobStep.result).where(JobStep.name == "flag")).one()
        assert result is not None
        assert (result["flagged"], result["waiting"]) == (len(flagged), 0)
        assert session.scalar(select(func.count()).select_from(WebhookMessage)) == len(flagged)


def test_nobody_in_trouble_is_sold_to(example_engine: Engine, flagged, world: World) -> None:
    with reading(example_engine) as session:
        run_id = session.scalars(select(PublishedRun.run_id)).one()
        scores = {row.account_id: row for row in session.scalars(select(Score).where(Score.run_id == run_id))}
        escalated = select(Ticket.account_id).where(Ticket.is_escalated, Ticket.closed_on.is_(None))
        in_pain = set(session.scalars(escalated))
    held_back = 0
    for account_id, score in scores.items():
        if score.status != "live":
            continue
        survival = np.frombuffer(score.survival, "<f4")
        soon = score.renewal_on is not None and (score.renewal_on - world.as_of) < timedelta(days=90)
        in_trouble = survival[2] < 0.8 or account_id in in_pain or (soon and score.renewal_churn_probability > 0.3)
        held_back += in_trouble
        if in_trouble:
            assert account_id not in {row.account_id for row in flagged}
    assert held_back > 10, "there are such accounts, or this shows nothing"
    assert {scores[row.account_id].status for row in flagged} == {"live"}


def test_seats_and_people_are_those_of_the_simulation(example_engine: Engine, flagged, world: World) -> None:
    """The busiest of the last thirty days, straight from what was simulated."""
    with reading(example_engine) as session:
        codes = dict(session.execute(select(ExternalId.account_id, ExternalId.external_id)).all())
    number = {account_code(n): n for n in range(len(world.history.profile.segment))}
    usage, since = world.usage, np.datetime64(world.as_of) - WINDOW_DAYS
    for row in (row for row in flagged if row.motion == "upsell"):
        account = number[codes[row.account_id]]
        own = (usage.account == account) & (usage.feature == -1) & (usage.day >= since)
        evidence = row.evidence[0]
        assert evidence["kind"] == "seats_in_use"
        assert evidence["people"] == usage.amount[own].max()
        assert evidence["seats"] == world.history.customers.seats[account]
        assert row.score == pytest.approx(evidence["people"] / evidence["seats"])
        assert row.score >= 0.75


def test_seats_are_worth_what_the_account_pays_for_them(example_engine: Engine, flagged) -> None:
    """In dollars, where no rate blurs it: quantity x ARR / seats of the plan, to the cent."""
    line, checked = ContractLineVersion, 0
    with reading(example_engine) as session:
        for row in (row for row in flagged if row.motion == "upsell"):
            live = (
                (line.superseded_change_id.is_(None))
                & (line.starts_on <= row.flagged_on)
                & (line.ends_on.is_(None) | (line.ends_on >= row.flagged_on))
            )
            statement = select(line.arr_minor, line.quantity, line.currency).where(
                live, line.account_id == row.account_id, line.product_id == row.product_id
            )
            lines = session.execute(statement).all()
            if {each.currency for each in lines} == {"USD"} and row.quantity:
                arr, seats = sum(each.arr_minor for each in lines), sum(each.quantity for each in lines)
                assert abs(row.amount_minor * seats - arr * row.quantity) <= seats / 2
                checked += 1
    assert checked > 2


def test_nothing_that_an_account_has_or_had_is_offered_nor_another_plan(example_engine: Engine, flagged) -> None:
    line = ContractLineVersion
    with reading(example_engine) as session:
        skus = dict(session.execute(select(Product.id, Product.sku)).all())
        for row in (row for row in flagged if row.motion == "cross_sell"):
            assert not skus[row.product_id].startswith("PLAN")
            had = session.scalars(select(line.product_id).where(line.account_id == row.account_id)).all()
            assert row.product_id not in had
            assert (row.quantity, row.measure) == (None, "arr")


def test_only_what_was_closed_before_the_day_and_recorded_by_the_instant_counts(
    example_engine: Engine, night: Night
) -> None:
    day = date(2024, 1, 1)
    with reading(example_engine) as session:
        settings = load_company_settings(session)
        lines = load_sold_lines(session, Known(day, night.run.known_at, settings))
        assert len(lines.account_id) > 100
        assert lines.closed_on.max() < np.datetime64(day)
        first = session.scalar(select(func.min(Change.recorded_at)))
        assert first is not None
        before = load_sold_lines(session, Known(day, first - timedelta(seconds=1), settings))
        assert len(before.account_id) == 0


def test_people_that_are_told_apart_count_instead_of_the_busiest_day(example_engine: Engine, night: Night) -> None:
    with reading(example_engine) as session:
        plain = flag_upsell.measure_seats(session, night.known, facts=night.seat_facts)
        account_id = int(plain.account_id[np.flatnonzero(~np.isnan(plain.use.people[:, -1]))[0]])
    as_of = night.known.as_of
    days = [  # person, days back, available days back
        (b"a", 1, 0), (b"a", 2, 1), (b"b", 30, 29), (b"c", 31, 30), (b"d", 181, 180), (b"e", 3, -1), (b"f", 0, -1),
    ]  # fmt: skip
    rows = [
        PersonDay(
            account_id=account_id,
            day=as_of - timedelta(days=back),
            person_key=person.ljust(16),
            available_on=as_of - timedelta(days=available) - timedelta(days=1),
        )
        for person, back, available in days
    ]

    with Session(example_engine) as session:  # the example is everybody's: what is written here is taken back
        session.add_all(rows)
        session.flush()
        measured = flag_upsell.measure_seats(session, night.known, facts=night.seat_facts)
        session.rollback()
    (place,) = np.flatnonzero(measured.account_id == account_id)
    assert measured.is_distinct.sum() == 1
    # "e" came to be known on the day itself, and "f" was active on it: neither was known before it.
    assert measured.use.people[place][-2:].tolist() == [1.0, 2.0]
    assert np.isnan(measured.use.people[place][:-2]).all(), "nobody was told apart then"


def test_an_old_night_that_is_made_up_flags_nothing(example_engine: Engine, night: Night) -> None:
    old = Night(night.work, Run(0, night.run.as_of - timedelta(days=1), night.run.known_at, False))
    write = flag_opportunities(old, {})
    with reading(example_engine) as session:
        assert write(session) == {"flagged": 0, "skipped": "a later night is published"}
