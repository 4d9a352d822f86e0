"""The night as a bare script: the same rows read, the same bytes written, and of all between them only the sums.

It reads the facts and writes the scores by the fastest ways known (the same packed columns as the night), and knows
nothing else: no version of a fact, no instant, no currency, no cause, no grace, no test of what it made. A spell is
the first day of an account's lines to the last, a feature a sum over a window, the fit Newton on the person-months of
all events and a fiftieth of the rest, an interval the delta method, health the yearly probability with beta times
difference for its reasons, a group's draws the delta method of its sum, causes constant shares. New customers and the
report are left out. So its figures are no company's; its time and memory are what the night cannot go below by much.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, select, text
from sqlalchemy.orm import InstrumentedAttribute, Session

from app.db import reading, transaction
from app.models.accounts import AccountVersion
from app.models.contracts import ChurnNotice, Contract, ContractLine, ContractLineVersion, ContractVersion
from app.models.deals import DealVersion
from app.models.products import ProductVersion
from app.models.scores import FeatureSnapshot, GroupDraws, RetentionCurve, Score
from app.models.success import Milestone, OnboardingPlan, SurveyAnswer, Ticket, Touch
from app.models.usage import UsageDay
from app.queries.columns import fetch_columns
from app.services.bulk import add_columns
from benchmarks.company import AS_OF
from jobs.work import Work

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Columns = dict[str, NDArray[Any]]
TODAY = np.datetime64(AS_OF, "D").astype(np.int64)
MONTH, HORIZON, MONTHS, DRAWS, LANDMARKS = 30, 24, 60, 200, 12
WINDOWS = (30, 90, 210)
CHUNK = 2_000
COUNTED = 20  # accounts of a group in a chunk, by whom chance is counted
HORIZONS, CAUSES = np.array([1, 3, 6, 12]) - 1, np.array([0.9, 0.07, 0.03])
SHARE = 0.02  # of the person-months without an event


@dataclass
class Model:
    theta: Floats
    covariance: Any
    mean: Any
    sd: Any


@dataclass
class Read:
    """Facts by account 0..n-1, days as whole numbers."""

    start: Ints
    end: Ints  # 10**6 while live
    mrr: Any
    seats: Any
    term: Ints
    renewal: Ints
    facts: list[tuple[Ints, Ints, Floats]]  # account, day, amount
    labels: list[Ints]


def run_bare(work: Work) -> None:
    with reading(work.engine) as session:
        read = _read(session)
    model = _fit(read)
    with transaction(work.engine) as session:
        _write(session, read, model=model)
        session.execute(text("ANALYZE"))


def _column(session: Session, *columns: ColumnElement[Any] | InstrumentedAttribute[Any]) -> list[NDArray[Any]]:
    return fetch_columns(session, select(*columns), by=columns[0].class_.id)


def _read(session: Session) -> Read:
    day = UsageDay
    account, on, known, metric, _, amount = _column(
        session, day.account_id, day.day, day.available_on, day.metric_id, day.metric_id, day.amount
    )
    on = np.maximum(on, known - 1).astype(np.int64)
    facts = [(account[metric == m] - 1, on[metric == m], amount[metric == m]) for m in (1, 2)]
    for table in (Ticket, SurveyAnswer, Touch):
        more = table.score if table is SurveyAnswer else table.id
        account, on, _, worth = _column(session, table.account_id, table.occurred_on, table.available_at, more)
        facts.append((account - 1, on.astype(np.int64), worth.astype(np.float64)))
    steps = select(OnboardingPlan.account_id, Milestone.due_on, Milestone.done_on, Milestone.available_at)
    account, due, done, _ = fetch_columns(session, steps.join(OnboardingPlan, OnboardingPlan.id == Milestone.plan_id))
    facts.append((account - 1, due.astype(np.int64), (np.isnat(done) | (done > due)).astype(np.float64)))
    segment = fetch_columns(session, select(AccountVersion.account_id, AccountVersion.segment, AccountVersion.channel,
                                            AccountVersion.campaign).order_by(AccountVersion.account_id))  # fmt: skip
    labels = [np.unique(column, return_inverse=True)[1] for column in segment[1:]]
    return _with_lines(session, facts=facts, labels=labels)


def _with_lines(session: Session, *, facts: list[tuple[Ints, Ints, Floats]], labels: list[Ints]) -> Read:
    line, contract, deal, product = ContractLineVersion, ContractVersion, DealVersion, ProductVersion
    statement = (
        select(line.id, line.account_id, line.product_id, line.currency, line.quantity, line.starts_on, line.ends_on,
               line.term_months, line.arr_minor, line.available_at, contract.renewal_of_id, contract.supersedes_id,
               contract.non_cancellable, deal.closed_on, product.family, product.unit)
        .join(ContractLine, ContractLine.id == line.contract_line_id)
        .join(contract, contract.contract_id == ContractLine.contract_id)
        .join(Contract, Contract.id == contract.contract_id)
        .join(deal, deal.deal_id == Contract.deal_id)
        .join(product, product.product_id == line.product_id)
    )  # fmt: skip
    _, owner, plan, _, quantity, starts, ends, term, arr, *_rest = fetch_columns(session, statement)
    left, effective = _column(session, ChurnNotice.account_id, ChurnNotice.effective_on)
    size, account = len(labels[0]), owner.astype(np.int64) - 1
    start, end = np.full(size, 10**6), np.full(size, 0)
    np.minimum.at(start, account, starts.astype(np.int64))
    np.maximum.at(end, account, np.where(np.isnat(ends), 10**6, ends.astype(np.int64) + 1))
    np.minimum.at(end, left.astype(np.int64) - 1, effective.astype(np.int64))
    mrr, seats = (np.bincount(account, each.astype(np.float64), size) for each in (arr / 12, quantity))
    last, chosen = np.ones(size, dtype=np.int64), np.zeros(size, dtype=np.int64)
    last[account], chosen[account] = term, plan
    renewal = np.where(last > 1, start + (-(-(TODAY - start) // (MONTH * last))) * MONTH * last, 0)
    labels = [*labels, chosen, start // 365, np.zeros(size, dtype=np.int64)]
    return Read(start, end, mrr, seats, last, renewal, facts, labels)


def _features(read: Read, day: int, *, rows: Ints) -> Floats:
    """Some 25 columns of the accounts `rows` as of a day."""
    size, columns = len(read.start), []
    for number, (account, on, amount) in enumerate(read.facts):
        for window in WINDOWS if number < 3 else WINDOWS[1:]:
            inside = (on < day) & (on >= day - window)
            total = np.bincount(account[inside], amount[inside], size)[rows]
            columns += [np.log1p(total / read.seats[rows]), total / window]
    columns += [np.log1p(read.mrr[rows]), (read.term[rows] > 1).astype(np.float64)]
    columns += [(label[rows] == 1).astype(np.float64) for label in read.labels[:2]]
    return np.column_stack(columns)


def _clock(read: Read, rows: Ints, *, day: int, ahead: Ints) -> Floats:
    """Month ahead, tenure and renewal of rows x months."""
    tenure = np.minimum((day - read.start[rows])[:, None] // MONTH + ahead, 60)
    due = (read.term[rows] > 1)[:, None] & (tenure % np.maximum(read.term[rows], 1)[:, None] == 0)
    return np.stack([np.log(np.broadcast_to(ahead, tenure.shape)), tenure / 12.0, tenure <= 3, due], axis=2)


def _fit(read: Read) -> Model:
    """Newton on the person-months of all events and a sample of the rest."""
    rng, designs, targets, weights = np.random.default_rng(1), [], [], []
    for back in range(LANDMARKS, 0, -1):
        day = int(TODAY) - 3 * MONTH * back
        rows = np.flatnonzero((read.start <= day) & (read.end > day))
        ahead = np.arange(1, min(HORIZON, 3 * back) + 1)
        left = (read.end[rows] - day) // MONTH + 1
        event = left[:, None] == ahead
        drawn = (event | (rng.random(event.shape) < SHARE)) & (ahead <= left[:, None])
        at, month = np.nonzero(drawn)
        clock = _clock(read, rows, day=day, ahead=ahead)[at, month]
        designs.append(np.column_stack([clock, _features(read, day, rows=rows)[at]]))
        targets.append(event[at, month].astype(np.float64))
        weights.append(np.where(event[at, month], 1.0, 1.0 / SHARE))
    x, y, w = np.concatenate(designs), np.concatenate(targets), np.concatenate(weights)
    mean, sd = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-9)
    x = np.column_stack([np.ones(len(x)), (x - mean) / sd])
    theta = np.zeros(x.shape[1])
    theta[0] = np.log((w * y).sum() / w.sum())
    for _ in range(10):
        p = 0.5 * (1.0 + np.tanh(0.5 * (x @ theta)))
        hessian = x.T @ (x * (w * p * (1 - p))[:, None]) + np.eye(len(theta))
        theta -= np.linalg.solve(hessian, x.T @ (w * (p - y)) + theta)
    return Model(theta, np.linalg.inv(hessian), mean, sd)


def _write(session: Session, read: Read, *, model: Model) -> None:
    """Scores of the live accounts a chunk at a time, then the others, then the groups."""
    today = int(TODAY)
    live = np.flatnonzero((read.start < today) & (read.end > today))
    features = (_features(read, today, rows=live) - model.mean[4:]) / model.sd[4:]
    sizes = [int(label.max()) + 1 for label in read.labels]
    sums = [np.zeros((size, 3, MONTHS)) for size in sizes]
    chance = [np.zeros((size, MONTHS, MONTHS)) for size in sizes]
    slopes = [np.zeros((size, MONTHS, 4 + features.shape[1] + 1)) for size in sizes]
    for start in range(0, len(live), CHUNK):
        rows, x = live[start : start + CHUNK], features[start : start + CHUNK]
        columns, kept, slope = _score(read, rows, x=x, model=model)
        differs = (rows % 10 == 3) & (read.term[rows] > 1)  # as many as have a committed term
        add_columns(session, Score, columns={name: column[~differs] for name, column in columns.items()})
        again = {name.replace("survival", "retention"): column for name, column in columns.items()}
        add_columns(session, Score, columns={name: column[differs] for name, column in (columns | again).items()})
        add_columns(session, FeatureSnapshot, columns=_snapshots(rows, x))
        for n, label in enumerate(read.labels):
            member = (label[rows] == np.arange(sizes[n])[:, None]).astype(np.float64)
            sums[n] += np.repeat((member @ kept)[:, None, :], 3, axis=1)
            slopes[n] += (member @ slope.reshape(len(rows), -1)).reshape(slopes[n].shape)
            for group in np.flatnonzero(member.any(axis=1)):
                chance[n][group] += _chance(kept[member[group] > 0][:COUNTED])
    gone = np.setdiff1d(np.arange(len(read.start)), live, assume_unique=True)
    add_columns(session, Score, columns=_head(gone, "churned") | {"started_on": read.start[gone].astype("M8[D]")})
    drawn = _draw(sums, slopes=slopes, covariance=model.covariance)
    _write_groups(session, read, sums=sums, drawn=drawn, chance=chance)


def _chance(money: Floats) -> Floats:
    """How the months' revenue of a few accounts varies together when each stays or leaves, by their own money."""
    months = np.arange(MONTHS)
    weight = money[:, :1]
    return (weight[:, 0] @ money)[np.maximum(months[:, None], months)] - money.T @ money


