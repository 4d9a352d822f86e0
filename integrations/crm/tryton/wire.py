"""Tryton's REST route: its way of writing domains, dates and decimals, and its errors as ours.

Source: trytond 8.2, protocols/rest.py, protocols/jsonrpc.py and protocols/wrappers.py. What the user may not read is
left out of an answer without a word; a field that was asked for and does not come is therefore an error here.
"""

import base64
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from http import HTTPStatus
from typing import Any

from integrations.crm.client import CrmBusy, CrmError, CrmNonsense, CrmRefused
from integrations.crm.transport import Reply, Transport

Record = Mapping[str, Any]
Domain = list[Any]
_TAG = re.compile(r"<[^>]*>")
_PREFERENCES = "res.user/get_preferences"
_DATABASE = re.compile(r"[A-Za-z0-9_-]{1,63}")


def encode(value: Any) -> Any:
    """A value as Tryton's JSON has it; instants are naive there, and UTC."""
    if isinstance(value, datetime):
        naive = value.astimezone(UTC)
        clock = {name: getattr(naive, name) for name in ("hour", "minute", "second", "microsecond")}
        return {"__class__": "datetime", "year": naive.year, "month": naive.month, "day": naive.day, **clock}
    if isinstance(value, date):
        return {"__class__": "date", "year": value.year, "month": value.month, "day": value.day}
    if isinstance(value, Decimal):
        return {"__class__": "Decimal", "decimal": f"{value:f}"}
    if isinstance(value, Mapping):
        return {key: encode(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [encode(each) for each in value]
    return value


def decode(value: Any) -> Any:
    """The other way; CrmNonsense for a class that is not what it says."""
    if isinstance(value, list):
        return [decode(each) for each in value]
    if not isinstance(value, dict):
        return value
    kind = value.get("__class__")
    try:
        if kind == "Decimal":
            return Decimal(value["decimal"])
        if kind == "date":
            return date(value["year"], value["month"], value["day"])
        if kind == "datetime":
            names = ("year", "month", "day", "hour", "minute", "second", "microsecond")
            return datetime(**{name: value[name] for name in names}, tzinfo=UTC)
    except (KeyError, TypeError, ValueError, InvalidOperation):
        raise CrmNonsense(f"Tryton's answer has a {kind} that is none.") from None
    return {key: decode(each) for key, each in value.items()}


class Rest:
    """One user of one database. The user's own company and companies are asked for once, and sent along."""

    def __init__(self, transport: Transport, *, database: str, key: str) -> None:
        if not _DATABASE.fullmatch(database):
            raise CrmError("options.database: give the name of Tryton's database.")
        self._transport, self._base, self._key = transport, f"/{database}/rest/model", key
        self._context: dict[str, Any] | None = None

    @property
    def context(self) -> Mapping[str, Any]:
        """company, companies and employee of the user; CrmRefused where the user has no company."""
        if self._context is None:
            found = self._send("POST", _PREFERENCES, body={"context_only": True})
            if not isinstance(found, dict) or not found.get("company"):
                raise CrmRefused("The user of the key has no company in Tryton; choose one in the user's preferences.")
            self._context = {name: found.get(name) for name in ("company", "companies", "employee")}
        return self._context

    def search(
        self, model: str, domain: Domain, *, fields: Sequence[str], size: int | None = None
    ) -> list[dict[str, Any]]:
        """The records by their id, with the fields: dotted ones lead on, those of many come as lists."""
        query: dict[str, str | Sequence[str]] = {
            "d": _pack(domain),
            "o": _pack([["id", "ASC"]]),
            "f": list(fields),
        }
        if size is not None:
            query["s"] = str(size)
        found = self._send("GET", model, query=query)
        if not isinstance(found, list) or not all(isinstance(each, dict) and "id" in each for each in found):
            raise CrmNonsense(f"Tryton's answer is not a list of {model}.")
        for name in fields:
            if not all(_has(each, name.split(".")) for each in found):
                raise CrmRefused(f"Tryton does not show {name} of {model} to the user of the key; give it access.")
        return found

    def call(self, model: str, action: str, *, body: Mapping[str, Any]) -> Any:
        """An action that only reads."""
        return self._send("POST", f"{model}/{action}", body=body)

    def count(self, model: str, domain: Domain) -> int:
        found = self.call(model, "search_count", body={"domain": domain})
        if not isinstance(found, int):
            raise CrmNonsense("Tryton's answer is not a number.")
        return found

    def create(self, model: str, values: Mapping[str, Any]) -> str:
        """The id of the new record. It is not asked for twice: the first may have been done."""
        found = self._send("POST", model, body=values)
        if not isinstance(found, dict) or "id" not in found:
            raise CrmNonsense(f"Tryton does not say which {model} it made.")
        return str(found["id"])

    def update(self, model: str, id_: str, *, values: Mapping[str, Any]) -> None:
        self._send("PUT", f"{model}/{id_}", body=values)

    def ask_version(self) -> str:
        """The series of the server, such as 8.2, which needs no key. RPC errors come with status 200."""
        body = {"id": 0, "method": "common.server.version", "params": []}
        reply = self._transport.request("POST", "/rpc/", body=body)
        found = reply.json() if reply.is_success else {}
        return str(found.get("result", "")) if isinstance(found, dict) else ""

    def _send(
        self, method: str, path: str, *, query: Mapping[str, str | Sequence[str]] | None = None, body: Any = None
    ) -> Any:
        """An action is asked for twice if there was no answer, a new record never."""
        headers = {"Authorization": f"Bearer {self._key}"}
        if path != _PREFERENCES:
            headers["X-Tryton-Context"] = _pack(dict(self.context))
        reply = self._transport.request(
            method,
            f"{self._base}/{path}",
            query=query,
            body=None if body is None else encode(body),
            headers=headers,
            is_safe_to_repeat=method != "POST" or "/" in path,
        )
        if not reply.is_success:
            raise _error_of(reply)
        return None if reply.status == HTTPStatus.NO_CONTENT else decode(reply.json())


def _pack(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(encode(value)).encode()).decode("ascii")


def _has(record: Any, path: Sequence[str]) -> bool:
    """Whether what was asked for is there, empty or not."""
    if isinstance(record, list):
        return all(_has(each, path) for each in record)
    if not path or record is None:
        return True
    return isinstance(record, dict) and path[0] in record and _has(record[path[0]], path[1:])


def _error_of(reply: Reply) -> CrmError:
    answered, said = f"Tryton answered {reply.status}", _words(reply)
    if reply.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return CrmRefused(f"{answered}: the key is not valid for REST, or its user may not do that. {said}".strip())
    if reply.status in {HTTPStatus.LOCKED, HTTPStatus.CONFLICT, HTTPStatus.TOO_MANY_REQUESTS}:
        return CrmBusy(f"{answered}: somebody else is at it. {said}".strip())
    if reply.status == HTTPStatus.NOT_FOUND:
        return CrmError(f"{answered}: there is no such database, or no REST route; check options.database.")
    return CrmError(f"{answered}. {said}".strip())


def _words(reply: Reply) -> str:
    """What Tryton says of it, for the operator: no more than a line."""
    try:
        found = json.loads(reply.content)
    except ValueError:
        found = _TAG.sub(" ", reply.content[:2_000].decode("utf-8", "replace"))
    text = str(found.get("message", "")) if isinstance(found, dict) else str(found)
    return " ".join(text.split())[:300]
