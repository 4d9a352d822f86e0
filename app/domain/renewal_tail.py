"""How churn slows with age beyond what was observed: the shifted beta-geometric.

At each renewal opportunity t = 1, 2, ... (months for monthly contracts, the ends of terms for longer ones) an
account leaves with a probability of its own, and these are Beta(alpha, beta) over accounts. Who stays is ever
more of the loyal kind, so that the hazard of all falls without anybody changing:

    g(t) = alpha / (alpha + beta + t - 1)

Only the sum c = alpha + beta counts for how it falls: g(t) / g(t') = (c + t' - 1) / (c + t - 1). Fader and
Hardie, How to project customer retention, Journal of Interactive Marketing 21 (2007).
"""

from dataclasses import dataclass, fields

import numpy as np

from app.domain.features import Bools, FeatureSpec, FeatureTable, Floats
from app.domain.hazard_clock import Clock
from app.domain.months import Ints

SEGMENT_PREFIX = "segment: "
COMPANY = 0  # the group of all accounts; segments follow
MONTHLY, LONGER = 0, 1  # kinds of contract: what a renewal opportunity is differs
EARLY_MONTHS = 6
MOST_STEPS = 200
TOLERANCE = 1e-14
_LARGEST_STEP = 2.0  # in a logarithm
_FURTHEST = 16.0  # beyond, accounts are all alike: a maximum at infinity


class NoBetaGeometricError(ValueError):
    """The likelihood has no maximum: all left, none did, or age made no difference. With a prior there is one."""


@dataclass(frozen=True, slots=True)
class ShapePrior:
    """Independent normals on log alpha, how much alike accounts are, and on logit(alpha / (alpha + beta))."""

    log_alpha: float
    log_alpha_sd: float
    logit_first: float
    logit_first_sd: float


# Published series of consumers have alpha of .7, companies are more alike; the first hazard is left open.
DEFAULT_PRIOR = ShapePrior(log_alpha=float(np.log(1.5)), log_alpha_sd=1.0, logit_first=-3.0, logit_first_sd=2.0)
SEGMENT_SD = (0.5, 1.0)  # about the company's own fit, of log alpha and of the logit of the first hazard


@dataclass(frozen=True, slots=True)
class BetaGeometric:
    """A fitted shifted beta-geometric, and the standard deviation of log(alpha + beta)."""

    alpha: float
    beta: float
    log_sum_sd: float

    def hazard(self, renewal: Ints) -> Floats:
        """g(t), t = 1, 2, ..."""
        return np.asarray(self.alpha / (self.alpha + self.beta + renewal - 1.0), dtype=np.float64)

    def survival(self, renewals: int) -> Floats:
        """S(1..renewals), the share still there after each."""
        survival: Floats = np.multiply.accumulate(1.0 - self.hazard(np.arange(1, renewals + 1)))
        return survival


def fit_beta_geometric(due: Floats, lost: Floats, *, prior: ShapePrior | None = None) -> BetaGeometric:
    """The mode over alpha and beta given how many were due and lost at renewals t = 1..len(due).

    The likelihood is the product of g(t)^lost (1 - g(t))^(due - lost), so that accounts may come under
    observation late and leave it early. Newton in (log alpha, log beta), damped where it is not convex. Counts
    may be weighted. Without a prior: maximum likelihood. NoBetaGeometricError where that does not exist.
    """
    total, gone = float(due.sum()), float(lost.sum())
    if prior is None and not 0 < gone < total:
        raise NoBetaGeometricError("nobody left, or everybody")
    first = (gone + 0.5) / (total + 1.0) if total else 0.05
    alpha = 1.0 if prior is None else float(np.exp(prior.log_alpha))
    point: Floats = np.log(np.array([alpha, alpha * (1.0 - first) / first]))
    damping, value = 1e-3, _evaluate(point, due, lost=lost, prior=prior)
    for _ in range(MOST_STEPS):
        _, gradient, hessian = value
        steepness = np.linalg.eigvalsh(hessian)[0]
        step = -np.linalg.solve(hessian + (damping + max(0.0, -2.0 * steepness)) * np.eye(2), gradient)
        step *= min(1.0, _LARGEST_STEP / max(float(np.abs(step).max()), 1e-300))
        if steepness > 0 and float(gradient @ np.linalg.solve(hessian, gradient)) <= TOLERANCE * max(1.0, total):
            return _describe(point, hessian)
        candidate = _evaluate(point + step, due, lost=lost, prior=prior)
        if prior is None and np.abs(point + step).max() > _FURTHEST:
            break
        if candidate[0] <= value[0]:
            point, value, damping = point + step, candidate, damping / 10.0
        else:
            damping = 10.0 * damping + 1e-6
    raise NoBetaGeometricError("the renewals do not tell how churn slows with age")


