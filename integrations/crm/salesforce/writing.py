"""What is written back, each once: a task, a note, an opportunity with its lines, fields of an account.

A note is a task that is done: it stands in the account's time line like one, needs no other permission, and can carry
a key of ours. A ContentNote takes two writes, can carry no key and cannot be searched, so that a write whose answer
was lost could not be found again.

What was written is known by an external id where the options name one (`key_field`), else by a mark at the end of its
description, looked for among what we wrote to the same account. What somebody has deleted since counts as written.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from integrations.crm.client import AccountFields, CrmError, NewNote, NewOpportunity, NewTask, WriteBack
from integrations.crm.mapping import CrmMapping
from integrations.crm.salesforce import soql
from integrations.crm.salesforce.prices import price_lines
from integrations.crm.salesforce.schema import Schema, decimal_at, text_at, value_at
from integrations.crm.salesforce.session import SalesforceError, Session

SUBJECT_CHARACTERS, NAME_CHARACTERS, TEXT_CHARACTERS = 255, 120, 30_000
TASK, OPPORTUNITY = "Task", "Opportunity"
_PARENT = {TASK: "WhatId", OPPORTUNITY: "AccountId"}


class Writer:
    def __init__(self, session: Session, *, schema: Schema, mapping: CrmMapping) -> None:
        self._session, self._schema, self._mapping = session, schema, mapping

    def write(self, what: WriteBack) -> str:
        """The id of what was written, now or before."""
        item = what.item
        if isinstance(item, AccountFields):
            return self._write_fields(item)
        sobject = OPPORTUNITY if isinstance(item, NewOpportunity) else TASK
        parent = item.deal or item.account if isinstance(item, NewNote) else item.account
        known = self._find(sobject, what.key, parent=parent)
        if known is not None:
            return known
        if isinstance(item, NewOpportunity):
            return self._create_opportunity(what.key, item)
        fields = self._note(item) if isinstance(item, NewNote) else self._task(item)
        return self._create_task(what.key, {"WhatId": parent, **fields})

    def _key_field(self, sobject: str) -> str | None:
        name = self._mapping.options.get("key_field")
        if name is not None and self._schema.find(sobject, name) is None:
            raise CrmError(f"{sobject} has no field {name}, by which what is written is known; or it is hidden.")
        return name

    def _find(self, sobject: str, key: str, *, parent: str) -> str | None:
        field = self._key_field(sobject)
        if field is not None:
            asked = soql.select(sobject, ("Id",), where=[soql.equals(field, key)], most=1)
            found = self._session.records(asked, with_deleted=True)
            return next((str(record["Id"]) for record in found), None)
        us = self._session.sign_in()
        by_us = [soql.equals("CreatedById", us)] if us else []
        asked = soql.select(sobject, ("Id", "Description"), where=[soql.equals(_PARENT[sobject], parent), *by_us])
        ours = self._session.records(asked, with_deleted=True)
        return next((str(each["Id"]) for each in ours if _marker(key) in (text_at(each, "Description") or "")), None)

    def _task(self, item: NewTask) -> dict[str, Any]:
        return {
            "Subject": _cut(item.subject, SUBJECT_CHARACTERS),
            "Description": item.text,
            "OwnerId": item.owner or self._account(item.account, ["OwnerId"])["OwnerId"],
            **({"ActivityDate": item.due_on.isoformat()} if item.due_on else {}),
        }

    def _note(self, item: NewNote) -> dict[str, Any]:
        statuses = self._session.records(soql.select("TaskStatus", ("ApiName", "IsClosed"), order="SortOrder"))
        done = next((text_at(each, "ApiName") for each in statuses if value_at(each, "IsClosed")), None)
        return {"Subject": _cut(item.text.strip().partition("\n")[0], 80), "Description": item.text, "Status": done}

    def _create_task(self, key: str, fields: Mapping[str, Any]) -> str:
        path, field = self._session.path(f"sobjects/{TASK}"), self._key_field(TASK)
        if field is None:
            body = {**fields, "Description": _marked(fields["Description"], key)}
            return _id_of(self._session.call("POST", path, body=body, is_safe_to_repeat=False))
        body = {**fields, "Description": _cut(fields["Description"], TEXT_CHARACTERS)}
        return _id_of(self._session.call("PATCH", f"{path}/{field}/{quote(key, safe='')}", body=body))

    def _create_opportunity(self, key: str, item: NewOpportunity) -> str:
        """With its lines, in one piece: Salesforce keeps all of a tree or nothing."""
        field = self._key_field(OPPORTUNITY)
        text = _marked(item.text, key) if field is None else _cut(item.text, TEXT_CHARACTERS)
        root = {
            "attributes": {"type": OPPORTUNITY, "referenceId": "deal"},
            **self._opportunity(item),
            "Description": text,
            **({field: key} if field else {}),
        }
        if item.lines:
            book, lines = price_lines(self._session, item, mapping=self._mapping, in_currency=self._has_currencies())
            root |= {"Pricebook2Id": book, "OpportunityLineItems": {"records": lines}}
        path = self._session.path(f"composite/tree/{OPPORTUNITY}")
        try:
            done = self._session.call("POST", path, body={"records": [root]}, is_safe_to_repeat=False)
        except SalesforceError as error:
            known = self._find(OPPORTUNITY, key, parent=item.account) if error.code == "DUPLICATE_VALUE" else None
            if known is None:
                raise
            return known
        results = done.get("results", []) if isinstance(done, dict) else []
        return _id_of(next((each for each in results if each.get("referenceId") == "deal"), None))

    def _opportunity(self, item: NewOpportunity) -> dict[str, Any]:
        own = self._mapping.currency
        if not self._has_currencies() and own is not None and item.currency != own:
            raise CrmError(f"This Salesforce keeps {own} alone; an opportunity in {item.currency} cannot be written.")
        amount = None if item.lines or item.amount is None else _number(item.amount)
        given = {
            "AccountId": item.account,
            "Name": _cut(item.name, NAME_CHARACTERS),
            "StageName": self._first_stage(),
            "Type": self._type(),
            "CloseDate": (item.close_on or self._session.today()).isoformat(),
            "OwnerId": item.owner or self._account(item.account, ["OwnerId"])["OwnerId"],
            "Amount": amount,
            "CurrencyIsoCode": item.currency if self._has_currencies() else None,
        }
        return {name: value for name, value in given.items() if value is not None}

    def _first_stage(self) -> str | None:
        if (named := self._mapping.options.get("new_stage")) is not None:
            return str(named)
        of_open = ["IsActive = true", "IsClosed = false"]
        asked = soql.select("OpportunityStage", ("ApiName",), where=of_open, order="SortOrder")
        return next((text_at(record, "ApiName") for record in self._session.records(asked)), None)

    def _type(self) -> str | None:
        """The company's word for an expansion, so that it is read as one when it is won."""
        path = self._mapping.options.get("type_field")
        field = self._schema.find(OPPORTUNITY, path) if path else None
        values = [each["value"] for each in (field or {}).get("picklistValues") or []]
        return next((value for value in values if self._mapping.types.get(value) == "expansion"), None)

    def _has_currencies(self) -> bool:
        return self._schema.has_currencies()

    def _account(self, account: str, columns: Sequence[str]) -> Mapping[str, Any]:
        asked = soql.select("Account", ("Id", *columns), where=[soql.equals("Id", account)])
        found = next(iter(self._session.records(asked)), None)
        if found is None:
            raise CrmError("The account is not there in Salesforce, or this user may not see it.")
        return found

    def _write_fields(self, item: AccountFields) -> str:
        """Only what is otherwise than it was: an account that is as it should be is not touched."""
        names = {ours: self._mapping.account_fields.get(ours) for ours in item.values}
        wanted = {field: item.values[ours] for ours, field in names.items() if field}
        if not wanted:
            return item.account
        money = names.get("ltv")
        currency = str(item.values.get("ltv_currency") or self._mapping.currency or "")
        columns = [*wanted, *(["CurrencyIsoCode"] if self._has_currencies() else [])]
        now = self._account(item.account, columns)
        own = text_at(now, "CurrencyIsoCode") or self._mapping.currency
        if money in wanted and currency and own is not None and own != currency:
            raise CrmError(f"The account is kept in {own}; a lifetime value in {currency} cannot stand there.")
        stale = {field: _plain(value) for field, value in wanted.items() if not _is_same(now, field, value=value)}
        if stale:
            path = self._session.path(f"sobjects/Account/{quote(item.account, safe='')}")
            self._session.call("PATCH", path, body=stale)
        return item.account


def _is_same(record: Mapping[str, Any], field: str, *, value: str | Decimal | date | None) -> bool:
    if isinstance(value, Decimal):
        return decimal_at(record, field) == value
    return text_at(record, field) == (value.isoformat() if isinstance(value, date) else value)


def _plain(value: str | Decimal | date | None) -> str | int | float | None:
    if isinstance(value, Decimal):
        return _number(value)
    return value.isoformat() if isinstance(value, date) else value


def _number(value: Decimal) -> int | float:
    """JSON has no decimals of its own; a float of up to 15 digits is written with the same ones."""
    return int(value) if value == value.to_integral_value() else float(value)


def _marker(key: str) -> str:
    return f"[Tenure {key}]"


def _marked(text: str, key: str) -> str:
    return f"{_cut(text, TEXT_CHARACTERS)}\n\n{_marker(key)}".lstrip()


def _cut(text: str, characters: int) -> str:
    return text if len(text) <= characters else f"{text[: characters - 1]}…"


def _id_of(answer: Any) -> str:
    found = answer.get("id") if isinstance(answer, dict) else None
    if not isinstance(found, str):
        raise CrmError("Salesforce does not say the id of what was written.")
    return found
