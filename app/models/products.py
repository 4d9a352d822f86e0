"""Products, what they were called and what they cost, over time."""

from decimal import Decimal

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base
from app.models.versions import DatedVersion, ExactDecimal, Recorded, Version, current_version_index


class Product(Recorded, Base):
    __tablename__ = "products"

    sku: Mapped[str] = mapped_column(String(200), unique=True)


class ProductVersion(DatedVersion, Base):
    __tablename__ = "product_versions"

    product_id: Mapped[int] = mapped_column(ForeignKey("products.id"), index=True)
    name: Mapped[str] = mapped_column(String(300))
    family: Mapped[str | None] = mapped_column(String(200))
    plan: Mapped[str | None] = mapped_column(String(100))
    tier: Mapped[int | None]
    is_recurring: Mapped[bool]
    unit: Mapped[str] = mapped_column(String(20), default="flat")  # flat, seat, metered

    __table_args__ = (current_version_index("uq_product_versions_current", "product_id", "valid_from"),)


class ProductExternalId(Version, Base):
    """A product's key in another system: many to one."""

    __tablename__ = "product_external_ids"

    system: Mapped[str] = mapped_column(String(100))
    external_id: Mapped[str] = mapped_column(String(200))
    product_id: Mapped[int] = mapped_column(ForeignKey("products.id"), index=True)

    __table_args__ = (current_version_index("uq_product_external_ids_current", "system", "external_id"),)


class ProductPrice(DatedVersion, Base):
    """A list price and the days it was valid: reported, never a reason to refuse a deal line."""

    __tablename__ = "product_prices"

    product_id: Mapped[int] = mapped_column(ForeignKey("products.id"))
    currency: Mapped[str] = mapped_column(String(3))
    amount: Mapped[Decimal] = mapped_column(ExactDecimal)

    __table_args__ = (current_version_index("uq_product_prices_current", "product_id", "currency", "valid_from"),)
