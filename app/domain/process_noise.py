"""What chance adds: an account stays or leaves, it is never there in part.

An interval of joint draws tells how unsure the expected revenue of a group is. What will come in scatters about
that as well, the more the fewer accounts there are. With w an account's weight and R(k) its retention, its revenue
of months k and l varies together by w^2 (R(max(k, l)) - R(k) R(l)), accounts being taken to leave one by one.
"""

from statistics import NormalDist

import numpy as np

from app.domain.features import Floats
from app.domain.hazard_draws import Groups, sample_accounts
from app.domain.months import Ints

FEWEST_COUNTED = 1_000  # accounts of a group, where it has more
_NODES = 99  # of the normal distribution, alike likely


def process_covariances(account: Ints, groups: Groups, *, retention: Floats) -> Floats:
    """The covariance of each group's realised revenue by month about the expected (groups x months x months).

    Rows are those of `groups`; of a group of more than some 1,000 a sample is counted, each with its share.
    """
    rows, share = sample_accounts(account, [groups], fewest=FEWEST_COUNTED)
    counted = Groups(groups.group[rows], groups.weight[rows], groups.n_groups)
    return count_covariances(counted, share, retention=retention[rows])


def count_covariances(groups: Groups, share: Floats, *, retention: Floats) -> Floats:
    """`process_covariances` from accounts of which each was sampled with a probability of `share`."""
    months = np.arange(retention.shape[1])
    later = np.maximum(months[:, None], months[None, :])
    result = np.zeros((groups.n_groups, len(months), len(months)))
    for group in range(groups.n_groups):
        own = groups.group == group
        kept = retention[own]
        weight = groups.weight[own] ** 2 / share[own]
        result[group] = (weight @ kept)[later] - (kept * weight[:, None]).T @ kept
    return result


def realised_interval(expected: Floats, variance: float, *, level: float) -> tuple[float, float]:
    """The central interval at `level` of what is realised: draws of what is expected (n), each with chance about it.

    Chance is normal with the `variance`, cut at 0; of a group of a few accounts that is rough.
    """
    chance = [NormalDist().inv_cdf((i + 0.5) / _NODES) for i in range(_NODES)]
    spread = np.maximum(expected[:, None] + np.sqrt(max(variance, 0.0)) * np.array(chance), 0.0)
    lower, upper = np.quantile(spread, [0.5 - level / 2, 0.5 + level / 2])
    return float(lower), float(upper)
