"""Companies, people and products as Salesforce has them, as rows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import TypeVar

from integrations.crm.client import Noun
from integrations.crm.mapping import CrmMapping
from integrations.crm.salesforce.schema import day_at, text_at, value_at, whole_at
from integrations.crm.salesforce.session import Record
from integrations.files.rows import AccountRow, ContactRow, ProductRow, StaffRow

Value = TypeVar("Value")
KEPT = ("Id", "SystemModstamp")


@dataclass(frozen=True, slots=True)
class Table:
    """Where a noun is: its object, what it cannot do without, what it takes where it is to be seen."""

    sobject: str
    needed: tuple[str, ...]
    wanted: tuple[str, ...] = ()
    ours: tuple[str, ...] = ()  # the mapping's names of fields that are the company's own
    options: tuple[str, ...] = ()  # and those that the mapping's options name
    where: tuple[str, ...] = ()


TABLES: Mapping[Noun, Table] = {
    # Others than these two are Salesforce's own robots, and the company's customers where it has a portal.
    Noun.OWNER: Table(
        "User",
        (*KEPT, "Name", "IsActive", "LastModifiedDate"),
        ("Email", "Phone", "Title"),
        where=("UserType IN ('Standard', 'PowerPartner')",),
    ),
    Noun.COMPANY: Table(
        "Account",
        (*KEPT, "IsDeleted", "MasterRecordId", "Name", "OwnerId"),
        ("ParentId",),
        ("segment", "industry", "country", "employees", "channel", "csm", "inside_sales"),
    ),
    Noun.CONTACT: Table(
        "Contact",
        (*KEPT, "IsDeleted", "MasterRecordId", "Name", "AccountId"),
        ("Email", "Phone"),
        ("contact_role", "departed_on"),
    ),
    Noun.PRODUCT: Table("Product2", (*KEPT, "IsDeleted", "Name"), ("Family",), ("sku",)),
    Noun.DEAL: Table(
        "Opportunity",
        (
            *KEPT,
            *("IsDeleted", "Name", "AccountId", "OwnerId", "StageName", "IsWon", "IsClosed"),
            *("CloseDate", "CreatedDate", "Amount"),
        ),
        (),
        (
            *("lead_source", "campaign", "partner", "renewal_of", "supersedes", "starts_on", "ends_on"),
            *("term_months", "notice_days", "non_cancellable", "billing_period_months", "cancels_on", "cancel_cause"),
        ),
        ("type_field",),
    ),
}
LINES = Table(
    "OpportunityLineItem",
    (*KEPT, "IsDeleted", "Product2Id", "Quantity", "UnitPrice", "TotalPrice"),
    (),
    ("line_kind", "line_starts_on", "line_ends_on", "line_term_months", "discount"),
    ("price_period",),
)
PRODUCT = "Product2."


def own_fields(table: Table, mapping: CrmMapping) -> list[str]:
    """The paths that the mapping names for a table."""
    named = [mapping.fields[name] for name in table.ours if mapping.fields.get(name)]
    named += [mapping.options[name] for name in table.options if mapping.options.get(name)]
    kind = mapping.fields.get("line_kind", "")
    return [*named, kind.removeprefix(PRODUCT)] if table.sobject == "Product2" and kind.startswith(PRODUCT) else named


def or_none(read: Callable[[], Value]) -> Value | None:
    """What was read; None where something else stands there."""
    try:
        return read()
    except ValueError:
        return None


def staff_row(record: Record, _mapping: CrmMapping) -> StaffRow:
    """Who is not active any more left on the day of the last change: Salesforce keeps no other."""
    has_left = value_at(record, "IsActive") is False
    return StaffRow(
        id=str(record["Id"]),
        name=text_at(record, "Name") or str(record["Id"]),
        email=text_at(record, "Email"),
        phone=text_at(record, "Phone"),
        role=text_at(record, "Title"),
        departed_on=day_at(record, "LastModifiedDate") if has_left else None,
    )


def account_row(record: Record, mapping: CrmMapping) -> AccountRow:
    field = mapping.fields.get
    return AccountRow(
        id=str(record["Id"]),
        name=text_at(record, "Name") or str(record["Id"]),
        segment=text_at(record, field("segment")),
        industry=text_at(record, field("industry")),
        country=text_at(record, field("country")),
        employees=or_none(lambda: whole_at(record, field("employees"))),
        channel=text_at(record, field("channel")),
        parent=text_at(record, "ParentId"),
        csm=text_at(record, field("csm")),
        account_owner=text_at(record, "OwnerId"),
        inside_sales=text_at(record, field("inside_sales")),
    )


def contact_row(record: Record, mapping: CrmMapping) -> ContactRow | None:
    """None for a person at no company."""
    account = text_at(record, "AccountId")
    if account is None:
        return None
    departed_on: date | None = or_none(lambda: day_at(record, mapping.fields.get("departed_on")))
    return ContactRow(
        id=str(record["Id"]),
        account=account,
        name=text_at(record, "Name") or str(record["Id"]),
        email=text_at(record, "Email"),
        phone=text_at(record, "Phone"),
        role=text_at(record, mapping.fields.get("contact_role")),
        departed_on=departed_on,
    )


def product_row(record: Record, mapping: CrmMapping) -> ProductRow:
    """Whether it recurs is said where the mapping reads a line's kind off the product."""
    kind_path = mapping.fields.get("line_kind", "")
    said = text_at(record, kind_path.removeprefix(PRODUCT)) if kind_path.startswith(PRODUCT) else None
    kind = mapping.line_kinds.get(said or "", mapping.options.get("line_kind", "recurring"))
    return ProductRow(
        id=str(record["Id"]),
        sku=text_at(record, mapping.fields.get("sku")) or str(record["Id"]),
        name=text_at(record, "Name") or str(record["Id"]),
        family=text_at(record, "Family"),
        is_recurring=kind == "recurring",
    )
