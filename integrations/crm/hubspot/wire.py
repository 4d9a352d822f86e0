"""HubSpot's requests and answers, checked: what is not as HubSpot answers is an error, never an empty list.

A page's link is never followed; of its place only `after` is taken. So a token goes to the one origin.
"""

import itertools
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from integrations.crm.client import CrmError, CrmNonsense, CrmRefused, Keep
from integrations.crm.transport import Query, Reply, Transport

SEARCH_PAGE = 200
LIST_PAGE = 100
BATCH = 100
ASSOCIATION_BATCH = 1000

NOT_THERE = "OBJECT_NOT_FOUND"

_WORD = re.compile(r"[A-Za-z0-9_.-]{1,80}")


@dataclass(frozen=True, slots=True)
class Thing:
    """An object of any type; `properties` are texts, those without a value left out."""

    id: str
    properties: Mapping[str, str]
    modified_at: datetime
    archived_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A page of a search: ids in ascending order, and how many there are from here on."""

    ids: tuple[str, ...]
    total: int


@dataclass(frozen=True, slots=True)
class Link:
    """To what something is associated, and under which of HubSpot's numbers of a type."""

    id: str
    types: frozenset[int]


class Wire:
    """One account of HubSpot. `version` is v3, or a date as in /crm/objects/2026-03/deals."""

    def __init__(self, transport: Transport, *, secret: Mapping[str, str], keep: Keep, version: str) -> None:
        self._transport, self._version = transport, version
        self._token = _Token(transport, secret, keep=keep)

    def path(self, area: str, rest: str) -> str:
        if self._version.startswith("v"):
            path = f"/crm/{'v4' if area == 'associations' else self._version}/{area}/{rest}"
        else:
            path = f"/crm/{area}/{self._version}/{rest}"
        return path.removesuffix("/")

    def get(self, path: str, *, query: Query | None = None) -> dict[str, Any]:
        return self._read(self._ask("GET", path, query=query))

    def post(self, path: str, body: Any, *, is_reading: bool = True) -> dict[str, Any]:
        return self._read(self._ask("POST", path, body=body, is_safe_to_repeat=is_reading))

    def search(self, kind: str, filters: Sequence[Mapping[str, str]], *, after_id: str | None) -> Found:
        """Up to 200 ids beyond `after_id`, in their order: so no query ever comes to its 10,000th result."""
        beyond = [] if after_id is None else [{"propertyName": "hs_object_id", "operator": "GT", "value": after_id}]
        body = {
            "filterGroups": [{"filters": [*beyond, *filters]}],
            "sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
            "properties": ["hs_object_id"],
            "limit": SEARCH_PAGE,
        }
        answer = self.post(self.path("objects", f"{kind}/search"), body)
        ids = tuple(_id_of(each) for each in results_of(answer))
        numbers = [int(after_id or 0), *map(int, ids)]
        if any(later <= earlier for earlier, later in itertools.pairwise(numbers)):
            raise CrmNonsense(f"HubSpot's search of {kind} does not go on from where it was.")
        total = answer.get("total")
        return Found(ids, total if isinstance(total, int) else len(ids))

    def read_batch(
        self, kind: str, ids: Sequence[str], *, properties: Sequence[str], by: str | None = None
    ) -> list[Thing]:
        """Those of the ids that are there; a merged one comes once, as the one that it lives on in."""
        things: dict[str, Thing] = {}
        for part in _parts(ids, BATCH):
            body = {"properties": list(properties), "inputs": [{"id": id_} for id_ in part]}
            if by is not None:
                body["idProperty"] = by
            things |= {thing.id: thing for thing in map(_thing, self._read_part(kind, body)[0])}
        return list(things.values())

    def read_all(self, kind: str, ids: Sequence[str], *, properties: Sequence[str]) -> list[Thing]:
        """Those of the ids that were just said to be there; CrmNonsense where some are left out without a word.

        Without all of its lines, a deal would be a smaller contract.
        """
        things: dict[str, Thing] = {}
        for part in _parts(ids, BATCH):
            body = {"properties": list(properties), "inputs": [{"id": id_} for id_ in part]}
            results, missing = self._read_part(kind, body)
            got = {thing.id: thing for thing in map(_thing, results)}
            silent = set(part) - got.keys() - missing
            if silent and got.keys() <= set(part):  # else some were merged, and came as another
                raise CrmNonsense(f"HubSpot left out {len(silent)} of {len(part)} {kind} without a word.")
            things |= got
        return list(things.values())

    def _read_part(self, kind: str, body: Mapping[str, Any]) -> tuple[list[dict[str, Any]], set[str]]:
        """Up to 100, and the ids that are said not to be there."""
        answer = self.post(self.path("objects", f"{kind}/batch/read"), body)
        contexts = [expect(dict, each.get("context") or {}) for each in _partial_errors(answer)]
        return results_of(answer), {str(id_) for context in contexts for id_ in expect(list, context.get("ids") or [])}

    def read_one(self, kind: str, id_: str, *, properties: Sequence[str]) -> Thing | None:
        query = {"properties": ",".join(properties)}
        reply = self._ask("GET", self.path("objects", f"{kind}/{id_}"), query=query)
        return None if reply.status == HTTPStatus.NOT_FOUND else _thing(self._read(reply))

    def list_page(
        self, kind: str, *, after: str | None, is_archived: bool, properties: Sequence[str] = ("hs_object_id",)
    ) -> tuple[list[Thing], str | None]:
        """A page of all that is there, or of all that was archived, and where the next one begins."""
        query = {"limit": str(LIST_PAGE), "archived": str(is_archived).lower(), "properties": ",".join(properties)}
        answer = self.get(self.path("objects", kind), query=query | ({} if after is None else {"after": after}))
        return [_thing(each) for each in results_of(answer)], next_after(answer, after=after)

    def list_owners(self, *, after: str | None, is_archived: bool) -> tuple[list[dict[str, Any]], str | None]:
        query = {"limit": str(LIST_PAGE), "archived": str(is_archived).lower()}
        answer = self.get(self.path("owners", ""), query=query | ({} if after is None else {"after": after}))
        return results_of(answer), next_after(answer, after=after)

    def links(self, ids: Sequence[str], *, of: str, to: str) -> dict[str, list[Link]]:
        """What each is associated with, lowest id first."""
        found: dict[str, list[Link]] = {}
        for part in _parts(ids, ASSOCIATION_BATCH):
            inputs = [{"id": id_} for id_ in part]
            while inputs:
                answer = self.post(self.path("associations", f"{of}/{to}/batch/read"), {"inputs": inputs})
                inputs = []
                _partial_errors(answer)  # those without an association are left out, and said to be
                for each in results_of(answer):
                    own = _id_of(each.get("from"))
                    found.setdefault(own, []).extend(map(_link, expect(list, each.get("to"))))
                    if (after := next_after(each, after=None)) is not None:
                        inputs.append({"id": own, "after": after})
        return {own: sorted(links, key=lambda link: int(link.id)) for own, links in found.items()}

    def create(self, kind: str, properties: Mapping[str, str], *, links: Sequence[Mapping[str, Any]]) -> str:
        body = {"properties": properties, "associations": list(links)}
        return _id_of(self.post(self.path("objects", kind), body, is_reading=False))

    def create_batch(self, kind: str, inputs: Sequence[Mapping[str, Any]]) -> None:
        path = self.path("objects", f"{kind}/batch/create")
        made = results_of(self.post(path, {"inputs": list(inputs)}, is_reading=False))
        if len(made) != len(inputs):
            raise CrmError(f"HubSpot made {len(made)} of {len(inputs)} {kind}.")

    def update(self, kind: str, id_: str, *, properties: Mapping[str, str]) -> str:
        reply = self._ask("PATCH", self.path("objects", f"{kind}/{id_}"), body={"properties": properties})
        return _id_of(self._read(reply))

    def ask_app(self) -> dict[str, Any]:
        """Who the token of a private app belongs to; nothing where it is of another kind."""
        return self._token.ask_owner()

    def _ask(self, method: str, path: str, **what: Any) -> Reply:
        token = self._token.value()
        reply = self._send(method, path, token=token, **what)
        if reply.status == HTTPStatus.UNAUTHORIZED and (fresh := self._token.renew(token)) is not None:
            reply = self._send(method, path, token=fresh, **what)
        return reply

    def _send(self, method: str, path: str, *, token: str, **what: Any) -> Reply:
        return self._transport.request(method, path, headers={"Authorization": f"Bearer {token}"}, **what)

    def _read(self, reply: Reply) -> dict[str, Any]:
        if reply.status == HTTPStatus.UNAUTHORIZED:
            raise CrmRefused("HubSpot does not accept the token; it is wrong, was rotated or has expired.")
        if reply.status == HTTPStatus.FORBIDDEN:
            raise CrmRefused(f"HubSpot does not allow this: the app lacks a scope{_scopes(reply)}.")
        if not reply.is_success:
            raise CrmError(f"HubSpot answered {reply.status}{_category(reply)}.")
        answer: dict[str, Any] = expect(dict, reply.json())
        return answer


