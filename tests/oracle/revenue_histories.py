"""Dense random histories of contract lines, from a seed."""

from datetime import date, timedelta
from random import Random

from tests.oracle.revenue_oracle import DAY, History, Line, Merge, Notice, Pause, add_months

STARTS = (date(2024, 1, 31), date(2024, 2, 29), date(2024, 3, 1), date(2024, 3, 15), date(2024, 4, 30))


def draw_line(random: Random, number: int) -> Line:
    """Draw one line: of whole months or odd days, paid or a discount."""
    start = random.choice(STARTS) + DAY * random.choice((0, 0, 1, 20, 31, 45))
    unpaid = add_months(start, random.choice((1, 1, 2, 3))) + DAY * random.choice((0, 0, 0, 7))
    amount = random.choice((1, 999, 10_000, 12_345, 10_000, -5_000, 0))
    kind = random.choice(("recurring",) * 6 + ("one_time", "trial"))
    account, product = random.choice("ABC"), random.choice(("seats", "plus"))
    currency = random.choice(("USD", "EUR", "JPY"))
    return Line(f"L{number}", account, product, currency, amount, start, unpaid - DAY, kind)


def draw_history(seed: int) -> History:
    """Draw lines that overlap, lapse and come back, and notices, pauses, one merge, amendments, deletions."""
    random = Random(seed)  # noqa: S311 - a test wants the same history again
    lines = [draw_line(random, number) for number in range(random.randint(1, 6))]
    days = [date(2024, 3, 1) + timedelta(days=random.randrange(100)) for _ in range(4)]
    some = random.choice(lines)
    notices = (Notice(some.account, days[0], random.choice((None, some.id)), recorded=1),)
    pauses = (Pause(random.choice(lines).id, days[1], days[1] + DAY * random.randrange(40), recorded=2),)
    gone, kept = random.sample("ABC", 2)
    later = draw_line(random, int(some.id[1:]))
    amended = [Line(**{f: getattr(later, f) for f in Line.__slots__} | {"recorded": 3, "deleted": seed % 3 == 0})]
    return History(
        tuple(lines + amended * random.randint(0, 1)),
        notices * random.randint(0, 1),
        pauses * random.randint(0, 1),
        (Merge(gone, kept, days[2], recorded=2),) * random.randint(0, 1),
    )
