"""Small companies with everything awkward in them, for the tests of the feature function."""

from datetime import date

import numpy as np

from app.domain.features import (
    AttributeFacts,
    Facts,
    InvoiceFacts,
    LineFacts,
    MilestoneFacts,
    Spells,
    SurveyFacts,
    TicketFacts,
    TouchFacts,
    TrainingFacts,
    UsageFacts,
)
from app.domain.months import add_months

EPOCH = np.datetime64("2023-01-01")
NAT = np.datetime64("NaT", "D")
AS_OF = [date(2024, 6, 1), date(2024, 6, 15), date(2024, 6, 30), date(2024, 5, 31), date(2024, 2, 29)]


def days(*values):
    return np.array(values, dtype="datetime64[D]")


def landmarks_before(as_of, months=6):
    return days(*(add_months(as_of, -back) for back in range(months - 1, -1, -1)))


def random_facts(seed, accounts=6, whole_amounts=True):
    """A small company with everything awkward in it: late rows, versions, returns, several lines, ties."""
    rng = np.random.default_rng(seed)

    def day(n, low=0, high=560):
        return EPOCH + rng.integers(low, high, n).astype("timedelta64[D]")

    def late(on, most=40):
        return on + (rng.integers(0, most, len(on)) * (rng.random(len(on)) < 0.3)).astype("timedelta64[D]")

    def replaced(available):
        """A fifth of the versions stood only for a while: another of the rows is taken to have come later."""
        later = available + rng.integers(0, 200, len(available)).astype("timedelta64[D]")
        return np.where(rng.random(len(available)) < 0.2, later, NAT)

    first = np.arange(accounts)
    start = day(accounts, 0, 400)
    end = np.where(rng.random(accounts) < 0.4, start + rng.integers(20, 400, accounts).astype("timedelta64[D]"), NAT)
    back = np.flatnonzero(~np.isnat(end))[:2]
    spells = Spells(
        account=np.concatenate([first, back]),
        number=np.concatenate([np.ones(accounts, int), np.full(len(back), 2)]),
        started_on=np.concatenate([start, end[back] + np.timedelta64(33, "D")]),
        ended_on=np.concatenate([end, np.full(len(back), NAT)]),
        churned=np.concatenate([~np.isnat(end), np.zeros(len(back), bool)]),
        cause=np.full(accounts + len(back), -1),
    )
    of = np.concatenate([np.arange(len(spells.account)), rng.integers(0, len(spells.account), 8)])
    starts = spells.started_on[of] + (
        rng.integers(0, 90, len(of)) * (np.arange(len(of)) >= len(spells.account))
    ).astype("timedelta64[D]")
    known = starts - rng.integers(-3, 30, len(of)).astype("timedelta64[D]")
    told = ~np.isnat(spells.ended_on[of]) & (np.arange(len(of)) % 3 > 0)
    lines = LineFacts(
        account=spells.account[of],
        starts_on=starts,
        stops_on=spells.ended_on[of],
        term_months=rng.choice([1, 3, 12], len(of)),
        non_cancellable=rng.random(len(of)) < 0.3,
        mrr=rng.integers(100, 999, len(of)) / 7,
        seats=np.where(rng.random(len(of)) < 0.2, np.nan, rng.integers(3, 30, len(of))),
        leaves_on=np.where(told, spells.ended_on[of], NAT),
        leaves_for=np.where(told, np.arange(len(of)) % 3, -1),
        available_on=known,
        replaced_on=np.where(rng.random(len(of)) < 0.2, known + np.timedelta64(200, "D"), NAT),
    )
    n = 900
    usage_day = day(n, 150)  # each feed began on a day of its own, while accounts were there
    usage = UsageFacts(
        account=rng.integers(0, accounts, n),
        day=usage_day,
        available_on=late(usage_day),
        metric=rng.integers(0, 2, n),
        feature=rng.integers(-1, 4, n),
        amount=rng.integers(0, 9, n) / (1.0 if whole_amounts else 7.0),
    )
    due, planned = day(30, 151), day(30, 151)
    done = np.where(rng.random(30) < 0.6, due + rng.integers(-20, 40, 30).astype("timedelta64[D]"), NAT)
    milestones = MilestoneFacts(rng.integers(0, accounts, 30), due, done, planned, late(done), replaced(planned))
    opened = day(80, 152)
    heard = late(opened)
    tickets = TicketFacts(rng.integers(0, accounts, 80), opened, rng.random(80) < 0.3, heard, replaced(heard))
    answered = day(60, 153)
    heard = late(answered)
    surveys = SurveyFacts(
        account=rng.integers(0, accounts, 60),
        answered_on=answered,
        is_nps=rng.random(60) < 0.5,
        score=rng.integers(1, 50, 60) / 7,
        available_on=heard,
        replaced_on=replaced(heard),
    )
    spoke = day(60, 154)
    heard = late(spoke)
    touches = TouchFacts(rng.integers(0, accounts, 60), spoke, heard, replaced(heard))
    held = day(20, 155)
    heard = late(held)
    trainings = TrainingFacts(rng.integers(0, accounts, 20), held, heard, replaced(heard))
    issued = day(70, 156)
    payable = issued + rng.integers(0, 40, 70).astype("timedelta64[D]")
    paid = np.where(rng.random(70) < 0.8, payable + rng.integers(-20, 60, 70).astype("timedelta64[D]"), NAT)
    heard = late(issued)
    invoices = InvoiceFacts(
        rng.integers(0, accounts - 1, 70), issued, payable, paid, heard, late(paid), replaced(heard)
    )  # the last account is never sent one
    versions = day(12)
    heard = np.concatenate([start, late(versions)])
    attributes = AttributeFacts(
        account=np.concatenate([first, rng.integers(0, accounts, 12)]),
        valid_from=np.concatenate([start, versions]),
        available_on=heard,
        replaced_on=replaced(heard),
        segment=rng.integers(-1, 2, accounts + 12),
        channel=rng.integers(-1, 3, accounts + 12),
    )
    return Facts(
        account_ids=first + 100,
        segments=("small", "large"),
        channels=("web", "partner", "event"),
        usage_metrics=("activity", "active_people"),
        spells=spells,
        lines=lines,
        attributes=attributes,
        usage=usage,
        milestones=milestones,
        tickets=tickets,
        surveys=surveys,
        touches=touches,
        trainings=trainings,
        invoices=invoices,
    )
