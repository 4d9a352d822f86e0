"""The fake Salesforce's doors: signing in, queries and their pages, descriptions, records; with limits and faults.

Source of each answer's form: Salesforce's REST API and OAuth documentation.
"""

import base64
import contextlib
import json
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.integrations.crm.salesforce.org import Org
from tests.integrations.crm.salesforce.query import Query, Refused, look, read
from tests.integrations.crm.salesforce.shape import BELOW, SHAPE, describe

CURSORS_A_USER = 10
TOKEN_LIFE = timedelta(hours=2)
STATUS = {"NOT_FOUND": 404, "METHOD_NOT_ALLOWED": 405, "INVALID_SESSION_ID": 401, "REQUEST_LIMIT_EXCEEDED": 403}
_KINDS = {  # what a field may be compared with
    **dict.fromkeys(("string", "picklist", "reference", "id"), "text"),
    **dict.fromkeys(("double", "currency", "percent", "int"), "number"),
    "datetime": "instant",
    "date": "day",
    "boolean": "boolean",
}


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Cursor:
    query: Query
    records: list["View"]


class Server:
    """One company's Salesforce on loopback. `fault` may answer in its stead; `asked` is what came."""

    def __init__(self, org: Org, *, rows_a_page: int = 2_000, lines_a_page: int = 200) -> None:
        self.org, self.rows_a_page, self.lines_a_page = org, rows_a_page, lines_a_page
        self.tokens: dict[str, datetime] = {}
        self.clients: dict[str, rsa.RSAPublicKey] = {}
        self.refresh_tokens: set[tuple[str, str]] = set()
        self.sign_ins = 0
        self.is_rotating = False  # a refresh token serves once, and brings the next
        self.daily_limit, self.used = 15_000, 0
        self.asked: list[Asked] = []
        self.fault: Callable[[Asked], Answer | None] = lambda _asked: None
        self.cursors: dict[str, Cursor] = {}
        self.url = ""

    def expire_tokens(self) -> None:
        self.tokens.clear()

    def answer(self, asked: Asked) -> Answer:
        with self.org.lock:
            self.asked.append(asked)
            if (faulty := self.fault(asked)) is not None:
                return faulty
            try:
                return self._route(asked)
            except Refused as refused:
                return Answer(STATUS.get(refused.code, 400), [{"errorCode": refused.code, "message": str(refused)}])

    def _route(self, asked: Asked) -> Answer:
        if asked.path == "/services/oauth2/token":
            return self._sign_in(dict(parse_qsl(asked.body.decode())))
        token = asked.headers.get("authorization", "").removeprefix("Bearer ")
        if self.tokens.get(token, datetime.min.replace(tzinfo=UTC)) <= self.org.clock:
            raise Refused("INVALID_SESSION_ID", "Session expired or invalid")
        self.used += 1
        if self.used > self.daily_limit:
            raise Refused("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
        _, services, data, version, *rest = asked.path.rstrip("/").split("/")
        if (services, data) != ("services", "data") or not version.startswith("v"):
            raise Refused("NOT_FOUND", "The requested resource does not exist")
        answer = self._data(asked, version, [unquote(part) for part in rest])
        usage = {"Sforce-Limit-Info": f"api-usage={self.used}/{self.daily_limit}"}
        return Answer(answer.status, answer.body, {**usage, **answer.headers})

    def _data(self, asked: Asked, version: str, rest: Sequence[str]) -> Answer:
        match [asked.method, *rest]:
            case ["GET", ("query" | "queryAll") as door]:
                return self._query(asked, version, with_deleted=door == "queryAll")
            case ["GET", ("query" | "queryAll"), cursor]:
                return self._page(cursor, version, size=self._size(asked))
            case ["GET", "sobjects", sobject, "describe"] if sobject in SHAPE:
                return Answer(200, describe(sobject, fields=self.org.fields(sobject)))
            case ["GET", "sobjects", sobject, id_] if sobject in SHAPE:
                query = Query(sobject, fields=list(self.org.fields(sobject)))
                return Answer(200, self._shown(query, View(self.org, sobject, self.org.get(sobject, id_)), version))
        return self._change(asked, rest)

    def _change(self, asked: Asked, rest: Sequence[str]) -> Answer:
        body = json.loads(asked.body) if asked.body else {}
        match [asked.method, *rest]:
            case ["POST", "composite", "tree", sobject] if sobject in SHAPE:
                return self._tree(sobject, body)
            case ["POST", "sobjects", sobject] if sobject in SHAPE:
                id_ = self.org.create(sobject, **self.org.read_body(sobject, body))
                return Answer(201, {"id": id_, "success": True, "errors": []})
            case ["PATCH", "sobjects", sobject, id_] if sobject in SHAPE:
                self.org.update(sobject, id_, **self.org.read_body(sobject, body))
                return Answer(204)
            case ["PATCH", "sobjects", sobject, name, value] if sobject in SHAPE:
                return self._upsert(sobject, {**body, name: value}, name=name)
            case ["DELETE", "sobjects", sobject, id_] if sobject in SHAPE:
                self.org.delete(sobject, id_)
                return Answer(204)
        raise Refused("NOT_FOUND", "The requested resource does not exist")

    # Signing in

    def _sign_in(self, form: Mapping[str, str]) -> Answer:
        match form.get("grant_type"):
            case "refresh_token":
                is_known = (form.get("client_id", ""), form.get("refresh_token", "")) in self.refresh_tokens
            case "urn:ietf:params:oauth:grant-type:jwt-bearer":
                is_known = self._is_signed(form.get("assertion", ""))
            case _:
                return Answer(400, {"error": "unsupported_grant_type", "error_description": "grant type not supported"})
        if not is_known:
            return Answer(400, {"error": "invalid_grant", "error_description": "expired access/refresh token"})
        following = {}
        if self.is_rotating and (spent := form.get("refresh_token")):
            following = {"refresh_token": f"{spent}+"}
            self.refresh_tokens.discard((form["client_id"], spent))
            self.refresh_tokens.add((form["client_id"], f"{spent}+"))
        return Answer(200, self.let_in() | following)

    def let_in(self) -> dict[str, str]:
        self.sign_ins += 1
        token = f"00D!token{self.sign_ins}"
        self.tokens[token] = self.org.clock + TOKEN_LIFE
        company = next(iter(self.org.tables["Organization"]))
        return {
            "access_token": token,
            "instance_url": self.url,
            "id": f"https://login.salesforce.com/id/{company}/{self.org.user}",
            "token_type": "Bearer",
        }

    def _is_signed(self, assertion: str) -> bool:
        head, claims, signature = assertion.split(".")
        said = json.loads(_unpad(claims))
        key = self.clients.get(said["iss"])
        user = self.org.get("User", self.org.user)["Username"]
        expires_at = int(said["exp"])
        is_fresh = self.org.clock.timestamp() < expires_at <= self.org.clock.timestamp() + 300
        if key is None or said["sub"] != user or said["aud"] != "https://login.salesforce.com" or not is_fresh:
            return False
        try:
            key.verify(_unpad(signature), f"{head}.{claims}".encode(), padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            return False
        return True

    # Queries

    def _size(self, asked: Asked) -> int:
        said = asked.headers.get("sforce-query-options", "").removeprefix("batchSize=")
        return min(self.rows_a_page, max(200, int(said)) if said.isdigit() else 2_000)

    def _query(self, asked: Asked, version: str, *, with_deleted: bool) -> Answer:
        query = read(asked.query.get("q", ""))
        self._check(query, query.sobject)
        records = query.choose(self._views(query.sobject, with_deleted=with_deleted))
        if query.is_count:
            return Answer(200, {"totalSize": len(records), "done": True, "records": []})
        for name, below in query.below.items():
            sobject, link = BELOW[name]
            lines = defaultdict(list)
            for line in self._views(sobject, with_deleted=with_deleted):
                lines[line[link]].append(line)
            for record in records:
                record.extra[name] = below.choose(lines[record["Id"]])
        return self._page(f"{self._open(query, records)}-0", version, size=self._size(asked))

    def _open(self, query: Query, records: Sequence["View"]) -> str:
        name = f"01g{len(self.asked):06d}{len(self.cursors):06d}"
        self.cursors[name] = Cursor(query, list(records))
        return name

    def _page(self, cursor: str, version: str, *, size: int) -> Answer:
        """A page of a query; a user has ten queries open, and the oldest is forgotten first."""
        name, _, start = cursor.rpartition("-")
        if name not in self.cursors:
            raise Refused("INVALID_QUERY_LOCATOR", "invalid query locator")
        opened = self.cursors[name]
        body = self._body(opened, name, int(start), version=version, size=size)
        if body["done"]:
            del self.cursors[name]
        while len(self.cursors) > CURSORS_A_USER:
            del self.cursors[next(iter(self.cursors))]
        return Answer(200, body)

    def _body(self, opened: Cursor, name: str, start: int, *, version: str, size: int) -> dict[str, Any]:
        for record in opened.records[start : start + size]:
            record.renew()
        records = opened.records[start : start + size]
        is_done = start + size >= len(opened.records)
        link = {} if is_done else {"nextRecordsUrl": f"/services/data/{version}/query/{name}-{start + size}"}
        shown = [self._shown(opened.query, record, version) for record in records]
        return {"totalSize": len(opened.records), "done": is_done, **link, "records": shown}

    def _shown(self, query: Query, record: "View", version: str) -> dict[str, Any]:
        url = f"/services/data/{version}/sobjects/{query.sobject}/{record['Id']}"
        shown: dict[str, Any] = {"attributes": {"type": query.sobject, "url": url}}
        for path in query.fields:
            first, _, rest = path.partition(".")
            if rest:
                shown[first] = None if look(record, first) is None else {rest: _plain(look(record, path))}
            else:
                shown[path] = _plain(record[path])
        for name, below in query.below.items():
            lines = record.extra[name]
            if lines and len(lines) > self.lines_a_page:
                cursor = self._open(below, lines)
                shown[name] = self._body(self.cursors[cursor], cursor, 0, version=version, size=self.lines_a_page)
            else:
                own = [self._shown(below, line, version) for line in lines]
                shown[name] = {"totalSize": len(own), "done": True, "records": own} if own else None
        return shown

    def _views(self, sobject: str, *, with_deleted: bool) -> Iterator["View"]:
        for values in self.org.visible(sobject):
            if with_deleted or not values.get("IsDeleted"):
                yield View(self.org, sobject, values)

    def _check(self, query: Query, sobject: str) -> None:
        if sobject not in SHAPE:
            raise Refused("INVALID_TYPE", f"sObject type '{sobject}' is not supported.")
        for path in (*query.fields, *(name for name, _ in query.order)):
            self._kind(sobject, path)
        for path, kind in query.paths:
            if _KINDS.get(self._kind(sobject, path)) != kind:
                raise Refused("INVALID_FIELD", f"field {path} can not be filtered by a value of type {kind}")
        for name, below in query.below.items():
            if name not in BELOW:
                raise Refused("INVALID_TYPE", f"Didn't understand relationship '{name}' in FROM part of query call.")
            self._check(below, BELOW[name][0])

    def _kind(self, sobject: str, path: str) -> str:
        first, _, rest = path.partition(".")
        fields = self.org.fields(sobject)
        if not rest and first in fields:
            return fields[first].type
        for each in fields.values():
            if rest and each.link and each.link[0] == first:
                return self._kind(each.link[1], rest)
        raise Refused("INVALID_FIELD", f"No such column '{first}' on entity '{sobject}'.")

    # Records

    def _upsert(self, sobject: str, body: Mapping[str, Any], *, name: str) -> Answer:
        if not (self.org.fields(sobject).get(name) or SHAPE[sobject]["Id"]).is_key:
            raise Refused("NOT_FOUND", "Provided external ID field does not exist or is not accessible")
        known = self.org.find_key(sobject, name, body[name])
        values = self.org.read_body(sobject, body)
        if known is None:
            return Answer(201, {"id": self.org.create(sobject, **values), "success": True, "errors": []})
        self.org.update(sobject, known, **values)
        return Answer(200, {"id": known, "success": True, "errors": [], "created": False})

    def _tree(self, sobject: str, body: Mapping[str, Any]) -> Answer:
        """All of it or nothing: each part is read before any is written."""
        results = []
        planned: list[tuple[str, dict[str, Any], str, str | None]] = []
        for root in body["records"]:
            above = root["attributes"]["referenceId"]
            own = {name: value for name, value in root.items() if name != "attributes" and name not in BELOW}
            planned.append((sobject, self.org.read_body(sobject, own), above, None))
            for name, (below, link) in BELOW.items():
                for line in root.get(name, {}).get("records", []):
                    mine = {key: value for key, value in line.items() if key != "attributes"}
                    planned.append((below, self.org.read_body(below, mine), line["attributes"]["referenceId"], link))
        made: dict[str, str] = {}
        for name, values, reference, link in planned:
            if link is not None:
                values = {**values, link: made["above"], **self._currency_of(made["above"])}  # noqa: PLW2901
            id_ = self.org.create(name, **values)
            if link is None:
                made["above"] = id_
            results.append({"referenceId": reference, "id": id_})
        return Answer(201, {"hasErrors": False, "results": results})

    def _currency_of(self, deal: str) -> dict[str, str]:
        own = self.org.get("Opportunity", deal).get("CurrencyIsoCode")
        return {"CurrencyIsoCode": own} if own else {}


class View(Mapping[str, Any]):
    """A record, with those that it refers to."""

    def __init__(self, org: Org, sobject: str, values: Mapping[str, Any]) -> None:
        self.org, self.sobject, self.values_of = org, sobject, values
        self.extra: dict[str, list[View]] = {}

    def renew(self) -> None:
        """A page shows its records as they are when it is asked for, not as they were when the query was."""
        self.values_of = self.org.shown(self.sobject, self.values_of["Id"]) or self.values_of

    def __getitem__(self, name: str) -> Any:
        if name in self.values_of:
            return self.values_of[name]
        for column, kind in self.org.fields(self.sobject).items():
            if kind.link and kind.link[0] == name:
                id_ = self.values_of[column]
                return None if id_ is None else View(self.org, kind.link[1], self.org.get(kind.link[1], id_))
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_of)

    def __len__(self) -> int:
        return len(self.values_of)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%S}.{value.microsecond // 1000:03d}+0000"
    if isinstance(value, date):
        return value.isoformat()
    return float(value) if isinstance(value, Decimal) else value


def _unpad(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


@contextlib.contextmanager
def serving(server: Server) -> Iterator[str]:
    """Listens on loopback until the block ends; gives its URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _answer(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = server.answer(Asked(self.command, parts.path, dict(parse_qsl(parts.query)), headers, body))
            given = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
            given = b"" if answer.status == 204 else given
            self.send_response_only(answer.status)
            named = {
                "Content-Type": "application/json;charset=UTF-8",
                "Date": format_datetime(server.org.clock, usegmt=True),
            }
            for name, value in {**named, **answer.headers, "Content-Length": str(len(given))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(given)

        do_GET = do_POST = do_PATCH = do_DELETE = _answer  # noqa: N815  named by the library

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  named by the library
            pass

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listener.daemon_threads = True
    server.url = f"http://127.0.0.1:{listener.server_address[1]}"
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server.url
    finally:
        listener.shutdown()
        listener.server_close()
        thread.join()
