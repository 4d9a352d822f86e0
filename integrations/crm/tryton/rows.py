"""Tryton's parties, contact mechanisms, employees and products as rows."""

from datetime import date
from decimal import Decimal

from integrations.crm.mapping import CrmMapping
from integrations.crm.tryton.values import day_at, number_at, text_at, value_at, whole_at
from integrations.crm.tryton.wire import Record
from integrations.files.rows import AccountRow, ContactRow, ProductRow, StaffRow

OF_A_COMPANY = ("segment", "industry", "country", "employees", "channel", "csm", "inside_sales")
OF_A_CONTACT = ("contact_role", "departed_on")
_PHONES = ("phone", "mobile")


def fields_of(mapping: CrmMapping, names: tuple[str, ...]) -> list[str]:
    """Tryton's fields that the mapping has for these of ours."""
    return [mapping.fields[name] for name in names if name in mapping.fields]


def account_row(party: Record, mapping: CrmMapping) -> AccountRow:
    of, id_ = mapping.fields, str(party["id"])
    return AccountRow(
        id_,
        text_at(party, "name") or text_at(party, "code") or id_,
        segment=text_at(party, of.get("segment")),
        industry=text_at(party, of.get("industry")),
        country=text_at(party, of.get("country", "addresses.country.code")),
        employees=whole_at(party, of.get("employees")),
        channel=text_at(party, of.get("channel")),
        csm=text_at(party, of.get("csm")),
        inside_sales=text_at(party, of.get("inside_sales")),
        available_on=day_at(party, "create_date"),
    )


def contact_row(mechanism: Record, mapping: CrmMapping) -> ContactRow:
    """A way to reach somebody at a party; one that names nobody is the party's own."""
    value = text_at(mechanism, "value")
    return ContactRow(
        str(mechanism["id"]),
        str(value_at(mechanism, "party")),
        text_at(mechanism, "name") or text_at(mechanism, "party.name") or value or "",
        email=value if mechanism["type"] == "email" else None,
        phone=value if mechanism["type"] in _PHONES else None,
        role=text_at(mechanism, mapping.fields.get("contact_role")),
        departed_on=day_at(mechanism, mapping.fields.get("departed_on")),
    )


def staff_row(employee: Record) -> StaffRow:
    """`end_date` is the last day of work."""
    id_, last_on = str(employee["id"]), day_at(employee, "end_date")
    return StaffRow(
        id_,
        text_at(employee, "party.name") or id_,
        email=text_at(employee, "party.email"),
        phone=text_at(employee, "party.phone"),
        departed_on=None if last_on is None or last_on == date.max else last_on,
    )


def product_row(product: Record, mapping: CrmMapping, *, currency: str | None) -> ProductRow:
    """A product variant; the price is the company's list price for one of its unit."""
    id_, price = str(product["id"]), number_at(product, "list_price_used")
    return ProductRow(
        id_,
        text_at(product, mapping.fields.get("sku", "code")) or id_,
        text_at(product, "template.name") or id_,
        is_recurring=is_unit_of_time(text_at(product, "template.default_uom.name"), mapping),
        price=None if currency is None else price,
        currency=None if price is None else currency,
        available_on=day_at(product, "create_date"),
    )


def is_unit_of_time(unit: str | None, mapping: CrmMapping) -> bool:
    return unit in mapping.options["term_months"] or unit in mapping.options["price_months"]


def plain_quantity(quantity: Decimal) -> Decimal:
    """3 for 3.0: Tryton keeps quantities as floats."""
    return Decimal(int(quantity)) if quantity == quantity.to_integral_value() else quantity
