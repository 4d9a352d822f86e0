"""What all endpoints share: scopes, conditional requests, few statements, and no way to break them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, event

from app.api.openapi import KEY
from app.api.v1 import ENDPOINTS
from app.auth import IMPLIED, PUBLIC
from app.http import Application
from app.services.tokens import SCOPES
from tests.api.conftest import Ask, ask_with

PATHS = [KEY.sub("1", each.path) for each in ENDPOINTS]


def test_every_endpoint_refuses_nobody_and_every_token_without_its_scope(
    company: Application, client: FlaskClient
) -> None:
    for endpoint, path in zip(ENDPOINTS, PATHS, strict=True):
        if endpoint.scope == PUBLIC:
            continue
        answer = client.open(f"/api/v1{path}", method=endpoint.method)
        assert answer.status_code == 401, path
        assert answer.mimetype == "application/problem+json"
        others = [scope for scope in SCOPES if endpoint.scope not in {scope, *IMPLIED.get(scope, ())}]
        ask = ask_with(company, client, *others)
        answer = ask(path) if endpoint.method == "GET" else None
        if answer is not None:
            assert answer.status_code == 403, path
            assert endpoint.scope in answer.json["detail"]


def test_an_answer_that_did_not_change_is_304(ask: Ask) -> None:
    for path in ("/accounts", "/accounts/1/ltv", "/revenue/arr", "/definitions", "/accounts?format=csv"):
        first = ask(path)
        assert first.headers["ETag"]
        again = ask(path, **{"If-None-Match": first.headers["ETag"]})
        assert (again.status_code, again.data) == (304, b"")
        assert ask(path, **{"If-None-Match": '"another"'}).status_code == 200
    assert ask("/accounts?limit=1").headers["ETag"] != ask("/accounts?limit=2").headers["ETag"]


def test_the_same_question_gives_the_same_bytes(ask: Ask) -> None:
    for path in ("/accounts", "/accounts/2/health", "/ltv/summary?group_by=segment", "/revenue/bookings?grain=month"):
        assert ask(path).data == ask(path).data


@contextmanager
def counted(engine: Engine) -> Iterator[list[str]]:
    """The statements that read data, without BEGIN and the look-up of the token."""
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("SELECT") and "FROM tokens" not in statement:
            statements.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    yield statements
    event.remove(engine, "before_cursor_execute", note)


STATEMENTS = {
    "/accounts": 2,
    "/accounts?sort=-arr&limit=2": 2,
    "/accounts?sort=health": 3,  # those without the value are read along an index of their own
    "/accounts/1": 3,
    "/accounts/1/health": 3,
    "/accounts/1/retention": 1,
    "/accounts/1/ltv": 3,
    "/retention?group_by=segment": 2,
    "/ltv?limit=2": 4,  # the last is what each earned to date
    "/ltv/new?group_by=channel": 3,
    "/ltv/summary?group_by=segment": 3,
    "/revenue/bookings?fx=none": 2,
    "/revenue/bookings": 3,
    "/revenue/bookings?group_by=product&grain=month": 3,
    # the grace and the merges; of each window whether all is stored (for each of three), the sums of it and of all, and
    # the steps of those who may have left; and the rates
    "/revenue/retention?months=6": 11,
    "/models/current": 2,
    "/definitions": 0,
    # lines, notices, pauses, the grace, their number, the names of groups and the rates: a figure of any day, from the
    # rows themselves
    "/revenue/arr": 7,
    "/revenue/arr?group_by=segment": 8,
}


def test_a_request_needs_few_statements_however_many_accounts(ask: Ask, company: Application) -> None:
    for path, expected in STATEMENTS.items():
        with counted(company.engine) as statements:
            assert ask(path).status_code == 200
        assert len(statements) == expected, (path, statements)


NAMES = sorted({name for each in ENDPOINTS if each.parameters for name in each.parameters.fields})
VALUES = st.one_of(
    st.text(max_size=30),
    st.sampled_from(["", "0", "-1", "1e400", "NaN", "2026-02-30", "0001-01-01", "9999-12-31", "smb", "\0", "９"]),
    st.sampled_from(["2026-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "2026", "%"]),
    st.integers().map(str),
    st.dates().map(str),
)


READS = [(each, path) for each, path in zip(ENDPOINTS, PATHS, strict=True) if each.method == "GET"]


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
@given(st.data())
def test_no_parameter_breaks_an_endpoint(ask: Ask, data: st.DataObject) -> None:
    endpoint, path = data.draw(st.sampled_from(READS))
    own = sorted(endpoint.parameters.fields) if endpoint.parameters else []
    query = data.draw(st.dictionaries(st.sampled_from([*own, *NAMES]), VALUES, min_size=1, max_size=3))
    answer = ask(path + "?" + "&".join(f"{name}={_quoted(value)}" for name, value in query.items()))
    assert answer.status_code in {200, 400, 403, 404, 409}, (query, answer.text)
    if answer.status_code == 400:
        assert answer.json["detail"]


EXTREMES = (
    *("as_of=0001-01-01", "as_of=9999-12-31", "as_of=10000-01-01", "known_at=0001-01-01T00:00:00%2B23:59"),
    *("known_at=9999-12-31T23:59:59-23:59", "known_at=0001-01-01T00:00:00Z", "fx=constant%26fx_on=0001-01-01"),
    *("period=2999", "period=1000", "as_of=9999-12-31&grain=month", "as_of=9999-12-31&grain=year", "period=9999"),
    *("currency=JPY&fx=booked", "currency=KWD", "as_of=2026-03-01&known_at=2026-03-01T00:00:00"),
)


def test_the_ends_of_the_calendar_are_answered_or_refused(ask: Ask) -> None:
    for query in EXTREMES:
        for path in ("/revenue/bookings", "/revenue/arr"):
            answer = ask(f"{path}?{query}")
            assert answer.status_code in {200, 400, 409}, (path, query, answer.text)


def _quoted(value: str) -> str:
    return quote(value, errors="replace")
