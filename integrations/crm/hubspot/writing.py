"""What is written back, each thing once: it carries its key, and is looked for before it is made.

HubSpot's search shows new things late, so it is not what is asked. Notes, tasks and deals are looked for among all
that the company is associated with, newest first; a deal also by a property with unique values, where the mapping
names one, with which HubSpot itself refuses a second.
"""

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from decimal import Decimal
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from integrations.crm.client import AccountFields, CrmError, NewLine, NewNote, NewOpportunity, NewTask, WriteBack
from integrations.crm.hubspot.wire import BATCH, Wire, results_of
from integrations.crm.mapping import CrmMapping

MORNING = time(9)  # when a task is due on its day

# HubSpot's numbers of what is associated with what.
_TO_COMPANY = {"notes": 190, "tasks": 192, "deals": 5}
_TO_DEAL = {"notes": 214, "line_items": 20}
_TEXT = {"notes": "hs_note_body", "tasks": "hs_task_body", "deals": "description"}


@dataclass(frozen=True, slots=True)
class Writing:
    wire: Wire
    mapping: CrmMapping
    zone: Callable[[], ZoneInfo]
    now: Callable[[], datetime]

    def write(self, what: WriteBack) -> str:
        item = what.item
        if isinstance(item, NewNote):
            return self._write_note(item, key=what.key)
        if isinstance(item, NewTask):
            return self._write_task(item, key=what.key)
        if isinstance(item, NewOpportunity):
            return self._write_opportunity(item, key=what.key)
        return self._write_fields(item)

    def _write_note(self, note: NewNote, *, key: str) -> str:
        if (there := self._find("notes", note.account, key=key)) is not None:
            return there
        links = [_link(note.account, _TO_COMPANY["notes"])]
        if note.deal is not None:
            links.append(_link(note.deal, _TO_DEAL["notes"]))
        properties = {"hs_timestamp": _instant(self.now()), "hs_note_body": _body(note.text, key=key)}
        return self.wire.create("notes", properties, links=links)

    def _write_task(self, task: NewTask, *, key: str) -> str:
        if (there := self._find("tasks", task.account, key=key)) is not None:
            return there
        due_on = task.due_on
        due_at = self.now() if due_on is None else datetime.combine(due_on, MORNING, tzinfo=self.zone())
        properties = {
            "hs_timestamp": _instant(due_at),
            "hs_task_subject": task.subject,
            "hs_task_body": _body(task.text, key=key),
            "hs_task_status": "NOT_STARTED",
            "hs_task_type": "TODO",
        }
        if task.owner is not None:
            properties["hubspot_owner_id"] = task.owner
        return self.wire.create("tasks", properties, links=[_link(task.account, _TO_COMPANY["tasks"])])

    def _write_opportunity(self, new: NewOpportunity, *, key: str) -> str:
        deal = self._find_deal(new.account, key=key)
        if deal is None:
            links = [_link(new.account, _TO_COMPANY["deals"])]
            deal = self.wire.create("deals", self._deal(new, key=key), links=links)
        if new.lines and not self.wire.links([deal], of="deals", to="line_items").get(deal):
            names = self._names(new.lines)
            lines = [_line(line, deal=deal, names=names) for line in new.lines]
            self.wire.create_batch("line_items", lines)  # all at once: it has all of them or none
        return deal

    def _deal(self, new: NewOpportunity, *, key: str) -> dict[str, str]:
        pipeline, stage = self._stage_of_new()
        words = [word for word, type_ in self.mapping.types.items() if type_ == "expansion"]
        properties = {
            "dealname": new.name,
            "pipeline": pipeline,
            "dealstage": stage,
            "dealtype": words[0] if words else None,
            "deal_currency_code": new.currency,
            "amount": None if new.amount is None else f"{new.amount:f}",
            "closedate": None if new.close_on is None else f"{new.close_on.isoformat()}T00:00:00Z",
            "hubspot_owner_id": new.owner,
            "description": f"{new.text}\n\n{_mark(key)}".strip(),
        }
        if (unique := self._key_property()) is not None:
            properties[unique] = key
        return {name: value for name, value in properties.items() if value is not None}

    def _stage_of_new(self) -> tuple[str, str]:
        """The mapping's, or the first stage of the first pipeline."""
        if (said := self.mapping.options.get("new_deal")) is not None:
            return str(said["pipeline"]), str(said["stage"])
        pipelines = results_of(self.wire.get(self.wire.path("pipelines", "deals")))
        for pipeline in sorted(pipelines, key=_order):
            for stage in sorted(results_of(pipeline, "stages"), key=_order):
                return str(pipeline.get("id")), str(stage.get("id"))
        raise CrmError("HubSpot has no pipeline for deals; name one in options.new_deal.")

    def _names(self, lines: Sequence[NewLine]) -> dict[str, str]:
        ids = list(dict.fromkeys(line.product for line in lines if line.product.isdecimal()))
        things = self.wire.read_batch("products", ids, properties=("name",))
        return {thing.id: thing.properties.get("name", thing.id) for thing in things}

    def _write_fields(self, fields: AccountFields) -> str:
        named = {self.mapping.account_fields.get(ours): value for ours, value in fields.values.items()}
        properties = {name: _text(value) for name, value in named.items() if name is not None}
        return self.wire.update("companies", fields.account, properties=properties) if properties else fields.account

    def _key_property(self) -> str | None:
        name: str | None = self.mapping.options.get("key_property", {}).get("opportunity")
        return name

    def _find_deal(self, account: str, *, key: str) -> str | None:
        if (unique := self._key_property()) is None:
            return self._find("deals", account, key=key)
        things = self.wire.read_batch("deals", [key], properties=(unique,), by=unique)
        return next((thing.id for thing in things), None)

    def _find(self, kind: str, account: str, *, key: str) -> str | None:
        """What carries the key among all of the company's; associations are there as soon as the thing is."""
        links = self.wire.links([account], of="companies", to=kind)
        ids = [link.id for own in links.values() for link in reversed(own)]
        for at in range(0, len(ids), BATCH):
            for thing in self.wire.read_batch(kind, ids[at : at + BATCH], properties=(_TEXT[kind],)):
                if _mark(key) in html.unescape(thing.properties.get(_TEXT[kind], "")):
                    return thing.id
        return None


def _mark(key: str) -> str:
    """How a key stands in a text that people read: between brackets, so that none is the beginning of another."""
    return f"[Tenure {quote(key, safe=':')}]"


def _body(text: str, *, key: str) -> str:
    """A text as HTML, which notes and tasks hold."""
    return html.escape(f"{text}\n\n{_mark(key)}").replace("\n", "<br>")


def _link(id_: str, number: int) -> Mapping[str, Any]:
    return {"to": {"id": id_}, "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": number}]}


def _line(line: NewLine, *, deal: str, names: Mapping[str, str]) -> dict[str, Any]:
    is_known = line.product in names
    properties = {
        "name": names.get(line.product, line.product),
        "hs_product_id": line.product if is_known else None,
        "quantity": f"{line.quantity:f}",
        "price": None if line.unit_price is None else f"{line.unit_price:f}",
    }
    return {
        "properties": {name: value for name, value in properties.items() if value is not None},
        "associations": [_link(deal, _TO_DEAL["line_items"])],
    }


def _order(thing: Mapping[str, Any]) -> int:
    order = thing.get("displayOrder")
    return order if isinstance(order, int) else 0


def _instant(at: datetime) -> str:
    return str(round(at.timestamp() * 1000))


def _text(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:f}" if isinstance(value, Decimal) else str(value)
