"""Products, under the source's own keys, and what they cost when."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from sqlalchemy import insert
from sqlalchemy.orm import Session

from app.models.products import Product, ProductExternalId, ProductPrice, ProductVersion
from app.models.versions import Change
from app.queries.ids import find_products, find_products_by_sku
from app.services.history import ALWAYS, record_history
from app.services.sources import Recorded, Source
from app.services.versions import record_versions
from integrations.files.rows import ProductRow


def record_products(session: Session, change: Change, *, source: Source, rows: Sequence[ProductRow]) -> Recorded:
    """Record products. Several keys of the source may stand for one SKU; keys must be unique in `rows`."""
    by_sku = _open_products(session, change, skus=[row.sku for row in rows])
    names = [
        {
            "system": source.system,
            "external_id": row.id,
            "product_id": by_sku[row.sku],
            "available_at": source.available_at(row.valid_from or ALWAYS, row.available_on),
        }
        for row in rows
    ]
    outcome = record_versions(session, change, table=ProductExternalId, key=["system", "external_id"], rows=names)
    versions = [_attributes(row, product_id=by_sku[row.sku], source=source) for row in rows]
    along = record_history(session, change, table=ProductVersion, key=["product_id"], rows=versions)
    prices = [_price(row, product_id=by_sku[row.sku], source=source) for row in rows if row.price is not None]
    along += record_history(session, change, table=ProductPrice, key=["product_id", "currency"], rows=prices)
    return Recorded(outcome, along=along)


def ensure_products(
    session: Session, change: Change, *, source: Source, recurring: Mapping[str, bool]
) -> dict[str, int]:
    """The products of these keys; one that nobody has described is opened under its key, recurring or not.

    A deal line is never refused for its product. A key equal to a SKU already in use means that product.
    """
    known = find_products(session, source.system, ids=list(recurring))
    missing = [
        ProductRow(id=key, sku=key, name=key, is_recurring=recurring[key]) for key in recurring if key not in known
    ]
    if not missing:
        return known
    described = find_products_by_sku(session, [row.sku for row in missing])
    record_products(session, change, source=source, rows=[row for row in missing if row.sku not in described])
    shared = [
        {
            "system": source.system,
            "external_id": row.id,
            "product_id": described[row.sku],
            "available_at": source.available_at(ALWAYS),
        }
        for row in missing
        if row.sku in described
    ]
    record_versions(session, change, table=ProductExternalId, key=["system", "external_id"], rows=shared)
    return known | find_products(session, source.system, ids=[row.id for row in missing])


def _open_products(session: Session, change: Change, *, skus: Sequence[str]) -> dict[str, int]:
    known = find_products_by_sku(session, skus)
    missing = sorted(set(skus) - set(known))
    if not missing:
        return known
    opened = session.scalars(
        insert(Product).returning(Product.id, sort_by_parameter_order=True),
        [{"sku": sku, "change_id": change.id} for sku in missing],
    ).all()
    return known | dict(zip(missing, opened, strict=True))


def _attributes(row: ProductRow, *, product_id: int, source: Source) -> dict[str, object]:
    return {
        "product_id": product_id,
        "valid_from": row.valid_from or source.today,
        "valid_to": None,
        "name": row.name,
        "family": row.family,
        "plan": row.plan,
        "tier": row.tier,
        "is_recurring": row.is_recurring,
        "unit": row.unit,
        "available_at": source.available_at(row.valid_from or ALWAYS, row.available_on),
    }


def _price(row: ProductRow, *, product_id: int, source: Source) -> dict[str, object]:
    return {
        "product_id": product_id,
        "currency": row.currency,
        "amount": row.price,
        "valid_from": row.valid_from or source.today,
        "valid_to": row.valid_to + timedelta(days=1) if row.valid_to else None,
        "available_at": source.available_at(row.valid_from or ALWAYS, row.available_on),
    }
