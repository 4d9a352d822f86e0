"""Which group a contract line is in, and what groups are called, for one way of grouping."""

from collections.abc import Iterable

from sqlalchemy import ColumnElement, String, and_, cast, func, select
from sqlalchemy.orm import Session

from app.models.accounts import AccountVersion
from app.models.products import Product, ProductVersion
from app.models.versions import DatedVersion
from app.queries.contract_lines import RecurringLine
from app.queries.facts import Known
from app.queries.groups import ALL, UNKNOWN
from app.queries.known import in_force, valid_on

CURRENCY = "currency"
DECIDED_BY = {
    **dict.fromkeys(("product", "plan"), "product"),
    **dict.fromkeys(("account", "segment", "channel"), "account"),
    CURRENCY: CURRENCY,
}


class LineGroups:
    """Which group a line is in, and what groups are called, for one way of grouping."""

    def __init__(self, session: Session, group_by: str, *, known: Known) -> None:
        self._group_by = group_by
        self._of: dict[int, str] = {}
        self.labels: dict[str, str] = {}
        for key, group, label in _named_rows(session, group_by, known=known):
            self._of[key] = group
            self.labels[group] = label

    @property
    def key(self) -> str | None:
        """What decides the group: `product`, `account`, `currency`; None where all are one."""
        return DECIDED_BY.get(self._group_by)

    def group_of(self, line: RecurringLine) -> str:
        keys = {"product": line.product_id, "account": line.account_id, CURRENCY: line.currency, None: None}
        return self.group_by_key(keys[self.key])

    def group_by_key(self, value: int | str | None) -> str:
        """The group by the value of its `key`."""
        if self.key is None:
            return ALL
        return str(value) if self.key == CURRENCY else self._of.get(value, UNKNOWN)  # type: ignore[arg-type]


def _named_rows(session: Session, group_by: str, *, known: Known) -> Iterable[tuple[int, str, str]]:
    account, product = AccountVersion, ProductVersion
    of_account = {"account": (cast(account.account_id, String).label("group"), account.name)} | {
        name: (func.coalesce(getattr(account, name), UNKNOWN),) * 2 for name in ("segment", "channel")
    }
    plan = func.coalesce(product.plan, product.name)
    of_product = {"product": (Product.sku, product.name), "plan": (plan, plan)}
    if group_by in of_account:
        statement = select(account.account_id, *of_account[group_by]).where(valid_now(account, known))
    elif group_by in of_product:
        statement = select(product.product_id, *of_product[group_by]).join(Product, Product.id == product.product_id)
        statement = statement.where(valid_now(product, known))
    else:
        return []
    return [(key, group, label) for key, group, label in session.execute(statement)]


def valid_now(table: type[DatedVersion], known: Known) -> ColumnElement[bool]:
    """The condition that a version was known then, and holds on the day."""
    return and_(in_force(table, known.known_at), valid_on(table, known.as_of))