def _draw(sums: list[Floats], *, slopes: list[Floats], covariance: Floats) -> list[Floats]:
    """By cut, joint draws of each group's revenue (groups x draws x months)."""
    normal = np.random.default_rng(2).standard_normal((DRAWS, len(covariance))) @ np.linalg.cholesky(covariance).T
    return [
        np.array([total[group, 0] + normal @ slope[group].T for group in range(len(total))])
        for total, slope in zip(sums, slopes, strict=True)
    ]


def _head(rows: Ints, status: str) -> Columns:
    words = {"status": status, "basis": "account"}
    numbers = {"run_id": np.ones(len(rows), dtype=np.int64), "account_id": rows + 1, "arr_minor": rows}
    return numbers | {name: np.full(len(rows), word, dtype=object) for name, word in words.items()}


def _snapshots(rows: Ints, x: Floats) -> Columns:
    head = {"run_id": np.ones(len(rows), dtype=np.int64), "account_id": rows + 1}
    landmark, coverage = np.full(len(rows), AS_OF, dtype="M8[D]"), np.ones(len(rows))
    term = np.ones(len(rows), dtype=np.int64)
    return head | {"landmark": landmark, "values": x[:, :22].copy(), "coverage": coverage, "term_months": term}


def _score(read: Read, rows: Ints, *, x: Floats, model: Model) -> tuple[Columns, Floats, Floats]:
    theta, covariance = model.theta, model.covariance
    clock = _clock(read, rows, day=int(TODAY), ahead=np.arange(1, MONTHS + 1))
    clock = (clock - model.mean[:4]) / model.sd[:4]
    hazard = 0.5 * (1.0 + np.tanh(0.5 * (theta[0] + clock @ theta[1:5] + (x @ theta[5:])[:, None])))
    kept = np.multiply.accumulate(1.0 - hazard, axis=1)
    gathered = np.concatenate([hazard[:, :, None], hazard[:, :, None] * clock], axis=2).cumsum(axis=1)
    # The variance of log S by the delta method: the features' part is the same vector times the summed hazard.
    left, right = covariance[:5, :5], covariance[:5, 5:] @ x.T
    own = np.einsum("nb,bc,nc->n", x, covariance[5:, 5:], x)
    total = gathered[:, :, 0]
    variance = np.einsum("nka,ab,nkb->nk", gathered, left, gathered, optimize=True) + own[:, None] * total**2
    variance += 2.0 * total * np.einsum("nka,an->nk", gathered, right, optimize=True)
    exposure = -np.log(np.maximum(kept, 1e-300))
    spread = np.exp(1.645 * np.sqrt(np.maximum(variance, 0.0)) / np.maximum(exposure, 1e-300))
    lower, upper = np.exp(-exposure * spread), np.exp(-exposure / spread)
    money = kept * read.mrr[rows, None]
    slope = -np.concatenate([gathered, total[:, :, None] * x[:, None, :]], axis=2) * money[:, :, None]
    columns = _head(rows, "live") | _figures(read, rows, curves=(kept, lower, upper))
    reasons = np.column_stack([np.zeros(len(x)), x * theta[5:]])[:, :25].copy()
    return columns | {"contributions": reasons}, money, slope