def _describe(point: Floats, hessian: Floats) -> BetaGeometric:
    alpha, beta = np.exp(point)
    slope = np.array([alpha, beta]) / (alpha + beta)  # of log(alpha + beta)
    return BetaGeometric(float(alpha), float(beta), float(np.sqrt(slope @ np.linalg.solve(hessian, slope))))


def _evaluate(point: Floats, due: Floats, *, lost: Floats, prior: ShapePrior | None) -> tuple[float, Floats, Floats]:
    """Minus the log posterior, its gradient and Hessian in (log alpha, log beta)."""
    alpha, beta = np.exp(point)
    before = np.arange(len(due), dtype=np.float64)
    both, stay, kept = alpha + beta + before, beta + before, due - lost
    value = float((due * np.log(both) - lost * point[0] - kept * np.log(stay)).sum())
    gradient = np.array([(due * alpha / both - lost).sum(), (due * beta / both - kept * beta / stay).sum()])
    crossed = -(due * alpha * beta / both**2).sum()
    own = ((due * alpha * (both - alpha) / both**2).sum(),
           (due * beta * (both - beta) / both**2 - kept * beta * before / stay**2).sum())  # fmt: skip
    hessian = np.array([[own[0], crossed], [crossed, own[1]]])
    if prior is not None:
        for direction, mean, sd in (
            (np.array([1.0, 0.0]), prior.log_alpha, prior.log_alpha_sd),
            (np.array([1.0, -1.0]), prior.logit_first, prior.logit_first_sd),
        ):
            away = float(direction @ point) - mean
            value += 0.5 * (away / sd) ** 2
            gradient += direction * away / sd**2
            hessian += np.outer(direction, direction) / sd**2
    return value, gradient, hessian


# --- The tail of a fitted hazard ---


@dataclass(frozen=True, slots=True, eq=False)
class RenewalTail:
    """The beta-geometric of each group and kind of contract (groups x 2). Group 0 is the company."""

    alpha: Floats
    beta: Floats
    log_sum_sd: Floats


@dataclass(frozen=True, slots=True, eq=False)
class TailFactor:
    """What the hazards of n accounts are multiplied by in each month ahead (n x months), and how sure that is."""

    ratio: Floats  # g(T + s) / g(T + s*) beyond s*, else 1
    slope: Floats  # derivative of its log by log(alpha + beta)
    joined: Ints  # n x 1; renewals before the one of month s*
    passed: Ints  # n x months; renewals before the one of each month, those of s* up to it
    log_sum: Floats  # n; log(alpha + beta)
    log_sum_sd: Floats  # n
    curve: Ints  # n; accounts with the same number have the same beta-geometric

    def ratio_for(self, total: Floats) -> Floats:
        """`ratio` were alpha + beta something else: n x draws in, n x months x draws out."""
        ratio: Floats = (total[:, None, :] + self.joined[:, :, None]) / (total[:, None, :] + self.passed[:, :, None])
        return ratio


def tail_groups(table: FeatureTable, specs: tuple[FeatureSpec, ...]) -> Ints:
    """The group of each row: 1 + the place of its segment among the `segment: ` columns, 0 without one."""
    columns = [number for number, spec in enumerate(specs) if spec.name.startswith(SEGMENT_PREFIX)]
    is_in: Bools = table.values[:, columns] == 1.0
    return np.where(is_in.any(axis=1), 1 + is_in.argmax(axis=1), 0) if columns else np.zeros(len(is_in), dtype=np.int64)


