"""A HubSpot of any number of deals on loopback, in a process of its own: what it has is worked out, not kept.

Every fourth deal is open, the others are won with one to three lines; four deals to a company. It knows what the
adapter asks for when it reads, and no more.
"""

import json
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)  # when all of it was last modified
FIRST = {"deals": 10**10, "companies": 2 * 10**10, "line_items": 3 * 10**10, "products": 4 * 10**10, "contacts": 0}
PRODUCTS, OWNERS, LINES = 3, 20, 3
TYPES = ("newbusiness", "existingbusiness", "renewal", "existingbusiness")


class Company:
    """`touched` deals were modified later than the others, and cost a unit more."""

    def __init__(self, deals: int) -> None:
        self.counts = {"deals": deals, "companies": max(1, deals // 4), "products": PRODUCTS, "line_items": 0}
        self.touched: frozenset[int] = frozenset()
        self.touched_at = BEGIN

    def answer(self, path: str, *, query: dict[str, list[str]], body: dict[str, Any]) -> Any:
        is_archived = query.get("archived") == ["true"]
        match path.strip("/").split("/"):
            case ["touch"]:
                self.touched, self.touched_at = frozenset(body["deals"]), datetime.fromisoformat(body["at"])
                told: dict[str, Any] = {}
            case ["account-info", *_]:
                told = {"portalId": 1, "timeZone": "UTC", "companyCurrency": "USD"}
            case ["crm", _, "owners"]:
                told = {"results": [] if is_archived else [_owner(n) for n in range(OWNERS)]}
            case ["crm", _, "pipelines", _]:
                told = {"results": []}
            case ["crm", _, "objects", kind, "search"]:
                told = self._search(kind, body)
            case ["crm", _, "objects", kind, "batch", "read"]:
                told = {
                    "status": "COMPLETE",
                    "results": [self._thing(kind, int(each["id"])) for each in body["inputs"]],
                }
            case ["crm", _, "objects", kind]:
                told = self._list(kind, int(query.get("after", ["0"])[0]), is_archived=is_archived)
            case ["crm", _, "associations", "deals", other, "batch", "read"]:
                told = {
                    "status": "COMPLETE",
                    "results": [self._linked(int(each["id"]), other) for each in body["inputs"]],
                }
            case _:
                raise LookupError(path)
        return told

    def _search(self, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        filters = {each["operator"]: int(each["value"]) for each in body["filterGroups"][0]["filters"]}
        begins = int(BEGIN.timestamp() * 1000)
        first, beyond = FIRST[kind], filters.get("GT", 0)
        if filters.get("GTE", 0) <= begins:
            start = max(first, beyond + 1)
            left = max(0, first + self.counts.get(kind, 0) - start)
            ids: Sequence[int] = range(start, start + min(left, body["limit"]))
        else:
            later = sorted(id_ for id_ in self.touched if kind == "deals" and id_ > beyond)
            ids, left = later[: body["limit"]], len(later)
        return {"total": left, "results": [{"id": str(id_), "properties": {}} for id_ in ids]}

    def _list(self, kind: str, after: int, *, is_archived: bool) -> dict[str, Any]:
        count = 0 if is_archived else self.counts.get(kind, 0)
        ids = range(after, min(after + 100, count))
        page: dict[str, Any] = {"results": [_told(FIRST[kind] + n, {}, at=BEGIN) for n in ids]}
        return page | ({"paging": {"next": {"after": str(after + 100)}}} if after + 100 < count else {})

    def _thing(self, kind: str, id_: int) -> dict[str, Any]:
        number = id_ - FIRST[kind]
        if kind == "companies":
            told = {"name": f"Company {number}", "industry": "SOFTWARE", "country": "Japan", "numberofemployees": "120"}
            return _told(id_, told | {"createdate": "2020-01-01T00:00:00Z"}, at=BEGIN)
        if kind == "products":
            told = {"name": f"Product {number}", "recurringbillingfrequency": "annually", "hs_sku": f"SKU-{number}"}
            return _told(id_, told, at=BEGIN)
        if kind == "line_items":
            return _told(id_, self._line(number), at=BEGIN)
        return _told(id_, self._deal(number), at=self.touched_at if id_ in self.touched else BEGIN)

    def _deal(self, number: int) -> dict[str, str]:
        is_won = number % 4 != 0
        closed_on = date(2021, 1, 1) + timedelta(days=number * 1800 // self.counts["deals"])
        return {
            "dealname": f"Deal {number}",
            "dealstage": "closedwon" if is_won else "appointmentscheduled",
            "hs_is_closed": str(is_won).lower(),
            "hs_is_closed_won": str(is_won).lower(),
            "closedate": f"{closed_on}T12:00:00Z",
            "createdate": f"{closed_on - timedelta(days=60)}T12:00:00Z",
            "deal_currency_code": "USD",
            "dealtype": TYPES[number % 16 // 4],
            "hubspot_owner_id": str(1 + number % OWNERS),
            "hs_analytics_source": "PAID_SEARCH",
        }

    def _line(self, number: int) -> dict[str, str]:
        deal, position = divmod(number, LINES)
        is_touched = FIRST["deals"] + deal in self.touched
        return {
            "name": f"Product {position}",
            "price": f"{100 + deal % 50 + is_touched}.50",
            "quantity": str(1 + deal % 7),
            "hs_product_id": str(FIRST["products"] + position),
            "hs_line_item_currency_code": "USD",
            "recurringbillingfrequency": "annually",
            "hs_recurring_billing_period": "P12M",
        }

    def _linked(self, deal: int, kind: str) -> dict[str, Any]:
        number = deal - FIRST["deals"]
        if kind == "companies":
            others: Sequence[int] = [FIRST[kind] + number // 4 % self.counts["companies"]]
        else:
            first = FIRST[kind] + number * LINES
            others = range(first, first + 1 + number % LINES)
        type_ = {"category": "HUBSPOT_DEFINED", "typeId": 5 if kind == "companies" else 19}
        return {"from": {"id": str(deal)}, "to": [{"toObjectId": id_, "associationTypes": [type_]} for id_ in others]}


def _told(id_: int, properties: dict[str, str], *, at: datetime) -> dict[str, Any]:
    return {"id": str(id_), "properties": properties, "updatedAt": at.isoformat(), "archived": False}


def _owner(number: int) -> dict[str, Any]:
    return {"id": str(number + 1), "firstName": "Owner", "lastName": str(number), "updatedAt": BEGIN.isoformat()}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    company: Company

    def _serve(self) -> None:
        url = urlsplit(self.path)
        given = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        told = self.company.answer(url.path, query=parse_qs(url.query), body=json.loads(given) if given else {})
        content = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()

    do_GET = do_POST = _serve  # noqa: N815  as the base class calls them

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  as the base class has it
        pass


def main(deals: int) -> None:
    """Listen, and say on standard output where."""
    handler = type("CompanyHandler", (Handler,), {"company": Company(deals)})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]))
