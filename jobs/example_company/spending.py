"""What the example company spent on winning customers, by channel and month; in the reporting currency.

It rests on how many signed around then, not on what became of them, and has a random stream of its own.
"""

from collections.abc import Iterator

import numpy as np

from app.domain.months import add_months
from jobs.example_company.company import CHANNELS, REPORTING_CURRENCY
from jobs.example_company.world import World

# By channel: searching, referring and partnering are cheap, people on stages and on the phone are not.
COST_OF_ONE = dict(zip(CHANNELS, (4_200, 1_800, 5_500, 11_000, 14_500), strict=True))
_PLANNED_OVER_MONTHS = 6
_SWING = 0.15


def list_spending(world: World) -> Iterator[tuple[str, str, str, str]]:
    """Channel, month, amount and currency: each month's budget is that of an average half year, with some swing."""
    profile = world.history.profile
    months = world.history.diary.seats.shape[1]
    rng = np.random.default_rng([world.seed, 6])
    smooth = np.ones(_PLANNED_OVER_MONTHS) / _PLANNED_OVER_MONTHS
    for number, channel in enumerate(CHANNELS):
        signed = np.bincount(profile.first_month[profile.channel == number], minlength=months)
        planned = np.convolve(signed, smooth, mode="same") * COST_OF_ONE[channel]
        spent = planned * np.exp(_SWING * rng.standard_normal(months))
        for month, amount in enumerate(spent.tolist()):
            day = add_months(profile.founded_on, month)
            yield channel, day.isoformat(), f"{round(amount)}.00", REPORTING_CURRENCY
