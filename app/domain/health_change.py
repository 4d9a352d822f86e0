"""Why a health score is another than on an earlier day: six parts that add up to the difference.

From the earlier assessment to the later one, causes are replaced one after the other, in the order of PARTS; each
part is what the score moves by at its replacement, in points of health. With x0 and x1 the features as known at the
two days, and x0' those of the earlier day as known at the later (`hindsight.know_in_hindsight`):

| part | replaces | by |
|---|---|---|
| behaviour | x0 | x0 + (x1 - x0'), what has happened since, on top of what was known then; a notice that was given |
| calendar | tenure and the contract's clock of the earlier day | those of the later |
| late data | x0 + (x1 - x0') | x1: what was learned only now of the days before, or is missing with its feed |
| model refit | the earlier model | the later |
| configuration | the earlier weights of the dimensions | the later |
| override | what was calculated | what somebody set instead, at both ends |

The order is a choice: another one would share out differently what two causes do together.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from app.domain.features import FeatureTable, Floats
from app.domain.health import dimension_weights, health_score, list_dimensions, yearly_risk
from app.domain.months import Days, Ints, add_months_to_days
from app.domain.survival import HazardModel, take_rows

PARTS = ("behaviour", "calendar", "late_data", "model_refit", "configuration", "override")
CALCULATED_PARTS = PARTS[:-1]  # of the calculated score; the night stores them
_CLOCK = ("started_on", "term_months", "renewal_on")

Weights = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True, eq=False)
class Assessed:
    """An assessment that was published: of which accounts, by what, and the p* that came of it.

    `table` has one row an account, sorted, all as of one day; of the columns beside `values` only the clock and the
    notices count.
    """

    model: HazardModel
    table: FeatureTable
    risk: Floats
    weights: Weights
    segments: Sequence[str | None]  # of the accounts, for the weights

    def score(self, table: FeatureTable, *, model: HazardModel) -> Floats:
        """The score (n) of other features or by another model, weighted as here."""
        weights = None
        if self.weights:
            weights = dimension_weights(self.weights, segments=self.segments, dimensions=list_dimensions(model))
        return health_score(yearly_risk(model, table, weights=weights))


def split_move(before: Assessed, after: Assessed, *, hindsight: FeatureTable, silent: Collection[str] = ()) -> Floats:
    """What moved each account's score from `before` to `after`: n x CALCULATED_PARTS, in points.

    Both are of the same accounts. `hindsight` holds the features of the earlier day as known on the later, in the
    columns of `after`; an account without a row there learned nothing late. `silent` names the features whose feed was
    silent on either day, so that they say nothing of behaviour: what they no longer say, or say again, is late data.
    Rows add up to the later score less the
    earlier, to 1e-9, whatever else changed: should the model of `before` not give the risk that was published with
    it (it cannot be read any more, and that of `after` stands for it), that is the model's part.
    """
    names = tuple(spec.name for spec in before.model.specs)
    later = _with_columns(after.table, names, otherwise=before.table.values)
    then = _with_columns(before.table, names, otherwise=later.values)
    known_now = _hindsight_rows(hindsight, then)
    values = _behave(then.values, known_now=known_now.values, later=later.values)
    values = np.where([name in silent for name in names], then.values, values)
    moved_on = _move_clock(then, known_now=known_now, later=later)
    behaved = replace(then, values=values, leaves_on=later.leaves_on, leaves_for=later.leaves_for)
    states = (then, behaved, replace(moved_on, values=values), later)
    scores = [before.score(table, model=before.model) for table in states]
    end = health_score(after.risk)
    refitted = before.score(after.table, model=after.model) if before.weights or after.weights else end
    behaviour, calendar, late_data = np.diff(scores, axis=0)
    model_refit = (refitted - scores[-1]) + (scores[0] - health_score(before.risk))
    return np.column_stack([behaviour, calendar, late_data, model_refit, end - refitted])


def override_move(calculated: tuple[float, float], shown: tuple[float, float]) -> float:
    """What overrides moved the shown score by, beyond the calculated; each pair is (earlier, later)."""
    return (shown[1] - calculated[1]) - (shown[0] - calculated[0])


def _behave(known_then: Floats, *, known_now: Floats, later: Floats) -> Floats:
    """What was known then, moved by what has happened since.

    An input that came or went since is as it is later; one that never was known stays unknown here.
    """
    came_or_went = np.isnan(known_now) != np.isnan(later)
    moved = known_then + np.where(np.isnan(later - known_now), 0.0, later - known_now)
    return np.where(came_or_went, later, moved)


def _move_clock(then: FeatureTable, *, known_now: FeatureTable, later: FeatureTable) -> FeatureTable:
    """The later clock; where the earlier one was put right since, the earlier one moved on to the later day."""
    as_said = (
        (then.started_on == known_now.started_on)
        & (then.term_months == known_now.term_months)
        & ((then.renewal_on == known_now.renewal_on) | (np.isnat(then.renewal_on) & np.isnat(known_now.renewal_on)))
    )
    renewal_on = _next_renewal(then.renewal_on, then.term_months, after=later.landmark)
    return replace(
        later,
        started_on=np.where(as_said, later.started_on, then.started_on),
        term_months=np.where(as_said, later.term_months, then.term_months),
        renewal_on=np.where(as_said, later.renewal_on, renewal_on),
    )


def _next_renewal(renewal_on: Days, term_months: Ints, *, after: Days) -> Days:
    """The end of the term that runs after the day: of the present term or of as many like it as it takes."""
    moved = renewal_on.copy()
    while (rows := np.flatnonzero(moved <= after)).size:
        moved[rows] = add_months_to_days(moved[rows], term_months[rows])
    return moved


def _hindsight_rows(hindsight: FeatureTable, then: FeatureTable) -> FeatureTable:
    """The row of each account in the columns of `then`; the account's own of then where hindsight has none."""
    at = np.searchsorted(hindsight.account, then.account)
    rows = np.flatnonzero(np.append(hindsight.account, -1)[at] == then.account)
    own = take_rows(hindsight, at[rows])
    own = _with_columns(own, then.names, otherwise=then.values[rows])
    found = take_rows(then, np.arange(len(then.account)))
    for name in ("started_on", "term_months", "renewal_on", "values"):
        getattr(found, name)[rows] = getattr(own, name)
    return found


def _with_columns(table: FeatureTable, names: tuple[str, ...], *, otherwise: Floats) -> FeatureTable:
    """The table with the named columns in their order; one that it has not is as `otherwise` (n x names) says."""
    if table.names == names:
        return table
    values = otherwise.copy()
    for number, name in enumerate(names):
        if name in table.names:
            values[:, number] = table.values[:, table.names.index(name)]
    return replace(table, names=names, values=values)