def _figures(read: Read, rows: Ints, *, curves: tuple[Floats, Floats, Floats]) -> Columns:
    kept = curves[0]
    discount = 0.8 * 1.1 ** (-np.arange(1, MONTHS + 1) / 12)
    names = ("ltv_residual_minor", "ltv_residual_lower_minor", "ltv_residual_upper_minor")
    sums = [np.rint(read.mrr[rows] * (each @ discount)).astype(np.int64) for each in curves]
    worth = dict(zip(names, sums, strict=True))
    risk, due = 1.0 - kept[:, 11], read.renewal[rows]
    band = np.array(["healthy", "watch", "at_risk"], dtype=object)[np.searchsorted([0.05, 0.2], risk)]
    blobs = {f"survival{end}": each.astype("<f4") for end, each in zip(("", "_lower", "_upper"), curves, strict=True)}
    return worth | blobs | {
        "started_on": read.start[rows].astype("M8[D]"),
        "renewal_on": np.where(due > 0, due, np.iinfo(np.int64).min).astype("M8[D]"),
        "tenure_months": (int(TODAY) - read.start[rows]) // MONTH,
        "churn_probability": risk,
        "arr_at_risk_minor": np.rint(12 * read.mrr[rows] * risk).astype(np.int64),
        "renewal_churn_probability": np.where(due > 0, risk, np.nan),
        "risk": risk,
        "health": np.interp(risk, (0.0, 0.05, 0.2, 0.5, 1.0), (100.0, 70.0, 40.0, 10.0, 0.0)),
        "band": band,
        "coverage": np.ones(len(rows)),
        "cause_probabilities": ((1.0 - kept[:, HORIZONS])[:, :, None] * CAUSES).reshape(len(rows), -1).astype("<f4"),
        "ltv_historical_minor": np.rint(read.mrr[rows] * ((int(TODAY) - read.start[rows]) // MONTH)).astype(np.int64),
        "ltv_expansion_minor": worth["ltv_residual_minor"] // 10,
        "monthly_drift": np.full(len(rows), 0.001),
        "supported_months": np.full(len(rows), 24),
    }  # fmt: skip


def _write_groups(
    session: Session, read: Read, *, sums: list[Floats], drawn: list[Floats], chance: list[Floats]
) -> None:
    months = np.arange(37)
    for cut, (label, total, draws, process) in enumerate(zip(read.labels, sums, drawn, chance, strict=True)):
        for group in range(len(total)):
            life = np.where(label == group, np.minimum(read.end, TODAY) - read.start, 0) // MONTH
            at_risk = np.array([(life >= month).sum() for month in months])
            lost = np.bincount(life[(read.end <= TODAY) & (life > 0)].clip(0, 36), minlength=37)
            kept = np.multiply.accumulate(1.0 - lost / np.maximum(at_risk, 1)).tolist()
            key = {"run_id": 1, "group_by": str(cut), "group": str(group)}
            session.add(RetentionCurve(**key, curve={"months": months.tolist(), "retention": kept, "lower": kept,
                                                     "upper": kept, "at_risk": at_risk.tolist()}))  # fmt: skip
            parts = ("expected", "expected_expansion", "extrapolated")
            blobs = {name: total[group, n].astype("<f8").tobytes() for n, name in enumerate(parts)}
            counts = dict.fromkeys(("accounts", "arr_minor", "left_out_accounts", "left_out_arr_minor"), 1)
            session.add(
                GroupDraws(
                    **key,
                    **counts,
                    **blobs,
                    months=MONTHS,
                    draws=draws[group].astype("<f4").tobytes(),
                    process=process[group].astype("<f4").tobytes(),
                )
            )
