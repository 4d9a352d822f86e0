"""What becomes of each customer on average, from where the history left it. Tests alone read this.

The service never sees it: neither the facts nor the files hold a customer's quality, engagement,
decisions or what is drawn here.
"""

from dataclasses import dataclass

import numpy as np

from jobs.example_company.company import GROSS_MARGIN
from jobs.example_company.dynamics import Floats, Ints, step
from jobs.example_company.world import World


@dataclass(frozen=True, slots=True)
class Truth:
    """One row per customer at `as_of`, by account; month k is the k-th after it.

    A month's money counts at its end, as everywhere: a customer that leaves in month k pays 0 for it.
    """

    account: Ints
    mrr: Floats  # at as_of, in the reporting currency
    survival: Floats  # accounts x months
    expected_mrr: Floats  # accounts x months: mean over all fates, 0 where the customer has left

    def churn_within(self, months: int) -> Floats:
        return 1.0 - self.survival[:, months - 1]

    def margin(self, months: int, *, annual_discount_rate: float, with_expansion: bool) -> Floats:
        """Expected gross margin of months 1..`months`, discounted; without expansion at today's MRR."""
        money = self.expected_mrr if with_expansion else self.mrr[:, None] * self.survival
        weight = (1.0 + annual_discount_rate) ** (-np.arange(1, months + 1) / 12.0)
        result: Floats = GROSS_MARGIN * (money[:, :months] @ weight)
        return result


def foresee(world: World, *, months: int = 60, paths: int = 300) -> Truth:
    """The mean over `paths` futures of each customer, with the same dynamics as its past.

    The standard error of a probability is at most .5 / sqrt(paths), and of a mean over n customers
    sqrt(n) times less.
    """
    account = np.flatnonzero(world.history.customers.live)
    futures = world.history.customers.take(np.repeat(account, paths))
    rng = np.random.default_rng([world.seed, 3])
    first_month = world.history.diary.seats.shape[1]
    survival, money = np.empty((2, len(account), months))
    for k in range(months):
        step(futures, month=first_month + k, rng=rng)
        survival[:, k] = futures.live.reshape(-1, paths).mean(axis=1)
        money[:, k] = futures.mrr.reshape(-1, paths).mean(axis=1)
    return Truth(account, world.history.customers.mrr[account], survival, money)
