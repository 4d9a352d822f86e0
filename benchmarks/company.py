"""A generated company of any size, written straight into the tables: what the night and the pages are measured on.

Three years of history with a fixed seed. Accounts come and go by a hazard that hangs on how much they use; half pay
by the month, half by the year; a fifth add a second line, a tenth of what was signed was put right later. Usage is
recorded by the month and feature, tickets, surveys, touches and onboarding by the day. The same number of accounts
gives the same rows on both databases.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine, insert, text
from sqlalchemy.orm import Session

from app.db import transaction
from app.domain.months import Days, add_months_to_days
from app.models.accounts import Account, AccountVersion, Assignment, ExternalId
from app.models.contracts import ChurnNotice, Contract, ContractLine, ContractLineVersion, ContractVersion
from app.models.deals import Deal, DealVersion
from app.models.persons import Person
from app.models.products import Product, ProductVersion
from app.models.success import Milestone, OnboardingPlan, SurveyAnswer, Ticket, Touch
from app.models.usage import UsageDay, UsageFeature, UsageMetric
from app.services.bulk import add_columns
from app.services.changes import recording

MONTHS = 36
AS_OF = date(2026, 9, 1)
SYSTEM = "bench"
PLANS, SEGMENTS, CHANNELS = ("Team", "Business", "Enterprise"), ("Small", "Mid-market", "Large"), ("Web", "Partner")
CAMPAIGNS = ("Fair", "Search", "Referral", "Webinar")
FEATURES, STAFF = 6, 40
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Columns = Mapping[str, Any]


@dataclass(frozen=True)
class World:
    """Accounts 1..n: when they joined, how long they stayed (months; 99: still there) and how much they use."""

    rng: np.random.Generator
    joined: Ints  # month 0..35 of the history
    day: Ints  # of the month
    stayed: Ints
    annual: NDArray[np.bool_]
    liking: Floats
    seats: Ints

    @property
    def size(self) -> int:
        return len(self.joined)

    def month(self, account: Ints, number: Ints) -> Days:
        """The first day of an account's month `number` of tenure (0: the first)."""
        first = np.datetime64(AS_OF, "M") - MONTHS
        days: Days = add_months_to_days(first.astype("datetime64[D]"), self.joined[account] + number)
        found: Days = days + self.day[account].astype("timedelta64[D]")
        return found


def make_world(accounts: int) -> World:
    rng = np.random.default_rng(20_260_901)
    liking, annual = rng.normal(0.0, 0.7, accounts), rng.random(accounts) < 0.5
    joined = rng.integers(0, MONTHS, accounts)
    month = np.arange(1, MONTHS + 1)[None, :]
    logit = np.where(
        annual[:, None], np.where(month % 12 == 0, -1.4, -9.0), -3.6 + 0.8 * (month <= 3)
    ) - 0.9 * liking[:, None]  # fmt: skip
    left = rng.random((accounts, MONTHS)) < 1.0 / (1.0 + np.exp(-logit))
    stayed = np.where(left.any(axis=1), left.argmax(axis=1) + 1, 99)
    stayed = np.where(joined + stayed < MONTHS, stayed, 99)
    return World(rng, joined, rng.integers(0, 28, accounts), stayed, annual, liking, rng.geometric(0.08, accounts) + 1)


def write_company(engine: Engine, accounts: int) -> None:
    world = make_world(accounts)
    with transaction(engine) as session, recording(session, "benchmark", assumed_lag_days=1) as change:
        if engine.dialect.name == "postgresql":  # looks no reference up: what is written here refers to what there is
            session.execute(text("SET LOCAL session_replication_role = replica"))
        _write_shared(session, change_id=change.id)
        for table, columns in _tables(world):
            add_columns(session, table, columns=_in_full(table, columns, change_id=change.id))
    with transaction(engine) as session:
        session.execute(text("ANALYZE"))


def _in_full(table: type[Any], columns: Columns, *, change_id: int) -> Columns:
    """The columns with their ids and change, and what has a default in the table."""
    size = len(next(each for each in columns.values() if isinstance(each, np.ndarray)))
    full = dict(columns) | {"change_id": change_id}
    if "id" not in full:
        full["id"] = np.arange(1, size + 1)
    for column in table.__table__.columns:
        if column.default is not None and column.default.is_scalar and column.name not in full:
            full[column.name] = column.default.arg
    return {
        name: each if isinstance(each, np.ndarray) else np.full(size, each, dtype=object) for name, each in full.items()
    }


