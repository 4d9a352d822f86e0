"""What is written back to Tryton. Each carries our key where people see it, and is looked for by it first.

A Tryton with sales alone has no tasks: one is a note, marked as something to do, that its readers find unread.
"""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from integrations.crm.client import AccountFields, CrmError, NewLine, NewNote, NewOpportunity, NewTask, WriteBack
from integrations.crm.mapping import CrmMapping
from integrations.crm.tryton.values import text_at, value_at
from integrations.crm.tryton.wire import Domain, Rest

OPPORTUNITY = "sale.opportunity"


def write(rest: Rest, mapping: CrmMapping, *, what: WriteBack) -> str:
    """The id of what is there by the key, or was written now."""
    match what.item:
        case NewNote(account, text, deal):
            resource = f"{OPPORTUNITY},{_number(deal)}" if deal else f"party.party,{_number(account)}"
            return _note(rest, resource, text=text, key=what.key)
        case NewTask() as task:
            resource = f"party.party,{_number(task.account)}"
            return _note(rest, resource, text=_task_text(rest, task), key=what.key)
        case NewOpportunity() as new:
            there = _find(rest, OPPORTUNITY, domain=[["reference", "=", what.key]])
            return there or rest.create(OPPORTUNITY, _opportunity(rest, new, key=what.key))
        case AccountFields(account, values):
            named = {name: value for name, value in values.items() if name in mapping.account_fields}
            _set_fields(rest, account, values={mapping.account_fields[name]: named[name] for name in named})
            return account


def _number(id_: str) -> int:
    if not id_.isdecimal():
        raise CrmError(f"{id_!r} is no id of Tryton's.")
    return int(id_)


def _find(rest: Rest, model: str, *, domain: Domain) -> str | None:
    found = rest.search(model, domain, fields=(), size=1)
    return str(found[0]["id"]) if found else None


def _note(rest: Rest, resource: str, *, text: str, key: str) -> str:
    mark = f"[{key}]"
    pattern = "".join(f"\\{each}" if each in "\\%_" else each for each in mark)
    there = _find(rest, "ir.note", domain=[["resource", "=", resource], ["message", "like", f"%{pattern}"]])
    return there or rest.create("ir.note", {"resource": resource, "message": f"{text}\n\n{mark}"})


def _task_text(rest: Rest, task: NewTask) -> str:
    due = f" by {task.due_on}" if task.due_on else ""
    owner = ""
    if task.owner:
        found = rest.search("company.employee", [["id", "=", _number(task.owner)]], fields=("party.name",))
        owner = f" ({text_at(found[0], 'party.name')})" if found else ""
    return f"To do{due}{owner}: {task.subject}\n{task.text}".strip()


def _opportunity(rest: Rest, new: NewOpportunity, *, key: str) -> dict[str, Any]:
    """A lead: whoever owns it makes an opportunity of it. Its lines have no prices in Tryton, its amount says them."""
    currency = _find(rest, "currency.currency", domain=[["code", "=", new.currency]])
    if currency is None:
        raise CrmError(f"Tryton has no currency {new.currency}.")
    values: dict[str, Any] = {
        "party": _number(new.account),
        "company": rest.context["company"],
        "reference": key,
        "description": new.name,
        "comment": new.text,
        "currency": int(currency),
        "amount": new.amount if new.amount is not None else _amount(new.lines),
        "end_date": new.close_on,
        "lines": [["create", [_line(rest, line) for line in new.lines]]] if new.lines else [],
    }
    return values | ({"employee": _number(new.owner)} if new.owner else {})


def _amount(lines: tuple[NewLine, ...]) -> Decimal | None:
    prices = [line.quantity * line.unit_price for line in lines if line.unit_price is not None]
    return sum(prices, Decimal(0)) if lines and len(prices) == len(lines) else None


def _line(rest: Rest, line: NewLine) -> dict[str, Any]:
    product = _number(line.product)
    found = rest.search("product.product", [["id", "=", product]], fields=("template.sale_uom", "template.name"))
    if not found:
        raise CrmError(f"Tryton has no product {line.product}.")
    return {
        "product": product,
        "unit": value_at(found[0], "template.sale_uom"),
        "quantity": float(line.quantity),
        "description": text_at(found[0], "template.name"),
    }


def _set_fields(rest: Rest, account: str, *, values: Mapping[str, str | Decimal | date | None]) -> None:
    """Nothing is written where all of it is there already."""
    if not values:
        return
    found = rest.search("party.party", [["id", "=", _number(account)]], fields=tuple(values))
    if not found:
        raise CrmError(f"Tryton has no party {account}.")
    if news := {name: value for name, value in values.items() if found[0][name] != value}:
        rest.update("party.party", account, values=news)
