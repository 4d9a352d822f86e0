"""What a night makes of its findings: new opportunities, those that stand, and those that lapse.

Everything is one transaction with the messages that tell of it. The same night again changes nothing.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session

from app.domain.expansion_moves import FLAGGED, HIGH, LAPSED, REST_DAYS, SNOOZED, UNDECIDED
from app.domain.expansion_words import Evidence
from app.models.expansion import ExpansionMove, ExpansionOpportunity
from app.queries.ids import BATCH
from app.services.audit import Act, record_act
from app.services.expansion_messages import Links, tell_of_flags, tell_of_moves

NIGHT = "night"
NOT_FOUND = "not_found"

Key = tuple[int, str, int]  # account, motion, product


@dataclass(frozen=True, slots=True)
class Chances:
    """P(it comes within 90 and 180 days), where backtests allow to say so; 90 days None where that is not known."""

    within_90_days: float | None
    within_180_days: float


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that tonight's facts say an account is ready for; the amount is in the company's currency."""

    account_id: int
    motion: str
    product_id: int
    likelihood: str
    score: float
    quantity: int | None
    measure: str
    amount_minor: int
    explain: Callable[[], Sequence[Evidence]]  # what speaks for it, worked out for those that are flagged
    chances: Chances | None = None
    expected_value_minor: int | None = None

    @property
    def key(self) -> Key:
        return self.account_id, self.motion, self.product_id

    @property
    def rank(self) -> tuple[bool, int, Key]:
        """The best first: the likelier ones, of these the dearest."""
        return self.likelihood != HIGH, -self.amount_minor, self.key


@dataclass(frozen=True, slots=True)
class Findings:
    """`held_back` says why nothing is sold to an account now; what was not found since `lapse_before` lapses."""

    as_of: date
    run_id: int
    currency: str
    found: Sequence[Finding]
    held_back: Mapping[int, str]
    lapse_before: date | None


@dataclass(frozen=True, slots=True)
class Budget:
    """How many are flagged a night, and how many may stand at once of one account."""

    a_night: int
    an_account: int


@dataclass(frozen=True, slots=True)
class Raised:
    """`waiting` were found and are flagged on a later night; `resting` were ended too short a time ago."""

    flagged: int
    seen: int
    woken: int
    lapsed: int
    resting: int
    waiting: int


def raise_opportunities(session: Session, findings: Findings, *, budget: Budget, links: Links, at: datetime) -> Raised:
    """Flag what is new, note what stands, wake what was snoozed, let the rest lapse; and tell of each.

    - Found again: `seen_on` moves, nothing is told. What was told stays as it was told.
    - Snoozed, and its day has come: flagged again with tonight's figures, and told once more.
    - Flagged or snoozed, of an account that is held back: lapses with that reason.
    - Flagged, and not found on any night since `lapse_before`: lapses as not found. Accepted ones are
      sales' own and stay as they are.
    - New: flagged, unless the last such ended less than its rest ago (`REST_DAYS`); the best first, as
      many as the budget leaves of this night and account. The others wait for the next night.
    """
    latest = {(row.account_id, row.motion, row.product_id): row for row in _latest_episodes(session)}
    found = {finding.key: finding for finding in findings.found if finding.account_id not in findings.held_back}
    standing = {key: row for key, row in latest.items() if row.state in UNDECIDED}
    seen = [row.id for key, row in standing.items() if key in found]
    for start in range(0, len(seen), BATCH):
        chosen = ExpansionOpportunity.id.in_(seen[start : start + BATCH])
        session.execute(update(ExpansionOpportunity).where(chosen).values(seen_on=findings.as_of))
    lapsed = _let_lapse(session, standing, found=found, findings=findings, at=at)
    woken = _wake(session, standing, found=found, findings=findings, at=at)
    fresh = sorted((each for key, each in found.items() if key not in standing), key=lambda each: each.rank)
    rested = [each for each in fresh if _has_rested(latest.get(each.key), as_of=findings.as_of)]
    chosen_new = list(_within_budget(session, rested, standing=standing, findings=findings, budget=budget))
    new = _flag(session, chosen_new, latest=latest, findings=findings, at=at)
    if new or woken or lapsed:
        details = {"as_of": findings.as_of.isoformat(), "flagged": len(new), "woken": len(woken), "lapsed": lapsed}
        record_act(session, Act("expansion_opportunities.made_up", None, details), actor=NIGHT, at=at)
    tell_of_flags(session, dict.fromkeys(new, False) | dict.fromkeys(woken, True), links=links, at=at)
    return Raised(
        flagged=len(new),
        seen=len(seen),
        woken=len(woken),
        lapsed=lapsed,
        resting=len(fresh) - len(rested),
        waiting=len(rested) - len(new),
    )


def _latest_episodes(session: Session) -> Sequence[ExpansionOpportunity]:
    """The last episode of each thing; the undecided ones are held until the end of the transaction."""
    row = ExpansionOpportunity
    last = select(func.max(row.id)).group_by(row.account_id, row.motion, row.product_id).scalar_subquery()
    session.execute(select(row.id).where(row.state.in_(UNDECIDED)).order_by(row.id).with_for_update()).all()
    return session.scalars(select(row).where(row.id.in_(last)).order_by(row.id)).all()


