"""What opportunities can be filtered by."""

from dataclasses import dataclass
from datetime import date

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.models.expansion import ExpansionOpportunity
from app.models.products import Product, ProductVersion
from app.queries.account_list import list_csms
from app.queries.known import valid_on


@dataclass(frozen=True, slots=True)
class Choices:
    """Ids and names: the products of which there are opportunities, and who looks after accounts."""

    products: tuple[tuple[int, str], ...]
    csms: tuple[tuple[int, str], ...]


def load_choices(session: Session, *, today: date) -> Choices:
    flagged = select(ExpansionOpportunity.product_id).distinct()
    version = (
        (ProductVersion.product_id == Product.id)
        & ProductVersion.superseded_change_id.is_(None)
        & valid_on(ProductVersion, today)
    )
    name = func.coalesce(ProductVersion.name, Product.sku)
    statement = select(Product.id, name).outerjoin(ProductVersion, version).where(Product.id.in_(flagged))
    products = session.execute(statement.order_by(name, Product.id))
    return Choices(tuple((row[0], row[1]) for row in products), list_csms(session))
