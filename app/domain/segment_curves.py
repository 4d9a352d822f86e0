"""The curve of an account from its segment's Kaplan-Meier alone, where no hazard can be learned.

S(k | T) = S(T + k) / S(T) month by month; log S has Greenwood's variance, summed over the months
ahead. Beyond the last month with 10 at risk the mean hazard of the 12 months before it is held.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.domain.features import Floats
from app.domain.months import Ints

FEWEST_AT_RISK = 10
MONTHS_HELD = 12


@dataclass(frozen=True, slots=True, eq=False)
class MonthlyTable:
    """A life table: q(t), the share lost in month t of tenure, and the variance it adds to log S; t = 1..M."""

    hazard: Floats
    variance: Floats

    @property
    def supported_months(self) -> int:
        return len(self.hazard)


def life_table(survival: Floats, at_risk: Ints) -> MonthlyTable:
    """From S(0..M) and the number at risk just before months 1..M, cut where fewer than 10 are left."""
    few = np.flatnonzero(at_risk < FEWEST_AT_RISK)
    months = int(few[0]) if len(few) else len(at_risk)
    hazard = 1.0 - survival[1 : months + 1] / np.maximum(survival[:months], 1e-12)
    n = at_risk[:months].astype(np.float64)
    return MonthlyTable(hazard=hazard, variance=hazard / np.maximum(n * (1.0 - hazard), 1e-12))


def conditional_survival(
    tables: Sequence[MonthlyTable], *, table_of: Ints, tenure_months: Ints, months: int
) -> tuple[Floats, Floats, Ints]:
    """S and the standard deviation of log S (n x months) from each account's tenure on, and its supported months."""
    longest = int(tenure_months.max(initial=0)) + months
    hazard = np.array([_extended(table.hazard, longest) for table in tables]).reshape(len(tables), longest)
    variance = np.array([_extended(table.variance, longest) for table in tables]).reshape(len(tables), longest)
    ahead = tenure_months[:, None] + np.arange(months)[None, :]
    at = (table_of[:, None], ahead)
    survival = np.multiply.accumulate(1.0 - hazard[at], axis=1)
    sd = np.sqrt(np.cumsum(variance[at], axis=1))
    supported = np.array([table.supported_months for table in tables], dtype=np.int64)[table_of]
    return survival, sd, np.clip(supported - tenure_months, 0, months)


def _extended(values: Floats, length: int) -> Floats:
    held = float(values[-MONTHS_HELD:].mean()) if len(values) else 0.0
    return np.append(values, np.full(max(0, length - len(values)), held))[:length]