def _let_lapse(
    session: Session,
    standing: Mapping[Key, ExpansionOpportunity],
    *,
    found: Mapping[Key, Finding],
    findings: Findings,
    at: datetime,
) -> int:
    """How many lapsed: of accounts that are held back, or not found for long."""
    steps = []
    for key, row in standing.items():
        is_due = row.state == FLAGGED or _is_over(row, findings.as_of)
        reason = findings.held_back.get(row.account_id) if row.state in {FLAGGED, SNOOZED} else None
        if reason is None and is_due and key not in found and _is_long_ago(row.seen_on, findings.lapse_before):
            reason = NOT_FOUND
        if reason is not None:
            steps.append(_step(row, LAPSED, reason=reason, at=at))
    session.add_all(steps)
    session.flush()
    tell_of_moves(session, steps, at=at)
    return len(steps)


def _wake(
    session: Session,
    standing: Mapping[Key, ExpansionOpportunity],
    *,
    found: Mapping[Key, Finding],
    findings: Findings,
    at: datetime,
) -> list[int]:
    """The ids of the snoozed ones whose day has come."""
    woken = [(key, row) for key, row in standing.items() if row.state == SNOOZED and _is_over(row, findings.as_of)]
    for key, row in woken:
        session.add(_step(row, FLAGGED, reason=None, at=at))
        row.snoozed_until = None
        if key in found:
            for name, value in _figures(found[key], findings).items():
                setattr(row, name, value)
    session.flush()
    return [row.id for _, row in woken]


def _step(row: ExpansionOpportunity, state: str, *, reason: str | None, at: datetime) -> ExpansionMove:
    before, row.state, row.moved_at = row.state, state, at
    return ExpansionMove(
        opportunity_id=row.id, moved_at=at, from_state=before, to_state=state, actor=NIGHT, reason=reason
    )


def _is_over(row: ExpansionOpportunity, as_of: date) -> bool:
    return row.state == SNOOZED and row.snoozed_until is not None and row.snoozed_until <= as_of


def _is_long_ago(seen_on: date, lapse_before: date | None) -> bool:
    return lapse_before is not None and seen_on < lapse_before


def _has_rested(last: ExpansionOpportunity | None, *, as_of: date) -> bool:
    return last is None or last.moved_at.date() + timedelta(days=REST_DAYS[last.state]) <= as_of


def _within_budget(
    session: Session,
    wanted: Sequence[Finding],
    *,
    standing: Mapping[Key, ExpansionOpportunity],
    findings: Findings,
    budget: Budget,
) -> Iterator[Finding]:
    """The best that this night and their accounts have room for; what the night flagged before counts."""
    flagged_before = session.scalar(select(func.count()).where(ExpansionOpportunity.flagged_on == findings.as_of))
    left = budget.a_night - (flagged_before or 0)
    of_account = Counter(row.account_id for row in standing.values() if row.state in UNDECIDED)
    for finding in wanted:
        if left <= 0:
            return
        if of_account[finding.account_id] < budget.an_account:
            of_account[finding.account_id] += 1
            left -= 1
            yield finding


def _flag(
    session: Session,
    chosen: Sequence[Finding],
    *,
    latest: Mapping[Key, ExpansionOpportunity],
    findings: Findings,
    at: datetime,
) -> list[int]:
    """The ids of the new opportunities, in the order given."""
    rows = [
        _figures(finding, findings)
        | {
            "account_id": finding.account_id,
            "motion": finding.motion,
            "product_id": finding.product_id,
            "episode": latest[finding.key].episode + 1 if finding.key in latest else 1,
            "state": FLAGGED,
            "flagged_on": findings.as_of,
            "flagged_at": at,
            "seen_on": findings.as_of,
            "moved_at": at,
        }
        for finding in chosen
    ]
    if not rows:
        return []
    statement = insert(ExpansionOpportunity).returning(ExpansionOpportunity.id, sort_by_parameter_order=True)
    ids = list(session.scalars(statement, rows))
    session.execute(
        insert(ExpansionMove),
        [{"opportunity_id": i, "moved_at": at, "to_state": FLAGGED, "actor": NIGHT} for i in ids],
    )
    return ids


def _figures(finding: Finding, findings: Findings) -> dict[str, Any]:
    """What tonight says of it."""
    return {
        "run_id": findings.run_id,
        "likelihood": finding.likelihood,
        "score": finding.score,
        "probability": None if finding.chances is None else finding.chances.within_180_days,
        "expected_value_minor": finding.expected_value_minor,
        "quantity": finding.quantity,
        "measure": finding.measure,
        "amount_minor": finding.amount_minor,
        "currency": findings.currency,
        "evidence": [dict(item) for item in [*finding.explain(), *_chance(finding)]],
    }


def _chance(finding: Finding) -> Iterator[Evidence]:
    if finding.chances is not None:
        yield {"kind": "chance", "days_90": finding.chances.within_90_days, "days_180": finding.chances.within_180_days}