def count_groups(specs: tuple[FeatureSpec, ...]) -> int:
    return 1 + sum(spec.name.startswith(SEGMENT_PREFIX) for spec in specs)


def renewal_numbers(clock: Clock, term_months: Ints) -> Ints:
    """Which renewal opportunity each month belongs to (n x months): the one in it, or the next to come."""
    term = np.maximum(term_months, 1)[:, None]
    return np.maximum(-(-clock.tenure_months // term), 1)


def fit_tail(clock: Clock, renewal: Ints, *, groups: tuple[Ints, int], weight: Floats, target: Floats) -> RenewalTail:
    """One beta-geometric for each group and kind of contract, from the rows of the hazard's fit.

    `renewal` as of `renewal_numbers`; `groups` are that of each row, and how many there are. A month counts where
    something falls due in it; churns at other times say nothing of renewals. The first half year does not count: the
    hazard has terms of its own for it, and who gives up at once says little of how the old ones stay. Groups are
    drawn towards the company, the company towards the default, as far as they have few renewals.
    """
    group, n_groups = groups
    longer = clock.contract > 0
    counted = weight * np.where(longer[:, None], clock.renews, 1.0 - clock.idle) * (clock.tenure_months > EARLY_MONTHS)
    fits = np.empty((3, n_groups, 2))
    for kind in (MONTHLY, LONGER):
        prior = DEFAULT_PRIOR
        for one in range(n_groups):
            rows = (longer == (kind == LONGER)) & ((group == one) | (one == COMPANY))
            due, lost = _count(renewal[rows], counted[rows], target=target[rows])
            found = fit_beta_geometric(due, lost, prior=prior)
            fits[:, one, kind] = found.alpha, found.beta, found.log_sum_sd
            if one == COMPANY:
                first = np.log(found.alpha / found.beta)
                prior = ShapePrior(float(np.log(found.alpha)), SEGMENT_SD[0], float(first), SEGMENT_SD[1])
    return RenewalTail(*fits)


def _count(number: Ints, weight: Floats, *, target: Floats) -> tuple[Floats, Floats]:
    """How many were due, and lost, at renewals 1, 2, ..."""
    size = int(number.max(initial=1)) + 1
    due = np.bincount(number.ravel(), weight.ravel(), minlength=size)
    lost = np.bincount(number.ravel(), (weight * target).ravel(), minlength=size)
    return due[1:].astype(np.float64), lost[1:].astype(np.float64)


def tail_factor(
    tail: RenewalTail, renewal: Ints, *, curve: Ints, supported_months: Ints, is_beyond: Bools
) -> TailFactor:
    """What the tail makes of the hazards held at month s* = `supported_months` of each row.

    `renewal` (n x months) as of `renewal_numbers`, `curve` as of `curve_numbers`. Where the account itself
    `is_beyond` the tenures observed, g is held at its last supported renewal.
    """
    total = (tail.alpha + tail.beta).ravel()[curve][:, None]
    joined = np.take_along_axis(renewal, supported_months[:, None] - 1, axis=1) - 1
    passed = np.where(is_beyond[:, None], joined, np.maximum(renewal - 1, joined))
    return TailFactor(
        ratio=(total + joined) / (total + passed),
        slope=total * (1.0 / (total + joined) - 1.0 / (total + passed)),
        joined=joined,
        passed=passed,
        log_sum=np.log(total[:, 0]),
        log_sum_sd=tail.log_sum_sd.ravel()[curve],
        curve=curve,
    )


def take_factor(factor: TailFactor, rows: Ints) -> TailFactor:
    """The given rows of a factor, in that order."""
    return TailFactor(**{field.name: getattr(factor, field.name)[rows] for field in fields(factor)})


def curve_numbers(group: Ints, clock: Clock) -> Ints:
    """Which of the beta-geometrics each row follows, counted over groups and, within, kinds of contract."""
    return 2 * group + np.where(clock.contract > 0, LONGER, MONTHLY)