class _Token:
    """The access token, renewed once however many threads find that it has expired."""

    def __init__(self, transport: Transport, secret: Mapping[str, str], *, keep: Keep) -> None:
        self._transport, self._secret, self._keep, self._lock = transport, dict(secret), keep, threading.Lock()
        self._value = self._secret.get("token")
        wanted = {"client_id", "client_secret", "refresh_token"}
        if not self._value and not wanted <= self._secret.keys():
            raise CrmRefused("Give HubSpot's token, or else client_id, client_secret and refresh_token.")

    def value(self) -> str:
        return self._value or self.renew(None) or ""

    def renew(self, refused: str | None) -> str | None:
        """A token other than the refused one; None where there is no way to another."""
        with self._lock:
            if self._value != refused:
                return self._value
            if "refresh_token" not in self._secret:
                return None
            names = ("client_id", "client_secret", "refresh_token")
            form = {"grant_type": "refresh_token"} | {name: self._secret[name] for name in names}
            reply = self._transport.request("POST", "/oauth/v1/token", form=form)
            if reply.status in {HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
                raise CrmRefused("HubSpot does not renew the token; connect the app again.")
            if not reply.is_success:
                raise CrmError(f"HubSpot answered {reply.status} when the token was to be renewed.")
            given = expect(dict, reply.json())
            if (following := given.get("refresh_token")) and following != self._secret["refresh_token"]:
                self._secret["refresh_token"] = str(following)
                self._keep(dict(self._secret))  # at once: the one before opens nothing any more
            self._value = str(given.get("access_token") or "")
            return self._value

    def ask_owner(self) -> dict[str, Any]:
        body = {"tokenKey": self.value()}
        reply = self._transport.request("POST", "/oauth/v2/private-apps/get/access-token-info", body=body)
        return expect(dict, reply.json()) if reply.is_success else {}


def next_after(answer: Mapping[str, Any], *, after: str | None) -> str | None:
    """Where the next page begins; CrmNonsense where that is where this one began."""
    following = expect(dict, answer.get("paging") or {}).get("next")
    if following is None:
        return None
    place = expect(dict, following).get("after")
    if not isinstance(place, str | int) or str(place) == after:
        raise CrmNonsense("HubSpot's page leads back to itself.")
    return str(place)


def read_instant(value: Any) -> datetime:
    """An instant in UTC, from ISO 8601 or from milliseconds since 1970."""
    try:
        text = str(value)
        at = datetime.fromtimestamp(int(text) / 1000, UTC) if text.isdecimal() else datetime.fromisoformat(text)
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError, OSError):
        raise CrmNonsense("HubSpot gave an instant that is none.") from None


