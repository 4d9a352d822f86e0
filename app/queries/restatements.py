"""What was recorded after a month was closed and changes what it said: read off the versions, with no second book.

A version recorded after the close adds its amount, one superseded after it takes its amount away; by change, day,
account, line, product, currency and category only the net counts. So closed + restatements = current by construction.
"""

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Select, Subquery, and_, case, func, literal, select, tuple_, union_all
from sqlalchemy.orm import Session

from app.domain.money import Money
from app.domain.periods import Period
from app.errors import Invalid
from app.models.contracts import Contract, ContractLine
from app.models.deals import Deal, DealVersion
from app.models.ledger import Movement
from app.models.periods import ClosedPeriod
from app.models.products import Product
from app.models.versions import Change
from app.queries.cursors import BAD_CURSOR, LARGEST_KEY

KINDS = ("movement", "booking", "opening")
KEY = ("first_on", "change_id", "kind", "on", "account_id", "line_id", "deal_id", "product_id", "currency", "category")
BECAUSE = {
    "line": "a contract line",
    "lapse": "a term that lapsed",
    "notice": "a churn notice",
    "pause": "a pause",
    "merge": "a merge of accounts",
    "deal": "a won deal",
}

Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Restatement:
    """What one change did to one line of a closed month. `on` is the day it is about, `at` when it was recorded.

    `source` is who or what recorded it (user:7, sync hubspot ...), `source_kind` the fact that moved.
    """

    period: str
    kind: str
    category: str
    on: date
    delta: Money
    account_id: int | None
    product: str | None
    contract_line_id: int | None
    deal_id: int | None
    deal_system: str | None
    deal_external_id: str | None
    change_id: int
    at: datetime
    source: str
    note: str | None
    source_kind: str | None

    @property
    def cause(self) -> str:
        """In words."""
        fact = BECAUSE.get(self.source_kind or "", "a fact")
        by = "by hand" if self.source.startswith(("user:", "token:", "link:")) else "by a feed or a command"
        verb = "added or corrected" if self.delta.minor > 0 else "taken back or corrected"
        note = f": {self.note}" if self.note else ""
        return f"{fact} of {self.on}, {verb} after the close, {by} ({self.source}){note}"


@dataclass(frozen=True, slots=True)
class Page:
    items: list[Restatement]
    next_after: Key | None


@dataclass(frozen=True, slots=True)
class Asked:
    """Of a closed month (None: of each), of these kinds, known by `known_at`, after the row `after`."""

    known_at: datetime
    period: Period | None = None
    kinds: Sequence[str] = ("movement", "booking")
    after: Key | None = None
    limit: int = 50


def list_restatements(session: Session, asked: Asked) -> Page:
    """A page of what changed in closed months since, by month and in the order of recording."""
    net = _net(asked)
    keys = [net.c[name] for name in KEY]
    deal_id = func.coalesce(Contract.deal_id, func.nullif(net.c.deal_id, 0))
    found = (
        select(net, Product.sku, Change.recorded_at, Change.source, Change.note, Deal.id.label("of_deal"))
        .add_columns(Deal.system, Deal.external_id)
        .join(Change, Change.id == net.c.change_id)
        .outerjoin(Product, Product.id == net.c.product_id)
        .outerjoin(ContractLine, ContractLine.id == net.c.line_id)
        .outerjoin(Contract, Contract.id == ContractLine.contract_id)
        .outerjoin(Deal, Deal.id == deal_id)
        .order_by(*keys)
        .limit(asked.limit + 1)
    )
    if asked.after is not None:
        found = found.where(tuple_(*keys) > tuple_(*(literal(each) for each in asked.after)))
    rows = session.execute(found).all()
    shown = rows[: asked.limit]
    after = tuple(getattr(shown[-1], name) for name in KEY) if len(rows) > asked.limit else None
    return Page([_restatement(row) for row in shown], after)


def _restatement(row: Any) -> Restatement:
    return Restatement(
        period=f"{row.first_on:%Y-%m}",
        kind=row.kind,
        category=row.category,
        on=row.on,
        delta=Money(int(row.minor), row.currency),
        account_id=row.account_id or None,
        product=row.sku,
        contract_line_id=row.line_id or None,
        deal_id=row.of_deal,
        deal_system=row.system,
        deal_external_id=row.external_id,
        change_id=row.change_id,
        at=row.recorded_at,
        source=row.source,
        note=row.note,
        source_kind=row.source_kind,
    )


