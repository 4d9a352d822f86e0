"""`simulate`: the example company as one value, to be read as facts or written as files."""

from dataclasses import dataclass
from datetime import date

import numpy as np

from jobs.example_company.billing import Invoices, draw_invoices
from jobs.example_company.company import FOUNDED_ON
from jobs.example_company.history import History, live_through
from jobs.example_company.signals import (
    Milestones,
    Surveys,
    Tickets,
    Touches,
    Trainings,
    Usage,
    draw_milestones,
    draw_surveys,
    draw_tickets,
    draw_touches,
    draw_trainings,
    draw_usage,
    lay_out_days,
)


@dataclass(frozen=True, slots=True)
class World:
    seed: int
    history: History
    usage: Usage
    milestones: Milestones
    tickets: Tickets
    surveys: Surveys
    touches: Touches
    trainings: Trainings
    invoices: Invoices

    @property
    def as_of(self) -> date:
        """The day after the last that was simulated: nothing in the world is known of it or later."""
        return self.history.as_of


def simulate(seed: int, *, accounts: int = 400, months: int = 48, founded_on: date = FOUNDED_ON) -> World:
    """The same seed gives the same company, whenever it was founded (on the first day of a month)."""
    history = live_through(seed, accounts=accounts, months=months, founded_on=founded_on)
    days = lay_out_days(history)
    usage_rng, plan_rng, desk_rng, survey_rng, touch_rng = np.random.default_rng([seed, 2]).spawn(5)
    training_rng, billing_rng = np.random.default_rng([seed, 5]).spawn(2)
    tickets = draw_tickets(history, days, rng=desk_rng)
    return World(
        seed=seed,
        history=history,
        usage=draw_usage(history, days, rng=usage_rng),
        milestones=draw_milestones(history, plan_rng),
        tickets=tickets,
        surveys=draw_surveys(history, days, tickets=tickets, rng=survey_rng),
        touches=draw_touches(history, days, rng=touch_rng),
        trainings=draw_trainings(history, days, rng=training_rng),
        invoices=draw_invoices(history, billing_rng),
    )
