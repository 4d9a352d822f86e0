"""A ledger whose movements and deals a test writes row by row, each change at an instant of its own.

Accounts 1 to 5 have lines 1 to 5 (from deals 1 to 5 of a CRM) of products CORE and PLUS in turn. Deals 11 to 13 are of
accounts without a line, so that a booking and a movement never belong to one account.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Engine

from app.db import transaction
from app.models.accounts import Account
from app.models.contracts import Contract, ContractLine
from app.models.deals import Deal, DealVersion
from app.models.ledger import Movement
from app.models.products import Product
from app.services.changes import recording

PRODUCT_OF = {1: 1, 2: 2, 3: 1, 4: 2, 5: 1}
TICK = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Moved:
    """A movement as a test says it."""

    account: int
    on: date
    category: str
    minor: int
    currency: str = "USD"


class Books:
    """Each call is one change, a minute after the one before or at `at`."""

    def __init__(self, engine: Engine, *, at: datetime) -> None:
        self.engine, self.at = engine, at
        with transaction(engine) as session, recording(session, "import", clock=lambda: at) as change:
            said = {"change_id": change.id}
            session.add_all(
                [*(Account(id=i, **said) for i in (*PRODUCT_OF, 11, 12, 13)), Product(id=1, sku="CORE", **said)]
            )
            session.add(Product(id=2, sku="PLUS", **said))
            session.add_all(Deal(id=i, system="crm", external_id=f"D-{i}", **said) for i in (*PRODUCT_OF, 11, 12, 13))
            session.flush()
            session.add_all(Contract(id=i, deal_id=i, **said) for i in PRODUCT_OF)
            session.flush()
            session.add_all(ContractLine(id=i, contract_id=i, line_key="1", **said) for i in PRODUCT_OF)

    def record(
        self, *moved: Moved, source: str = "sync crm", at: datetime | None = None, instead_of: tuple[int, ...] = ()
    ) -> list[int]:
        """Record movements, and take back those with the ids `instead_of`; the new ids."""
        self.at = at or self.at + TICK
        with transaction(self.engine) as session, recording(session, source, clock=lambda: self.at) as change:
            for number in instead_of:
                session.get_one(Movement, number).superseded_change_id = change.id
            rows = [self._row(each, change_id=change.id) for each in moved]
            session.add_all(rows)
            session.flush()
            return [row.id for row in rows]

    def _row(self, moved: Moved, *, change_id: int) -> Movement:
        return Movement(
            change_id=change_id,
            available_at=self.at,
            account_id=moved.account,
            contract_line_id=moved.account,
            product_id=PRODUCT_OF[moved.account],
            moved_on=moved.on,
            effective_on=moved.on,
            category=moved.category,
            amount_minor=moved.minor,
            currency=moved.currency,
            source_kind="line",
            source_id=moved.account,
        )

    def book(self, deal: int, on: date, minor: int | None, *, at: datetime | None = None, source: str = "sync") -> None:
        """Record what a deal was booked at, as its newest version; None: it is lost after all."""
        self.at = at or self.at + TICK
        with transaction(self.engine) as session, recording(session, source, clock=lambda: self.at) as change:
            query = session.query(DealVersion).filter_by(deal_id=deal, superseded_change_id=None)
            for version in query:
                version.superseded_change_id = change.id
            session.flush()
            said: dict[str, Any] = {"stage": "lost" if minor is None else "won", "amount_minor": minor}
            session.add(
                DealVersion(
                    change_id=change.id,
                    available_at=self.at,
                    deal_id=deal,
                    account_id=deal,
                    type="new",
                    closed_on=on,
                    currency="USD",
                    **said,
                )
            )
