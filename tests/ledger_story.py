"""Random stories of contracts, told change by change, and the movements that are stored and that follow."""

import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from sqlalchemy import Engine, select

from app.db import reading, transaction
from app.domain.movements import Movement
from app.models.contracts import ContractLineVersion
from app.models.ledger import Movement as Row
from app.queries.known import in_force
from app.queries.ledger import find_all_movements, load_rules
from app.services.accounts import record_accounts
from app.services.changes import recording
from app.services.churn import record_churn, withdraw_churn
from app.services.deals import record_deals
from app.services.merges import merge_accounts, withdraw_deals
from app.services.movements import COLUMNS
from app.services.products import record_products
from app.services.settings import record_settings
from app.services.sources import Source
from integrations.files.rows import AccountRow, ChurnRow, ClosedDeal, DealRow, LineRow, ProductRow

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
FIRST = date(2024, 1, 1)
NAMES = ("A", "B", "C")
Said = tuple[object, ...]


def stored(engine: Engine, known_at: datetime | None) -> list[Said]:
    with reading(engine) as session:
        rows = session.execute(select(*COLUMNS).where(in_force(Row, known_at)))
        return sorted((tuple(row) for row in rows), key=repr)


def computed(engine: Engine, known_at: datetime | None) -> list[Said]:
    with reading(engine) as session:
        rules = load_rules(session, known_at)
        owners = session.scalars(select(ContractLineVersion.account_id).distinct())
        found = list(find_all_movements(session, rules, families=rules.families(owners)))
    return sorted((plain(each) for each in found), key=repr)


def plain(movement: Movement) -> Said:
    return tuple(getattr(each, "value", each) for each in movement)


def deal(dice: random.Random, number: int) -> ClosedDeal:
    starts_on = FIRST + timedelta(days=30 * dice.randint(0, 24))
    stage = dice.choice(("won", "won", "won", "lost"))
    lines = tuple(
        LineRow(
            key=str(key),
            deal=f"d{number}",
            product=dice.choice(("CORE", "PLUS")),
            kind="recurring",
            amount=Decimal(dice.choice(("1200", "999.99", "-100"))),
            quantity=Decimal(dice.randint(1, 4)),
            currency=dice.choice(("USD", "EUR")) if number == 3 else "USD",
            starts_on=starts_on,
            ends_on=starts_on + timedelta(days=dice.choice((89, 364, 729))),
        )
        for key in range(dice.randint(1, 3))
    )
    lines = tuple(each for each in lines if each.currency == lines[0].currency)
    earlier = dice.choice((None, f"d{number - 1}" if number else None))
    row = DealRow(
        id=f"d{number}",
        account=dice.choice(NAMES),
        stage=stage,
        type="new",
        closed_on=starts_on,
        currency=lines[0].currency,
        renewal_of=earlier,
    )
    return ClosedDeal(row, lines)


def act(engine: Engine, dice: random.Random, at: datetime) -> None:
    source = Source("crm", at)
    with transaction(engine) as session, recording(session, "story", clock=lambda: at) as change:
        name = dice.choice(("deal", "deal", "deal", "deal", "notice", "unsay", "withdraw", "merge", "family", "grace"))
        some = dice.randint(0, 6)
        if name == "deal":
            record_deals(session, change, source=source, deals=[deal(dice, some)])
        elif name == "notice":
            on = FIRST + timedelta(days=dice.randint(0, 700))
            row = ChurnRow(id=f"n{some}", effective_on=on, account=dice.choice(NAMES), cause="voluntary")
            named = ChurnRow(id=f"n{some}", effective_on=on, deal=f"d{some}", cause="voluntary")
            record_churn(session, change, source=source, rows=[dice.choice((row, named))])
        elif name == "unsay":
            withdraw_churn(session, change, system="crm", ids=[f"n{some}"])
        elif name == "withdraw":
            withdraw_deals(session, change, system="crm", ids=[f"d{some}"])
        elif name == "merge" and dice.random() < 0.5:
            merge_accounts(session, change, source=source, merged=[(dice.choice(NAMES), dice.choice(NAMES))])
        elif name == "family":
            family = dice.choice(("suite", None))
            products = [
                ProductRow(id=sku, sku=sku, name=sku, family=family, is_recurring=True) for sku in ("CORE", "PLUS")
            ]
            record_products(session, change, source=source, rows=products)
        elif name == "grace":
            record_settings(session, change, values={"grace_days": dice.choice((0, 10, 30))})


def tell(engine: Engine, seed: int, acts: int) -> list[datetime]:
    dice = random.Random(seed)  # noqa: S311
    with transaction(engine) as session, recording(session, "story", clock=lambda: START) as change:
        rows = [AccountRow(name, name) for name in NAMES]
        record_accounts(session, change, source=Source("crm", START), rows=rows)
    ticks = [START + timedelta(hours=7 * (number + 1)) for number in range(acts)]
    for at in ticks:
        act(engine, dice, at)
        assert stored(engine, None) == computed(engine, None), (seed, at)
    return ticks