def expect(kind: type[Any], value: Any) -> Any:
    if not isinstance(value, kind):
        raise CrmNonsense("HubSpot's answer is not of the form that it has.")
    return value


def results_of(answer: Mapping[str, Any], name: str = "results") -> list[dict[str, Any]]:
    return [expect(dict, each) for each in expect(list, answer.get(name))]


def _partial_errors(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Why some of many have no answer; CrmError where it is for another reason than that they are not there."""
    errors = [expect(dict, each) for each in expect(list, answer.get("errors") or [])]
    if answer.get("status", "COMPLETE") != "COMPLETE" or any(each.get("category") != NOT_THERE for each in errors):
        raise CrmError("HubSpot answered for some only; it is asked again later.")
    return errors


def _id_of(thing: Any) -> str:
    id_ = str(expect(dict, thing).get("id"))
    if not id_.isdecimal() or not id_.isascii():
        raise CrmNonsense("HubSpot gave something without an id.")
    return id_


def _thing(given: Mapping[str, Any]) -> Thing:
    archived_at = given.get("archivedAt")
    return Thing(
        _id_of(given),
        {
            name: str(value)
            for name, value in expect(dict, given.get("properties")).items()
            if value is not None and value != ""
        },
        read_instant(given.get("updatedAt")),
        None if archived_at is None else read_instant(archived_at),
    )


def _link(given: Any) -> Link:
    types = expect(list, expect(dict, given).get("associationTypes", []))
    id_ = _id_of({"id": given.get("toObjectId")})
    numbers = [expect(dict, each).get("typeId") for each in types]
    return Link(id_, frozenset(number for number in numbers if isinstance(number, int)))


def _parts(ids: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (ids[at : at + size] for at in range(0, len(ids), size))


def _category(reply: Reply) -> str:
    """HubSpot's own word for an error; not its message, which repeats what was sent."""
    try:
        word = expect(dict, reply.json()).get("category")
    except CrmNonsense:
        return ""
    return f" ({word})" if isinstance(word, str) and _WORD.fullmatch(word) else ""


def _scopes(reply: Reply) -> str:
    try:
        errors = expect(list, expect(dict, reply.json()).get("errors", []))
        named = [
            expect(dict, expect(dict, each).get("context", {})).get("requiredGranularScopes", []) for each in errors
        ]
    except CrmNonsense:
        return ""
    scopes = [word for words in named for word in words if isinstance(word, str) and _WORD.fullmatch(word)]
    return f" ({', '.join(scopes)})" if scopes else ""
