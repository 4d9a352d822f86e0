"""A small HubSpot on loopback: its endpoints with their limits, and faults on demand. Its clock is set by the test."""

import contextlib
import json
import math
import operator
import re
import threading
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.integrations.crm.hubspot.records import Invalid, Record, Records

TOKEN = "pat-na1-s3cret-canary"
SECRET = {"client_id": "app", "client_secret": "client-s3cret-canary", "refresh_token": "refresh-s3cret-canary"}
SEARCH_RESULTS, SEARCH_PAGE, SEARCH_BODY = 10_000, 200, 3_000
SEARCHES_PER_SECOND = 5
LIST_PAGE, BATCH, ASSOCIATION_BATCH = 100, 100, 1000

_PATH = re.compile(r"/crm/(?:(?:v3|v4)/(?P<area>\w+)|(?P<dated>\w+)/[0-9]{4}-[0-9]{2})(?:/(?P<rest>.*))?")
_ABOUT_TIME = {"hs_lastmodifieddate", "lastmodifieddate", "createdate"}
_COMPARE = {
    "EQ": operator.eq,
    "GT": operator.gt,
    "GTE": operator.ge,
    "LT": operator.lt,
    "LTE": operator.le,
}

Answer = tuple[int, Any]


@dataclass(slots=True)
class Fault:
    """What the next requests whose path contains `where` are answered with; `status` None: cut in half."""

    where: str
    status: int | None
    body: bytes = b"<html>Bad gateway</html>"
    headers: dict[str, str] = field(default_factory=dict)
    is_after: bool = False  # what was asked for is done all the same