def _net(asked: Asked) -> Subquery:
    """By all of KEY what was added and taken away, where it is not zero."""
    parts = [part for kind in asked.kinds for part in _parts(kind, asked)]
    every = union_all(*parts).subquery()
    keys = [every.c[name] for name in KEY]
    total = func.sum(every.c.minor)
    # The newer version's reason, where there is one.
    source_kind = func.coalesce(
        func.max(case((every.c.is_added == 1, every.c.source_kind))), func.max(every.c.source_kind)
    )
    net = select(*keys, total.label("minor"), source_kind.label("source_kind"))
    return net.group_by(*keys).having(total != 0).subquery()


def _parts(kind: str, asked: Asked) -> list[Select[*tuple[Any, ...]]]:
    """The versions that came, with their amount, and those that went, with it turned round."""
    table: Any = DealVersion if kind == "booking" else Movement
    columns = _booking_columns() if kind == "booking" else _movement_columns(kind)
    minor = DealVersion.amount_minor if kind == "booking" else Movement.amount_minor
    ends = ((table.change_id, minor, 1), (table.superseded_change_id, -minor, 0))
    return [_part(asked, kind, table=table, columns=columns, end=end) for end in ends]


def _part(asked: Asked, kind: str, *, table: Any, columns: dict[str, Any], end: Any) -> Select[*tuple[Any, ...]]:
    change_id, minor, is_added = end
    labelled = {"kind": literal(kind), "change_id": change_id, "first_on": ClosedPeriod.first_on, **columns}
    statement = (
        select(*(labelled[name].label(name) for name in KEY), minor.label("minor"), literal(is_added).label("is_added"))
        .add_columns(columns["source_kind"].label("source_kind"))
        .select_from(table)
        .join(Change, Change.id == change_id)
        .join(ClosedPeriod, _is_about(kind, columns["on"]))
        .where(Change.recorded_at > ClosedPeriod.known_at, Change.recorded_at <= asked.known_at)
    )
    if kind == "booking":
        statement = statement.where(DealVersion.stage == "won", DealVersion.amount_minor.is_not(None))
    if asked.period is not None:
        statement = statement.where(ClosedPeriod.first_on == asked.period.first_on)
    return statement


def _is_about(kind: str, on: Any) -> Any:
    if kind == "opening":
        return on < ClosedPeriod.first_on
    return and_(on >= ClosedPeriod.first_on, on <= ClosedPeriod.last_on)


def _movement_columns(kind: str) -> dict[str, Any]:
    row = Movement
    return {
        "on": row.moved_on,
        "account_id": row.account_id,
        "line_id": row.contract_line_id,
        "deal_id": literal(0),
        "product_id": row.product_id,
        "currency": row.currency,
        "category": row.category if kind == "movement" else literal("opening"),
        "source_kind": row.source_kind,
    }


def _booking_columns() -> dict[str, Any]:
    row = DealVersion
    return {
        "on": row.closed_on,
        "account_id": func.coalesce(row.account_id, 0),
        "line_id": literal(0),
        "deal_id": row.deal_id,
        "product_id": literal(0),
        "currency": row.currency,
        "category": literal("booking"),
        "source_kind": literal("deal"),
    }


# --- Cursors ---


def _whole(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= LARGEST_KEY:
        raise ValueError
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.isascii() or "\0" in value:
        raise ValueError
    return value


_READ: tuple[Any, ...] = (date.fromisoformat, _whole, _text, date.fromisoformat, *(_whole,) * 4, _text, _text)


def encode_key(key: Key) -> str:
    content = [each.isoformat() if isinstance(each, date) else each for each in key]
    return base64.urlsafe_b64encode(json.dumps(content, separators=(",", ":")).encode()).decode().rstrip("=")


def decode_key(cursor: str) -> Key:
    """The key that `encode_key` wrote; Invalid for anything else."""
    try:
        content = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
        return tuple(read(each) for read, each in zip(_READ, content, strict=True))
    except (binascii.Error, ValueError, TypeError, RecursionError):
        raise Invalid(BAD_CURSOR, {"cursor": [BAD_CURSOR]}) from None
