"""Contract lines by hand and at random, for what is worked out of them."""

import random
from datetime import date, timedelta
from decimal import Decimal

from app.domain.contracts import ChurnNotice, ContractLine, LineKind
from app.domain.movements import LedgerLine, Pause

KEPT, OLD = 1, 2
CRM, MAIL = 10, 20
JAN, APR, JUL, OCT = date(2024, 1, 1), date(2024, 4, 1), date(2024, 7, 1), date(2024, 10, 1)
NEXT_JAN = date(2025, 1, 1)
YEAR_END = date(2024, 12, 31)
DAY = timedelta(days=1)


def line(
    key: int,
    starts_on: date = JAN,
    ends_on: date | None = YEAR_END,
    arr: int = 1200,
    *,
    product: int = CRM,
    offer: int | None = None,
    quantity: int = 1,
    currency: str = "USD",
    renews: int | None = None,
    booked_on: date | None = None,
    earlier: tuple[tuple[int, date], ...] = (),
) -> LedgerLine:
    agreed = ContractLine(key, LineKind.RECURRING, starts_on, ends_on, arr, offer or product, renews)
    return LedgerLine(agreed, KEPT, product, currency, Decimal(quantity), booked_on or starts_on, earlier)


def history(seed: int) -> tuple[list[LedgerLine], list[ChurnNotice], list[Pause]]:
    dice = random.Random(seed)  # noqa: S311
    lines: list[LedgerLine] = []
    for key in range(1, dice.randint(2, 8)):
        starts_on = JAN + DAY * (30 * dice.randint(0, 20) + dice.choice((0, 0, 0, 7)))
        ends_on = dice.choice((None, starts_on + DAY * (30 * dice.randint(1, 12) - 1)))
        product = dice.choice((CRM, CRM, MAIL))
        owners = dice.choice(((), (), ((OLD, OCT),), ((3, JUL), (OLD, OCT))))
        lines.append(
            line(
                key,
                starts_on,
                ends_on,
                dice.choice((1200, 1000, 333, -200)),
                product=product,
                offer=dice.choice((product, 99)),
                quantity=dice.randint(1, 3),
                currency=dice.choice(("USD", "USD", "JPY")),
                renews=dice.choice((None, *(each.line.key for each in lines))),
                earlier=owners,
            )
        )
    notices = [
        ChurnNotice(key, JAN + DAY * 30 * dice.randint(1, 25), line=dice.choice((None, 1, 2)))
        for key in range(dice.choice((0, 0, 1, 2)))
    ]
    pauses = []
    for key in range(dice.choice((0, 0, 1, 2))):
        pauses_on = JAN + DAY * 30 * dice.randint(0, 20)
        pauses.append(Pause(key, dice.randint(1, 3), pauses_on, dice.choice((None, pauses_on + DAY * 60))))
    return lines, notices, pauses