class FakeHubspot:
    def __init__(self) -> None:
        self.records = Records()
        self.tokens: dict[str, datetime | None] = {TOKEN: None}  # until when; None: for ever
        self.renewals = 0
        self.refresh_token, self.is_rotating = SECRET["refresh_token"], False  # rotating: each serves once
        self.owners: list[dict[str, Any]] = []
        self.zone = "America/New_York"
        self.pipelines: list[dict[str, Any]] = [_pipeline("default", "Sales", "")]
        self.fields: dict[str, list[dict[str, Any]]] = {}
        self.faults: list[Fault] = []
        self.asked: list[tuple[str, str]] = []
        self.headers: list[dict[str, str]] = []
        self.burst: int | None = None  # requests in ten seconds
        self.link_host = "https://api.hubapi.com"
        self.association_page = 500
        self._searches: deque[datetime] = deque()
        self._requests: deque[datetime] = deque()
        self.learn_stages()

    def learn_stages(self) -> None:
        self.records.stages = {
            stage["id"]: stage["metadata"]["state"] for pipeline in self.pipelines for stage in pipeline["stages"]
        }

    def add_pipeline(self, id_: str, label: str) -> None:
        self.pipelines.append(_pipeline(id_, label, f"{id_}-"))
        self.learn_stages()

    def wait(self, seconds: float) -> None:
        """For the client under test, which has nothing to wait for but this clock."""
        self.records.clock += timedelta(milliseconds=math.ceil(seconds * 1000))  # HubSpot has no finer instants

    def answer(self, method: str, url: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        parts = urlsplit(url)
        self.asked.append((method, parts.path))
        self.headers.append(headers)
        fault = next((each for each in self.faults if each.where in parts.path), None)
        if fault is not None:
            self.faults.remove(fault)
            if fault.status is not None and not fault.is_after:
                return fault.status, fault.headers, fault.body
        status, answer, more = self._allow(
            method, parts.path, {k: v[0] for k, v in parse_qs(parts.query).items()}, headers, body
        )
        told = json.dumps(answer).encode()
        if fault is not None:
            told = told[: len(told) // 2] if fault.status is None else fault.body
            status = fault.status or status
        return status, {"Content-Type": "application/json;charset=utf-8"} | more, told

    def _allow(
        self, method: str, path: str, query: dict[str, str], headers: dict[str, str], body: bytes
    ) -> tuple[int, Any, dict[str, str]]:
        if path.startswith("/oauth/"):
            return *self._authorize(path, body), {}
        token = headers.get("authorization", "").removeprefix("Bearer ")
        until = self.tokens.get(token, self.records.clock)
        if until is not None and until <= self.records.clock:
            return 401, _error("EXPIRED_AUTHENTICATION", "Authentication credentials not found or expired"), {}
        now, is_search = self.records.clock, path.endswith("/search")
        if is_search and not _takes(self._searches, now, most=SEARCHES_PER_SECOND, seconds=1):
            limited = _error("RATE_LIMITS", "You have reached your secondly limit.") | {"policyName": "SECONDLY"}
            return 429, limited, {}  # of searches, without the headers that say how much is left
        more = {}
        if self.burst is not None and not is_search:
            more = {"X-HubSpot-RateLimit-Max": str(self.burst), "X-HubSpot-RateLimit-Interval-Milliseconds": "10000"}
            if not _takes(self._requests, now, most=self.burst, seconds=10):
                limited = _error("RATE_LIMITS", "You have reached your ten_secondly_rolling limit.")
                return 429, limited | {"policyName": "TEN_SECONDLY_ROLLING"}, more
        try:
            return *self._route(method, path, query, body), more
        except Invalid as error:
            return 400, _error("VALIDATION_ERROR", str(error)), more

    def _authorize(self, path: str, body: bytes) -> Answer:
        if path == "/oauth/v2/private-apps/get/access-token-info":
            is_own = json.loads(body).get("tokenKey") == TOKEN
            return (
                (200, {"userId": 7, "appId": 99, "hubId": 4242, "scopes": []}) if is_own else (404, _error("X", "no"))
            )
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        if form != {"grant_type": "refresh_token", **SECRET, "refresh_token": self.refresh_token}:
            return 400, _error("BAD_REFRESH_TOKEN", "missing or invalid refresh token")
        self.renewals += 1
        if self.is_rotating:
            self.refresh_token = f"{SECRET['refresh_token']}-{self.renewals}"
        token = f"access-s3cret-canary-{self.renewals}"
        self.tokens[token] = self.records.clock + timedelta(minutes=30)
        return 200, {"access_token": token, "refresh_token": self.refresh_token, "expires_in": 1800}

    def _route(  # noqa: C901, PLR0911, PLR0912  a table of endpoints
        self, method: str, path: str, query: dict[str, str], body: bytes
    ) -> Answer:
        if path == "/account-info/v3/details":
            return 200, {"portalId": 4242, "timeZone": self.zone, "companyCurrency": "USD", "accountType": "STANDARD"}
        found = _PATH.fullmatch(path)
        if found is None:
            return 404, _error("OBJECT_NOT_FOUND", "no such path")
        rest = [unquote(part) for part in (found["rest"] or "").split("/")]
        given = json.loads(body) if body else {}
        match (method, found["area"] or found["dated"], *rest):
            case ("GET", "owners", *_):
                archived = query.get("archived", "false").lower() == "true"
                return 200, self._paged([each for each in self.owners if each["archived"] == archived], query, path)
            case ("GET", "pipelines", "deals"):
                return 200, {"results": self.pipelines}
            case ("GET", "properties", kind):
                return 200, {"results": self.fields.get(kind, [])}
            case ("POST", "associations", kind, other, "batch", "read"):
                return self._associations(kind, other, given)
            case ("POST", "objects", kind, "search"):
                if len(body) > SEARCH_BODY:
                    raise Invalid("the request is longer than 3000 characters")
                return 200, self._search(kind, given)
            case ("POST", "objects", kind, "batch", "read"):
                return self._batch(kind, given)
            case ("POST", "objects", kind, "batch", "create"):
                made = [self.records.create(kind, each["properties"], each["associations"]) for each in given["inputs"]]
                return 201, self._complete([_told(record, None) for record in made])
            case ("POST", "objects", kind, "merge"):
                record = self.records.merge(kind, int(given["primaryObjectId"]), int(given["objectIdToMerge"]))
                return 200, _told(record, None)
            case ("POST", "objects", kind):
                return 201, _told(self.records.create(kind, given["properties"], given.get("associations")), None)
            case ("GET", "objects", kind):
                return 200, self._list(kind, query, path)
            case ("GET" | "PATCH" | "DELETE", "objects", kind, id_):
                return self._one(method, kind, id_, query, given)
        return 404, _error("OBJECT_NOT_FOUND", "no such path")

    def _one(self, method: str, kind: str, id_: str, query: dict[str, str], given: dict[str, Any]) -> Answer:
        record = self.records.alive(kind, int(id_)) if id_.isdecimal() else None
        if record is None:
            return 404, _error("OBJECT_NOT_FOUND", "resource not found")
        if method == "DELETE":
            return 204, self.records.archive(kind, record.id)
        if method == "PATCH":
            self.records.update(kind, record.id, given["properties"])
        return 200, _told(record, query["properties"].split(",") if "properties" in query else None)

    def _list(self, kind: str, query: dict[str, str], path: str) -> dict[str, Any]:
        archived = query.get("archived", "false").lower() == "true"
        own = self.records.kinds[kind].values()
        things = [each for each in own if (each.archived_at is not None) == archived]
        names = query.get("properties", "").split(",")
        page = self._paged(things, query, path)
        return page | {"results": [_told(record, names) for record in page["results"]]}

    def _paged(self, things: list[Any], query: dict[str, str], path: str) -> dict[str, Any]:
        at, limit = int(query.get("after", 0)), int(query.get("limit", 10))
        if limit > LIST_PAGE:
            raise Invalid(f"a page has at most {LIST_PAGE}")
        page: dict[str, Any] = {"results": things[at : at + limit]}
        if at + limit < len(things):
            link = f"{self.link_host}{path}?after={at + limit}"
            page["paging"] = {"next": {"after": str(at + limit), "link": link}}
        return page

    def _search(self, kind: str, given: dict[str, Any]) -> dict[str, Any]:
        groups, sorts = given.get("filterGroups", []), given.get("sorts", [])
        limit, after = given.get("limit", 10), int(given.get("after") or 0)
        if len(sorts) > 1 or limit > SEARCH_PAGE or len(groups) > 1 or any(len(g["filters"]) > 6 for g in groups):
            raise Invalid("one sort, 200 results a page, one group of six filters")  # HubSpot knows more groups
        if after + limit > SEARCH_RESULTS:
            raise Invalid("no more than 10,000 results of a query")
        seen = self._matching(kind, groups[0]["filters"]) if groups else self._matching(kind, [])
        if sorts and sorts[0] != {"propertyName": "hs_object_id", "direction": "ASCENDING"}:  # as they are kept
            value = self._getter(sorts[0]["propertyName"])
            seen.sort(key=value, reverse=sorts[0].get("direction") == "DESCENDING")
        names = given.get("properties")
        results = [_told(each, names, self.records.in_index(each)) for each in seen[after : after + limit]]
        more = {"next": {"after": str(after + limit), "link": f"{self.link_host}/next"}}
        return {"total": len(seen), "results": results} | ({"paging": more} if after + limit < len(seen) else {})

    def _matching(self, kind: str, filters: list[dict[str, str]]) -> list[Record]:
        """In the order of ids; where a filter says beyond which, from there on."""
        records = list(self.records.kinds[kind].values())
        of_ids = [each for each in filters if (each["propertyName"], each["operator"]) == ("hs_object_id", "GT")]
        after = max((int(each["value"]) for each in of_ids), default=0)
        start = bisect_right(records, after, key=lambda record: record.id)
        tests = [self._test(each) for each in filters if each not in of_ids]
        seen = [each for each in records[start:] if each.archived_at is None]
        if self.records.index_lag:
            seen = [each for each in seen if self.records.in_index(each) is not None]
        for holds in tests:
            seen = [each for each in seen if holds(each)]
        return seen

    def _getter(self, name: str) -> Callable[[Record], Any]:
        if name == "hs_object_id":
            return lambda record: record.id
        if name == "createdate":
            return lambda record: record.created_at
        in_index = self.records.in_index
        if name in {"hs_lastmodifieddate", "lastmodifieddate"}:
            return lambda record: (in_index(record) or record.shown)[1]
        return lambda record: (in_index(record) or record.shown)[0].get(name, "")

    def _test(self, given: dict[str, str]) -> Callable[[Record], bool]:
        value, compare, text = self._getter(given["propertyName"]), _COMPARE.get(given["operator"]), given["value"]
        if compare is None:
            raise Invalid(f"operator {given['operator']}")
        wanted: Any = text
        if given["propertyName"] == "hs_object_id":
            wanted = int(text)
        elif given["propertyName"] in _ABOUT_TIME:
            wanted = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=int(text))
        return lambda record: bool(compare(value(record), wanted))

    def _batch(self, kind: str, given: dict[str, Any]) -> Answer:
        if len(given["inputs"]) > BATCH:
            raise Invalid(f"a batch has at most {BATCH}")
        found: dict[int, Record] = {}
        missing = []
        for each in given["inputs"]:
            id_, by = str(each["id"]), given.get("idProperty")
            number = int(id_) if id_.isdecimal() else 0
            record = self.records.find_unique(kind, by, id_) if by else self.records.alive(kind, number)
            if record is None:
                missing.append(id_)
            else:
                found[record.id] = record
        results = [_told(record, given.get("properties")) for record in found.values()]
        if not missing:
            return 200, self._complete(results)
        error = _part_of_error("Could not get some objects, they may be deleted or not exist", missing)
        return 207, self._complete(results) | {"numErrors": 1, "errors": [error]}

    def _complete(self, results: list[dict[str, Any]]) -> dict[str, Any]:
        at = _iso(self.records.clock)
        return {"status": "COMPLETE", "startedAt": at, "completedAt": at, "results": results}

    def _associations(self, kind: str, other: str, given: dict[str, Any]) -> Answer:
        if len(given["inputs"]) > ASSOCIATION_BATCH:
            raise Invalid(f"at most {ASSOCIATION_BATCH} inputs")
        results, errors = [], []
        for each in given["inputs"]:
            record = self.records.alive(kind, int(each["id"]))
            links = list(self.records.linked(kind, record.id, other).items()) if record is not None else []
            at, size = int(each.get("after") or 0), self.association_page
            to = [{"toObjectId": id_, "associationTypes": [_type(n) for n in sorted(ns)]} for id_, ns in links]
            if not to:
                errors.append(_part_of_error("No associations found", [str(each["id"])]))
                continue
            result: dict[str, Any] = {"from": {"id": str(each["id"])}, "to": to[at : at + size]}
            if at + size < len(to):
                result["paging"] = {"next": {"after": str(at + size), "link": f"{self.link_host}/next"}}
            results.append(result)
        told = self._complete(results)
        return (207, told | {"numErrors": len(errors), "errors": errors}) if errors else (200, told)


def _pipeline(id_: str, label: str, prefix: str) -> dict[str, Any]:
    at = {"createdAt": "2025-01-01T00:00:00Z", "updatedAt": "2025-01-01T00:00:00Z", "archived": False}
    stages = [
        {
            "id": f"{prefix}{name}",
            "label": name,
            "displayOrder": order,
            "writePermissions": "CRM_PERMISSIONS_ENFORCEMENT",
        }
        | {"metadata": {"isClosed": str(state != "open").lower(), "probability": odds, "state": state}}
        | at
        for order, (name, state, odds) in enumerate(
            [("appointmentscheduled", "open", "0.2"), ("closedwon", "won", "1.0"), ("closedlost", "lost", "0.0")]
        )
    ]
    return {"id": id_, "label": label, "displayOrder": 0, "stages": stages} | at


def _error(category: str, message: str) -> dict[str, Any]:
    return {"status": "error", "category": category, "message": message, "correlationId": "0-0-0"}


def _part_of_error(message: str, ids: list[str]) -> dict[str, Any]:
    """In an answer to several: what some of them were refused for."""
    told = {"status": "error", "category": "OBJECT_NOT_FOUND", "message": message}
    return told | {"context": {"ids": ids}, "errors": [], "links": {}}


def _type(number: int) -> dict[str, Any]:
    return {"category": "HUBSPOT_DEFINED", "typeId": number, "label": "Primary" if number in {1, 2, 5, 6} else None}


def _takes(taken: deque[datetime], now: datetime, *, most: int, seconds: int) -> bool:
    while taken and taken[0] <= now - timedelta(seconds=seconds):
        taken.popleft()
    if len(taken) >= most:
        return False
    taken.append(now)
    return True


def _told(
    record: Record, names: list[str] | None, shown: tuple[dict[str, str], datetime] | None = None
) -> dict[str, Any]:
    properties, modified_at = shown or record.shown
    created, modified = _iso(record.created_at), _iso(modified_at)
    all_of = properties | {"hs_object_id": str(record.id), "createdate": created}
    all_of |= {"hs_lastmodifieddate": modified, "lastmodifieddate": modified}
    wanted = {*names, "hs_object_id", "createdate", "hs_lastmodifieddate"} if names is not None else all_of
    told = {"id": str(record.id), "properties": {name: all_of.get(name) for name in wanted if name}}
    told |= {"createdAt": created, "updatedAt": modified, "archived": record.archived_at is not None}
    return told if record.archived_at is None else told | {"archivedAt": _iso(record.archived_at)}


def _iso(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one go
    fake: FakeHubspot
    lock: threading.Lock

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        with self.lock:
            status, more, told = self.fake.answer(self.command, self.path, headers, body)
        self.send_response(status)
        for name, value in more.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        if status != 204:
            self.wfile.write(told)
        self.wfile.flush()

    do_GET = do_POST = do_PATCH = do_DELETE = _serve  # noqa: N815  as the base class calls them

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  as the base class has it
        pass


@contextlib.contextmanager
def serving(fake: FakeHubspot) -> Iterator[str]:
    """The fake, listening; its URL."""
    handler = type("Handler", (_Handler,), {"fake": fake, "lock": threading.Lock()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