def _write_shared(session: Session, *, change_id: int) -> None:
    own = {"change_id": change_id}
    known = datetime(2023, 1, 1, tzinfo=UTC)
    session.execute(
        insert(Person), [{"kind": "staff", "system": SYSTEM, "external_id": str(n), "name": f"CSM {n:02}"} | own
                         for n in range(STAFF)]
    )  # fmt: skip
    for number, plan in enumerate((*PLANS, "Analytics"), start=1):
        session.execute(insert(Product), [{"id": number, "sku": plan} | own])
        session.execute(
            insert(ProductVersion),
            [{"product_id": number, "valid_from": date(2020, 1, 1), "name": plan, "plan": plan, "is_recurring": True,
              "family": "Add-on" if plan == "Analytics" else "Platform", "unit": "seat", "available_at": known} | own],
        )  # fmt: skip
    session.execute(
        insert(UsageMetric),
        [{"id": 1, "name": "activity", "unit": "count"}, {"id": 2, "name": "active_people", "unit": "people"}],
    )
    session.execute(insert(UsageFeature), [{"id": n + 1, "name": f"feature {n}"} for n in range(FEATURES)])


def _tables(world: World) -> Iterator[tuple[type[Any], Columns]]:
    """Each table with its columns, in the order they refer to each other."""
    account = np.arange(world.size)
    ids, first = account + 1, world.month(account, np.zeros(world.size, dtype=np.int64))
    yield Account, {"id": ids}
    yield (
        AccountVersion,
        {
            "account_id": ids, "valid_from": first, "available_at": _known(first), "industry": "Software",
            "name": _numbered("Company", ids), "segment": _pick(SEGMENTS, ids), "channel": _pick(CHANNELS, ids // 3),
            "campaign": _pick(CAMPAIGNS, ids // 7), "country": "JP", "custom": "{}",
        },
    )  # fmt: skip
    external = {"system": SYSTEM, "kind": "crm", "external_id": _numbered("A", ids)}
    yield ExternalId, external | {"account_id": ids, "available_at": _known(first)}
    yield (
        Assignment,
        {
            "account_id": ids, "role": "csm", "person_id": 1 + ids % STAFF, "valid_from": first,
            "available_at": _known(first),
        },
    )  # fmt: skip
    yield from _contracts(world)
    yield from _usage(world)
    yield from _success(world)


def _contracts(world: World) -> Iterator[tuple[type[Any], Columns]]:
    """A contract that runs until notice for who pays by the month, one a year for the others, add-ons with an end."""
    account = np.arange(world.size)
    lived = np.minimum(world.stayed, MONTHS - world.joined)
    terms = np.where(world.annual, -(-lived // 12), 1)
    owner, number = _spans(terms)
    adds = np.flatnonzero((account % 5 == 0) & (lived > 4))
    left = world.stayed[owner] < 99
    ends = np.where(world.annual[owner], 12 * (number + 1), np.where(left, world.stayed[owner], 0))
    owner, start = np.append(owner, adds), np.append(12 * number, np.full(len(adds), 4))
    product = np.append(owner[: len(ends)] % 3 + 1, np.full(len(adds), 4))
    ends = np.append(ends, np.full(len(adds), 12))
    is_renewal = np.append(number > 0, np.zeros(len(adds), dtype=bool))
    ids = np.arange(1, len(owner) + 1)
    starts_on, ended = world.month(owner, start), ends > 0
    ends_on = np.where(ended, world.month(owner, ends) - np.timedelta64(1, "D"), np.datetime64("NaT"))
    monthly_minor = world.seats[owner] * (1500 + 500 * product)
    months = np.where(world.annual[owner] | (product == 4), 12, 1)
    known = _known(starts_on)
    yield Deal, {"id": ids, "system": SYSTEM, "external_id": _numbered("D", ids)}
    yield (
        DealVersion,
        {
            "deal_id": ids, "account_id": owner + 1, "stage": "won", "type": "new", "closed_on": starts_on,
            "opened_on": starts_on - 30, "currency": "USD", "amount_minor": monthly_minor * months,
            "available_at": known,
        },
    )  # fmt: skip
    yield Contract, {"id": ids, "deal_id": ids}
    yield (
        ContractVersion,
        {
            "contract_id": ids, "account_id": owner + 1, "starts_on": starts_on, "ends_on": ends_on,
            "term_months": months, "renewal_of_id": np.where(is_renewal, ids - 1.0, np.nan), "available_at": known,
            "auto_renew": months == 1, "non_cancellable": owner % 10 == 3,
        },
    )  # fmt: skip
    yield ContractLine, {"id": ids, "contract_id": ids, "line_key": "1"}
    yield (
        ContractLineVersion,
        {
            "contract_line_id": ids, "account_id": owner + 1, "product_id": product, "kind": "recurring",
            "quantity": world.seats[owner].astype(str).astype(object), "starts_on": starts_on, "ends_on": ends_on,
            "term_months": months, "amount": "1", "amount_minor": monthly_minor * months, "currency": "USD",
            "arr_minor": monthly_minor * 12, "available_at": known,
        },
    )  # fmt: skip
    gone = np.flatnonzero(world.stayed < 99)
    leaving = world.month(gone, world.stayed[gone])
    yield (
        ChurnNotice,
        {
            "system": SYSTEM, "external_id": _numbered("N", gone), "account_id": gone + 1, "occurred_on": leaving - 10,
            "effective_on": leaving, "cause": "voluntary", "available_at": _known(leaving - 10),
        },
    )  # fmt: skip


def _usage(world: World) -> Iterator[tuple[type[Any], Columns]]:
    """A month's activity by feature on one of its days, and the people of its busiest day."""
    owner, number = _spans(np.minimum(world.stayed, MONTHS - world.joined))
    drift = world.liking[owner] + world.rng.normal(0.0, 0.4, len(owner))
    activity = np.floor(np.exp(2.5 + drift) * world.seats[owner] + 1.0)
    people = np.ceil(world.seats[owner] * 0.9 / (1.0 + np.exp(-1.0 - drift)))
    day = world.month(owner, number) + world.rng.integers(0, 27, len(owner)).astype("timedelta64[D]")
    parts: tuple[tuple[int, Any, Any], ...] = (
        (1, owner % FEATURES + 1.0, activity),
        (1, (owner + number) % FEATURES + 1.0, np.floor(activity / 3)),
        (2, np.full(len(owner), np.nan), people),
    )
    size = len(owner) * len(parts)
    when = np.tile(day, len(parts))
    order = np.argsort(when, kind="stable")  # a source tells a day of all accounts after the other
    yield (
        UsageDay,
        {
            "source_key": _keys(size), "account_id": np.tile(owner + 1, len(parts))[order],
            "metric_id": np.repeat([part[0] for part in parts], len(owner))[order],
            "feature_id": np.concatenate([part[1] for part in parts])[order], "day": when[order],
            "available_on": when[order] + 1, "amount": np.concatenate([part[2] for part in parts])[order],
        },
    )  # fmt: skip


def _success(world: World) -> Iterator[tuple[type[Any], Columns]]:
    lived = np.minimum(world.stayed, MONTHS - world.joined)
    owner, number = _spans(lived)
    for table, share in ((Ticket, 0.2), (SurveyAnswer, 0.08), (Touch, 0.25)):
        found = np.flatnonzero(world.rng.random(len(owner)) < share)
        on = world.month(owner[found], number[found]) + world.rng.integers(0, 27, len(found)).astype("timedelta64[D]")
        facts = {"system": SYSTEM, "external_id": _numbered(table.__tablename__, found), "account_id": owner[found] + 1}
        more = {
            Ticket: {"is_escalated": found % 9 == 0},
            SurveyAnswer: {"kind": _pick(("nps", "csat"), found), "score": 1.0 + found % 5},
            Touch: {"kind": "call", "staff_id": 1 + found % STAFF},
        }
        yield table, facts | {"occurred_on": on, "available_at": _known(on)} | more[table]
    account = np.arange(world.size)
    first = world.month(account, np.zeros(world.size, dtype=np.int64))
    yield OnboardingPlan, {"id": account + 1, "account_id": account + 1, "template": "Start", "started_on": first}
    plan, position = _spans(np.full(world.size, 3))
    due = first[plan] + (14 * (position + 1)).astype("timedelta64[D]")
    done = due + world.rng.integers(-7, 14, len(due)).astype("timedelta64[D]")
    done = np.where((world.rng.random(len(due)) < 0.85) & (done < np.datetime64(AS_OF)), done, np.datetime64("NaT"))
    yield (
        Milestone,
        {
            "plan_id": plan + 1, "position": position, "name": _numbered("Step", position), "due_on": due,
            "done_on": done, "available_at": _known(first[plan]), "done_available_at": _known(done),
        },
    )  # fmt: skip


def _spans(counts: Ints) -> tuple[Ints, Ints]:
    """(owner, number) for each of counts[owner] things."""
    owner = np.repeat(np.arange(len(counts)), counts)
    return owner, np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)


def _known(days: Days) -> Days:
    """The instant at which a day's facts came in: early the next morning."""
    known: NDArray[Any] = (days + 1).astype("datetime64[s]") + np.timedelta64(3 * 3600, "s")
    return known


def _pick(names: Sequence[str], number: Ints) -> NDArray[Any]:
    return np.array(names, dtype=object)[number % len(names)]


def _numbered(word: str, number: Ints) -> NDArray[Any]:
    return np.array([f"{word} {n}" for n in number.tolist()], dtype=object)


def _keys(size: int) -> NDArray[Any]:
    return np.array([n.to_bytes(16, "big") for n in range(size)], dtype=object)
