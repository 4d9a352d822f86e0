"""What moved the health of an account between two days: the parts that the nights stored, added up, and overrides.

Each published run knows the run that it was compared with. From the run that is published now they lead back, night
by night; what was made anew or never published is not among them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from app.domain.features import Floats
from app.domain.health import CLOCK_DRIVERS, NOTICE
from app.domain.health_change import CALCULATED_PARTS, PARTS, override_move
from app.domain.months import Days, Ints
from app.errors import Invalid, NotReady
from app.models.accounts import AccountVersion
from app.models.health import HealthOverride
from app.models.scores import FeatureSnapshot, ModelRun, PublishedRun, Score
from app.queries.columns import fetch_columns
from app.queries.explanations import DRIVERS, Driver, Explanation, compare_explanations, explain
from app.queries.known import Between, in_force, of_accounts, valid_on
from app.queries.runs import CHURN, NOT_PUBLISHED
from app.queries.settings import load_company_settings

WITHHELD, NO_SCORE, NOT_RECORDED = "withheld", "no_score", "not_recorded"
BATCH = 400  # ids a look-up


@dataclass(frozen=True, slots=True)
class Link:
    """A run of the chain."""

    run_id: int
    as_of: date


@dataclass(frozen=True, slots=True, eq=False)
class ScoredAccounts:
    """What the accounts with a risk were scored on in a run, in the order of their ids.

    `document` is the run's model, `names` those of the features, the columns of `values`; `weights` are the setting
    `health_weights` of then.
    """

    as_of: date
    document: str
    names: tuple[str, ...]
    account_id: Ints
    risk: Floats
    started_on: Days
    renewal_on: Days
    term_months: Ints
    values: Floats
    weights: Mapping[str, Mapping[str, float]]
    segments: Sequence[str | None]


@dataclass(frozen=True, slots=True)
class HealthThen:
    """The health of an account on a day, by the last run as of then or before.

    `health` is what was calculated, None where it was withheld or there was none; `override` is what somebody had
    set instead by the end of the day, to be shown beside it.
    """

    on: date
    as_of: date
    health: float | None = None
    band: str | None = None
    risk: float | None = None
    explanation: Explanation | None = None
    override: float | None = None
    override_band: str | None = None

    @property
    def shown(self) -> float | None:
        return self.health if self.override is None else self.override

    @property
    def why_none(self) -> str | None:
        if self.health is not None:
            return None
        return NO_SCORE if self.risk is None else WITHHELD


@dataclass(frozen=True, slots=True)
class HealthMove:
    """From an earlier health to a later: points by part (`PARTS`), which add up to the move of the shown score.

    None with the reason where that cannot be said.
    """

    earlier: HealthThen
    later: HealthThen
    parts: Mapping[str, float] | None
    why_none: str | None

    @property
    def drivers(self) -> list[Driver]:
        """`compare_explanations` of the two days, of a move that could be split."""
        then, now = self.earlier.explanation, self.later.explanation
        return compare_explanations(then, now) if self.parts and then and now else []


def load_chain(session: Session, *, run_id: int | None = None) -> list[Link]:
    """The runs that were published one after the other, the latest first: from `run_id` back, or the published one."""
    rows = session.execute(select(ModelRun.id, ModelRun.as_of, ModelRun.compared_with_id).where(ModelRun.kind == CHURN))
    runs = {each: (as_of, before) for each, as_of, before in rows}
    published = select(PublishedRun.run_id).where(PublishedRun.kind == CHURN)
    at: int | None = run_id if run_id is not None else session.scalar(published)
    chain = []
    while at is not None and at in runs:
        as_of, before = runs.pop(at)
        chain.append(Link(at, as_of))
        at = before
    return chain


def load_health_move(session: Session, account_id: int, *, from_on: date, to_on: date) -> HealthMove:
    """What moved the shown health of an account from one day to another.

    Each day is that of the last published run as of it or before, and of the overrides in force at its end. Raises
    NotReady where no run is published, Invalid for days in the wrong order or before the first run.
    """
    chain = load_chain(session)
    if not chain:
        raise NotReady(NOT_PUBLISHED)
    if to_on < from_on:
        raise Invalid("The day to compare with lies after the other; change them over.")
    first, last = (_find_link(chain, day) for day in (from_on, to_on))
    earlier, later = (
        _load_health(session, account_id, link=link, on=day) for link, day in ((first, from_on), (last, to_on))
    )
    if why_none := earlier.why_none or later.why_none:
        return HealthMove(earlier, later, None, why_none)
    between = [link.run_id for link in chain if first.as_of < link.as_of <= last.as_of]
    stored = _load_moves(session, account_id, run_ids=between)
    moves = [each for each in stored if each is not None]
    if len(moves) < len(stored):
        return HealthMove(earlier, later, None, NOT_RECORDED)
    calculated = np.frombuffer(b"".join(moves), dtype="<f8").reshape(-1, len(CALCULATED_PARTS)).sum(axis=0)
    points = [*calculated.tolist(), _move_by_override(earlier, later)]
    return HealthMove(earlier, later, dict(zip(PARTS, points, strict=True)), None)


def _move_by_override(earlier: HealthThen, later: HealthThen) -> float:
    values = (earlier.health, later.health, earlier.shown, later.shown)
    then, now, shown_then, shown_now = (0.0 if each is None else each for each in values)
    return override_move((then, now), (shown_then, shown_now))


def load_scored_accounts(
    session: Session, run_id: int, *, account_ids: Sequence[int] | None = None, between: Between | None = None
) -> ScoredAccounts:
    """What a run scored its accounts on, or those between; of many, where some are named, those at least."""
    run = session.get_one(ModelRun, run_id)
    others = {*CLOCK_DRIVERS, NOTICE}
    names = tuple(driver["name"] for driver in run.report["drivers"] if driver["name"] not in others)
    score, snapshot = Score, FeatureSnapshot
    statement = (
        select(score.account_id, score.risk, score.started_on, score.renewal_on, snapshot.term_months)
        .join(snapshot, and_(snapshot.run_id == score.run_id, snapshot.account_id == score.account_id))
        .where(score.run_id == run_id, score.risk.is_not(None), snapshot.term_months.is_not(None))
        .where(of_accounts(score.account_id, between))
        .order_by(score.account_id)
    )
    if account_ids is not None and len(account_ids) <= BATCH:
        statement = statement.where(score.account_id.in_(account_ids))
    account_id, risk, started_on, renewal_on, term_months = fetch_columns(session, statement)
    values = b"".join(session.scalars(statement.with_only_columns(snapshot.values)))
    weights = load_company_settings(session, as_of=run.as_of, known_at=run.known_at).health_weights
    segment_of = _load_segments(session, run, between=between) if weights else {}
    return ScoredAccounts(
        as_of=run.as_of,
        document=run.document,
        names=names,
        account_id=account_id,
        risk=risk,
        started_on=started_on,
        renewal_on=renewal_on,
        term_months=term_months,
        values=np.frombuffer(values, dtype="<f8").reshape(len(account_id), len(names)),
        weights=weights,
        segments=[segment_of.get(each) for each in account_id.tolist()],
    )


def _load_segments(session: Session, run: ModelRun, *, between: Between | None) -> dict[int, str | None]:
    version = AccountVersion
    rows = session.execute(
        select(version.account_id, version.segment).where(
            in_force(version, run.known_at), valid_on(version, run.as_of), of_accounts(version.account_id, between)
        )
    )
    segments: dict[int, str | None] = dict(rows.all())
    return segments


def find_last_scored(session: Session, chain: Sequence[Link], *, account_ids: Sequence[int]) -> dict[int, list[int]]:
    """By run of the chain, at most BATCH runs back, those of the accounts that had a risk there and in no later run."""
    order = {link.run_id: number for number, link in enumerate(chain[:BATCH])}
    last: dict[int, int] = {}
    for start in range(0, len(account_ids), BATCH):
        batch = account_ids[start : start + BATCH]
        rows = session.execute(
            select(Score.account_id, Score.run_id).where(
                Score.account_id.in_(batch), Score.run_id.in_(order), Score.risk.is_not(None)
            )
        )
        for account_id, run_id in rows:
            if order[run_id] <= order[last.get(account_id, run_id)]:
                last[account_id] = run_id
    found: dict[int, list[int]] = {}
    for account_id, run_id in sorted(last.items()):
        found.setdefault(run_id, []).append(account_id)
    return found


def _find_link(chain: Sequence[Link], day: date) -> Link:
    for link in chain:
        if link.as_of <= day:
            return link
    raise Invalid(f"The first scores are of {chain[-1].as_of}; compare with that day or a later one.")


def _load_health(session: Session, account_id: int, *, link: Link, on: date) -> HealthThen:
    of_account = and_(FeatureSnapshot.run_id == Score.run_id, FeatureSnapshot.account_id == Score.account_id)
    row = session.execute(
        select(Score.health, Score.band, Score.risk, Score.contributions, FeatureSnapshot.values, DRIVERS)
        .join(ModelRun, ModelRun.id == Score.run_id)
        .outerjoin(FeatureSnapshot, of_account)
        .where(Score.run_id == link.run_id, Score.account_id == account_id)
    ).one_or_none()
    override, override_band = _find_override(session, account_id, on=on)
    if row is None:
        return HealthThen(on, link.as_of, override=override, override_band=override_band)
    health, band, risk, contributions, values, drivers = row
    why = explain(drivers, contributions, values=values) if contributions and values else None
    return HealthThen(on, link.as_of, health, band, risk, why, override, override_band)


def _find_override(session: Session, account_id: int, *, on: date) -> tuple[float | None, str | None]:
    """The score and band that stood in place of the calculated at the end of the day."""
    zone = ZoneInfo(load_company_settings(session).reporting_timezone)
    midnight = datetime.combine(on + timedelta(days=1), time(), tzinfo=zone).astimezone(UTC)
    row = session.execute(
        select(HealthOverride.score, HealthOverride.band)
        .where(
            HealthOverride.account_id == account_id,
            HealthOverride.begins_at < midnight,
            HealthOverride.expires_on > on,
            or_(HealthOverride.ended_at.is_(None), HealthOverride.ended_at >= midnight),
        )
        .order_by(HealthOverride.id.desc())
        .limit(1)
    ).one_or_none()
    return (None, None) if row is None else (row.score, row.band)


def _load_moves(session: Session, account_id: int, *, run_ids: Sequence[int]) -> list[bytes | None]:
    """The stored moves of those of the runs that had a risk for the account."""
    moves: list[bytes | None] = []
    for start in range(0, len(run_ids), BATCH):
        batch = run_ids[start : start + BATCH]
        statement = select(Score.health_moves).where(
            Score.account_id == account_id, Score.run_id.in_(batch), Score.risk.is_not(None)
        )
        moves += session.scalars(statement)
    return moves
