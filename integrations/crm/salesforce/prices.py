"""The lines of an opportunity that is written: each needs its product's entry in a price book."""

from typing import Any

from integrations.crm.client import CrmError, NewOpportunity
from integrations.crm.mapping import CrmMapping
from integrations.crm.salesforce import soql
from integrations.crm.salesforce.schema import decimal_at
from integrations.crm.salesforce.session import Session


def price_lines(
    session: Session, item: NewOpportunity, *, mapping: CrmMapping, in_currency: bool
) -> tuple[str, list[dict[str, Any]]]:
    """The price book and the lines in it. CrmError where a product is not in it, in the opportunity's currency."""
    book = str(mapping.options.get("price_book") or _standard_book(session))
    conditions = [
        soql.equals("Pricebook2Id", book),
        "IsActive = true",
        f"Product2Id IN {soql.ids([line.product for line in item.lines])}",
        *([soql.equals("CurrencyIsoCode", item.currency)] if in_currency else []),
    ]
    asked = soql.select("PricebookEntry", ("Id", "Product2Id", "UnitPrice"), where=conditions)
    entries = {str(record["Product2Id"]): record for record in session.records(asked)}
    lines = []
    for position, line in enumerate(item.lines):
        entry = entries.get(line.product)
        if entry is None:
            raise CrmError(f"A product ({line.product}) is not in Salesforce's price book in {item.currency}.")
        price = line.unit_price if line.unit_price is not None else decimal_at(entry, "UnitPrice")
        lines.append(
            {
                "attributes": {"type": "OpportunityLineItem", "referenceId": f"line{position}"},
                "PricebookEntryId": entry["Id"],
                "Quantity": float(line.quantity),
                "UnitPrice": float(price or 0),
            }
        )
    return book, lines


def _standard_book(session: Session) -> str:
    asked = soql.select("Pricebook2", ("Id",), where=["IsStandard = true"], most=1)
    found = next((str(record["Id"]) for record in session.records(asked)), None)
    if found is None:
        raise CrmError("Salesforce has no standard price book that we may see; name one as `price_book`.")
    return found
