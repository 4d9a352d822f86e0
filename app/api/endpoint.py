"""An endpoint: a function, and everything that is said of it in one place.

The decorator reads parameters and body by their schemas, writes the answer by its own, and keeps
what the OpenAPI document needs. So the document cannot say anything else than the code does.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from flask import Response, jsonify, request
from flask.typing import ResponseReturnValue
from marshmallow import Schema

from app.api.idempotency import answer_once
from app.api.media import JSON
from app.api.tables import asked_form, send_table
from app.auth import PUBLIC, public, requires
from app.errors import Invalid
from app.http import load_body, load_parameters, own_transaction

MOMENT = ("as_of", "known_at")


@dataclass(frozen=True, slots=True)
class Reply:
    """What a view answers with, before it has a form. `rows` are the table's, below the endpoint's header."""

    body: Any
    next_cursor: str | None = None
    rows: Iterable[Sequence[Any]] | None = None
    status: int = 200


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address and method. `scope` is what a token needs, or `public`."""

    path: str
    method: str
    scope: str
    view: Callable[..., Reply]
    answer: Schema | None
    parameters: Schema | None
    body: Schema | None
    csv_header: Sequence[str] | None
    status: int
    prepare: Callable[[dict[str, Any]], Any] | None  # makes `prepared` of the body, and may ask the network for it
    has_moment: bool  # whether the answer is of a moment, which then stands in every line of its table

    @property
    def csv_columns(self) -> Sequence[str] | None:
        """With the moment in every line: a file that is passed on still says of when it is."""
        return None if self.csv_header is None else (*self.csv_header, *(MOMENT if self.has_moment else ()))

    @property
    def name(self) -> str:
        return self.view.__name__

    @property
    def summary(self) -> str:
        return (self.view.__doc__ or "").partition("\n")[0].rstrip(".")

    @property
    def description(self) -> str:
        lines = (self.view.__doc__ or "").split("\n")[2:]
        return "\n".join(line.strip() for line in lines).strip()

    @property
    def has_own_transaction(self) -> bool:
        return bool(getattr(self.view, "own_transaction", False))

    @property
    def takes_key(self) -> bool:
        """Whether an Idempotency-Key is heeded: it is kept in the one transaction of what it guards."""
        return self.method == "POST" and self.scope != PUBLIC and not self.has_own_transaction

    def as_view(self) -> Callable[..., ResponseReturnValue]:
        def view(**path: Any) -> ResponseReturnValue:
            request.get_data()  # kept: what a key is good for depends on the body, too
            given = self.read(path)
            return answer_once(lambda: self.respond(given)) if self.takes_key else self.respond(given)

        declared = public(view) if self.scope == PUBLIC else requires(self.scope)(view)
        return own_transaction(declared) if self.has_own_transaction else declared

    def read(self, path: Mapping[str, Any]) -> dict[str, Any]:
        """What the view may ask for. All of it is known before the first statement of the transaction."""
        given: dict[str, Any] = dict(path)
        given["parameters"] = load_parameters(self.parameters) if self.parameters else _no_parameters()
        if self.body:
            given["body"] = load_body(self.body)
        if self.prepare:
            given["prepared"] = self.prepare(given["body"])
        return given

    def respond(self, given: Mapping[str, Any]) -> Response:
        reply = self.view(**{name: given[name] for name in given if name in self.view.__annotations__})
        response = self._form(reply, asked_form(given["parameters"]))
        response.status_code = reply.status
        if reply.next_cursor:
            response.headers["Link"] = f'<{_address_of(reply.next_cursor)}>; rel="next"'
        if request.method == "GET" and reply.status == 200:
            response.add_etag()
            response.make_conditional(request)
        return response

    def _form(self, reply: Reply, form: str) -> Response:
        if reply.status == 204:
            return Response(status=204)
        if reply.rows is not None and self.csv_columns is not None:
            moment = [reply.body["meta"][name] for name in MOMENT] if self.has_moment else []
            name = "-".join([*self.path.strip("/").split("/"), *(str(day) for day in moment[:1] if day)])
            rows = ([*row, *moment] for row in reply.rows)
            response = send_table(form, (self.csv_columns, rows), name=name, meta=reply.body.get("meta", {}))
        elif isinstance(reply.body, bytes):  # a document that was stored: as it is, to the byte
            response = Response(reply.body, mimetype=JSON)
        else:
            response = jsonify(self.answer.dump(reply.body) if self.answer else reply.body)
        if self.csv_header is not None:
            response.vary.add("Accept")
        return response


def endpoint(
    path: str, *, scope: str, answer: Schema | None = None, **said: Any
) -> Callable[[Callable[..., Reply]], Endpoint]:
    """Declare an endpoint; the view's docstring is its summary and description."""

    def declare(view: Callable[..., Reply]) -> Endpoint:
        return Endpoint(
            path=path,
            method=said.get("method", "GET"),
            scope=scope,
            view=view,
            answer=answer,
            parameters=said.get("parameters"),
            body=said.get("body"),
            csv_header=said.get("csv_header"),
            status=said.get("status", 200),
            prepare=said.get("prepare"),
            has_moment=said.get("has_moment", True),
        )

    return declare


def _no_parameters() -> dict[str, Any]:
    if request.args:
        raise Invalid(f"There is no parameter {next(iter(request.args))[:60]!r} here; this address takes none.")
    return {}


def _address_of(cursor: str) -> str:
    arguments = [(name, value) for name, value in request.args.items(multi=True) if name != "cursor"]
    return f"{request.path}?{urlencode([*arguments, ('cursor', cursor)])}"
