from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from app.domain.feature_table import build_features
from app.domain.features import Facts, FeatureTable, TicketFacts
from app.domain.hindsight import know_in_hindsight, usual_delay_days
from tests.domain.awkward_facts import NAT, days, random_facts

EARLIER, LATER = date(2024, 3, 1), date(2024, 3, 15)


def on_time(seed: int) -> Facts:
    """Everything is known on its own day, and nothing is ever said anew."""
    facts = random_facts(seed)
    told = {
        kind: replace(getattr(facts, kind), available_on=getattr(getattr(facts, kind), day).copy())
        for kind, day in (("usage", "day"), ("tickets", "opened_on"), ("surveys", "answered_on"))
    }
    return replace(facts, **told)


def tickets(*rows: tuple[int, str, str, bool, str | None]) -> TicketFacts:
    account, opened, available, escalated, replaced = zip(*rows, strict=True)
    gone = days(*("NaT" if each is None else each for each in replaced))
    return TicketFacts(np.array(account), days(*opened), np.array(escalated), days(*available), gone)


def regular(account: int = 0, *, delay_days: int = 1) -> list[tuple[int, str, str, bool, str | None]]:
    """A ticket a day over the ninety days before, each told `delay_days` later."""
    start = np.datetime64("2023-12-10")
    return [(account, str(start + n), str(start + n + np.timedelta64(delay_days, "D")), False, None) for n in range(85)]


def features(facts: Facts, on: date = EARLIER) -> FeatureTable:
    return build_features(facts, days(on))


def test_where_nothing_came_late_the_earlier_day_is_what_it_was() -> None:
    facts = on_time(3)
    assert features(know_in_hindsight(facts, known_on=LATER)).values.tobytes() == features(facts).values.tobytes()


def test_a_fact_that_came_late_is_taken_to_have_come_in_the_usual_time() -> None:
    rows = [*regular(), (0, "2024-02-20", "2024-03-05", True, None)]
    facts = replace(random_facts(1), tickets=tickets(*rows))
    told = know_in_hindsight(facts, known_on=LATER).tickets.available_on
    assert told[-1] == np.datetime64("2024-02-21")
    assert (told[:-1] == facts.tickets.available_on[:-1]).all()


def test_what_its_source_always_sends_a_day_later_is_not_late() -> None:
    """Opened the day before and told on the day itself: on that day nobody knows of such tickets, then or now."""
    facts = replace(random_facts(1), tickets=tickets(*regular(), (0, "2024-02-29", "2024-03-01", True, None)))
    assert know_in_hindsight(facts, known_on=LATER).tickets is facts.tickets


def test_what_is_not_known_yet_is_left_as_it_is() -> None:
    facts = replace(random_facts(1), tickets=tickets(*regular(), (0, "2024-02-01", "2024-03-15", True, None)))
    assert know_in_hindsight(facts, known_on=LATER).tickets is facts.tickets


def test_a_later_version_is_news_and_counts_from_when_it_came() -> None:
    first = (0, "2024-02-01", "2024-02-02", False, "2024-03-05")
    second = (0, "2024-02-01", "2024-03-05", True, None)
    facts = replace(random_facts(1), tickets=tickets(*regular(), first, second))
    assert know_in_hindsight(facts, known_on=LATER).tickets is facts.tickets


def test_usage_that_arrives_in_one_lump_is_laid_on_its_days() -> None:
    """A feed that stood still over the earlier day: seen from the later one, the account had been at work."""
    facts = on_time(5)
    late = (facts.usage.day >= np.datetime64("2024-02-20")) & (facts.usage.day < np.datetime64("2024-03-04"))
    arrived = np.where(late, np.datetime64("2024-03-10"), facts.usage.available_on)
    stopped = replace(facts, usage=replace(facts.usage, available_on=arrived))
    seen = features(know_in_hindsight(stopped, known_on=LATER))
    usage = [i for i, name in enumerate(seen.names) if name.startswith(("usage", "breadth", "days_since_use"))]
    assert not np.array_equal(features(stopped).values[:, usage], features(facts).values[:, usage], equal_nan=True)
    assert np.array_equal(seen.values[:, usage], features(facts).values[:, usage], equal_nan=True)


def test_a_contract_recorded_late_is_in_hindsight_on_the_earlier_day() -> None:
    facts = on_time(2)
    lines = replace(
        facts.lines, available_on=facts.lines.starts_on.copy(), replaced_on=np.full(len(facts.lines.mrr), NAT)
    )
    row = int(np.flatnonzero((lines.starts_on < np.datetime64(EARLIER)) & np.isnat(lines.stops_on))[0])
    lines.available_on[row] = np.datetime64("2024-03-10")
    account = lines.account[row]
    mine = lines.account == account
    alone = replace(lines, starts_on=np.where(mine & (np.arange(len(mine)) != row), NAT, lines.starts_on))
    late = replace(facts, lines=alone)
    assert account not in features(late).account
    assert account in features(know_in_hindsight(late, known_on=LATER)).account


def test_what_becomes_known_after_the_later_day_changes_no_byte() -> None:
    facts = random_facts(7)
    usage = facts.usage
    unknown = usage.available_on >= np.datetime64(LATER)
    other = replace(facts, usage=replace(usage, amount=np.where(unknown, 99.0, usage.amount)))
    one, two = (features(know_in_hindsight(each, known_on=LATER)) for each in (facts, other))
    assert one.values.tobytes() == two.values.tobytes()


@pytest.mark.parametrize(
    ("delays", "usual"),
    [([], 0), ([0, 0, 0, 0, 9], 0), ([1, 1, 1, 1, 30], 1), ([-20, -5, -3, -1, -9], 0), (list(range(10)), 7)],
)
def test_usual_is_what_four_fifths_of_the_facts_keep_to(delays: list[int], usual: int) -> None:
    assert usual_delay_days(np.array(delays, dtype=np.int64)) == usual
