"""Weights of health that are tried out, with what a replay on the past found."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np
from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from app.domain.features import Bools, FeatureTable
from app.domain.health import recall_notices
from app.domain.months import Ints
from app.errors import NotFound
from app.models.accounts import AccountVersion
from app.models.health import HealthTrial
from app.models.scores import Score
from app.models.settings import SettingVersion
from app.models.versions import Change
from app.queries.health_change import load_scored_accounts
from app.queries.known import in_force, valid_on
from app.queries.runs import Run

MOST_TRIALS = 200


@dataclass(frozen=True, slots=True)
class Trial:
    """`replay` says how far it is (`done` of `steps`) and, at the end, what it `found`."""

    id: int
    name: str
    weights: dict[str, dict[str, float]]
    actor: str
    created_at: datetime
    replay: dict[str, Any] | None
    replayed_at: datetime | None
    error: str | None
    published_at: datetime | None
    published_by: str | None

    @property
    def state(self) -> str:
        if self.error is not None:
            return "failed"
        if self.published_at is not None:
            return "published"
        return "waiting" if self.replay is None else "running" if self.replayed_at is None else "replayed"


COLUMNS = tuple(getattr(HealthTrial, name) for name in Trial.__dataclass_fields__)


def list_trials(session: Session) -> list[Trial]:
    """The newest first, at most MOST_TRIALS."""
    rows = session.execute(select(*COLUMNS).order_by(HealthTrial.id.desc()).limit(MOST_TRIALS))
    return [Trial(*row) for row in rows]


def find_trial(session: Session, trial_id: int) -> Trial:
    """Raises NotFound."""
    row = session.execute(select(*COLUMNS).where(HealthTrial.id == trial_id)).one_or_none()
    if row is None:
        raise NotFound(f"There is no trial of weights {trial_id}.")
    return Trial(*row)


def find_waiting_trial(session: Session) -> Trial | None:
    """The oldest that has not been replayed to its end, and has not failed."""
    waiting = select(*COLUMNS).where(HealthTrial.replayed_at.is_(None), HealthTrial.error.is_(None))
    row = session.execute(waiting.order_by(HealthTrial.id).limit(1)).one_or_none()
    return None if row is None else Trial(*row)


@dataclass(frozen=True, slots=True)
class Segments:
    """Of each account the days from which it was in a segment, in rising order."""

    since: Mapping[int, Sequence[tuple[date, str | None]]]

    def on(self, account_ids: Ints, day: date) -> list[str | None]:
        """The segment of each account on a day; of one that is older than what is known of it, the first."""
        return [_find_segment(self.since.get(account_id, ()), day) for account_id in account_ids.tolist()]


def _find_segment(known: Sequence[tuple[date, str | None]], day: date) -> str | None:
    found = bisect_right(known, day, key=lambda each: each[0])
    return known[max(found - 1, 0)][1] if known else None


def load_segments(session: Session, *, known_at: datetime) -> Segments:
    """The segments that each account was in, whenever that was recorded."""
    version = AccountVersion
    rows = session.execute(
        select(version.account_id, version.valid_from, version.segment)
        .where(in_force(version, known_at))
        .order_by(version.account_id, version.valid_from)
    )
    since: dict[int, list[tuple[date, str | None]]] = {}
    for account_id, valid_from, segment in rows:
        since.setdefault(account_id, []).append((valid_from, segment))
    return Segments(since)


def list_segments(session: Session, *, on: date) -> list[str]:
    """The segments of the accounts of a day, in the order of their names."""
    version = AccountVersion
    rows = session.scalars(
        select(version.segment)
        .where(version.superseded_change_id.is_(None), valid_on(version, on), version.segment.is_not(None))
        .distinct()
        .order_by(version.segment)
    )
    return [segment for segment in rows if segment]


@dataclass(frozen=True, slots=True, eq=False)
class ScoredToday:
    """The accounts that a run gave a risk, in the order of their ids, and what it rests on.

    `document` is the run's model. Of the columns of `table` beside `values` only the clock and the notices count.
    """

    as_of: date
    document: str
    table: FeatureTable
    account_id: Ints
    is_withheld: Bools
    arr_minor: Ints


def load_scored(session: Session, run: Run) -> ScoredToday:
    found = load_scored_accounts(session, run.id)
    size = len(found.account_id)
    nothing = np.zeros(size, dtype=np.int64)
    table = FeatureTable(
        account=np.arange(size),
        spell=nothing,
        landmark=np.full(size, run.as_of, dtype="datetime64[D]"),
        started_on=found.started_on,
        term_months=found.term_months,
        renewal_on=found.renewal_on,
        committed_until=np.full(size, np.datetime64("NaT", "D")),
        **recall_notices(found.risk),
        mrr=nothing.astype(np.float64),
        names=found.names,
        values=found.values,
    )
    shown = select(Score.account_id, Score.health.is_(None), Score.arr_minor).where(Score.run_id == run.id)
    of_account = {account_id: (is_withheld, arr) for account_id, is_withheld, arr in session.execute(shown)}
    withheld, arr = np.array([of_account[each] for each in found.account_id.tolist()], dtype=np.int64).reshape(-1, 2).T
    return ScoredToday(run.as_of, found.document, table, found.account_id, withheld.astype(bool), arr)


@dataclass(frozen=True, slots=True)
class WeightsVersion:
    """Weights that were let count, from a day on."""

    id: int
    weights: dict[str, dict[str, float]]
    valid_from: date
    recorded_at: datetime
    source: str


def list_weights(session: Session) -> list[WeightsVersion]:
    """What the setting `health_weights` was set to, the newest first, at most MOST_TRIALS.

    A version that says until when it holds only made room for the one after it.
    """
    version = SettingVersion
    rows = session.execute(
        select(version.id, version.value, version.valid_from, Change.recorded_at, Change.source)
        .join(Change, Change.id == version.change_id)
        .where(version.name == "health_weights", version.valid_to.is_(None))
        .order_by(version.id.desc())
        .limit(MOST_TRIALS)
    )
    return [WeightsVersion(*row) for row in rows]


@dataclass(frozen=True, slots=True)
class FlippedAccount:
    """An account that a trial would put into another band."""

    id: int
    name: str
    segment: str | None
    arr_minor: int | None
    before: str
    after: str


def load_flipped(
    session: Session, flipped: Sequence[Mapping[str, Any]], *, run: Run | None, today: date
) -> list[FlippedAccount]:
    """Those of a trial's flipped accounts that may be seen and were not merged away since, in their order."""
    version = AccountVersion
    of_run = and_(Score.account_id == version.account_id, Score.run_id == (run.id if run else None))
    rows = session.execute(
        select(version.account_id, version.name, version.segment, Score.arr_minor)
        .outerjoin(Score, of_run)
        .where(
            version.account_id.in_([each["account_id"] for each in flipped]),
            version.superseded_change_id.is_(None),
            valid_on(version, today),
            version.merged_into_id.is_(None),
        )
    )
    known = {row.account_id: row for row in rows}
    return [
        FlippedAccount(*known[each["account_id"]], before=each["before"], after=each["after"])
        for each in flipped
        if each["account_id"] in known
    ]
