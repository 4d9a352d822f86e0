"""What pages and endpoints share: one transaction a request, bodies and parameters read with care, and the one
map from an error to an HTTP answer."""

import json
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from difflib import get_close_matches
from typing import Any, NoReturn, TypeVar, cast

import orjson
from flask import Flask, Response, current_app, g, request
from flask.json.provider import JSONProvider
from flask.typing import ResponseReturnValue
from marshmallow import Schema, ValidationError, fields
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session
from werkzeug.exceptions import HTTPException, SecurityError
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.routing import BaseConverter

from app.config import Settings
from app.db import make_engine, reading, transaction
from app.errors import (
    Conflict,
    Invalid,
    Misconfigured,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    NotReady,
    TooLarge,
    TooMany,
)

View = TypeVar("View", bound=Callable[..., Any])

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
MAX_BODY_BYTES = 1_000_000
PROGRAM_PATHS = ("/api/", "/v1/", "/ingest/", "/healthz", "/readyz")  # answered with problem details, else a page

# What may be loaded by a page: this service's own files, and nothing written into the page itself.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}


def encode_json(value: Any) -> bytes:
    return orjson.dumps(value, default=_encode_time, option=orjson.OPT_PASSTHROUGH_DATETIME)


def _encode_time(value: Any) -> str:
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no place in JSON")


class OrjsonProvider(JSONProvider):
    """JSON as RFC 8259 has it: instants in UTC with a Z, text as it is written, NaN and infinity as null."""

    def dumps(self, obj: Any, **_kwargs: Any) -> str:
        return encode_json(obj).decode()

    def loads(self, s: str | bytes, **_kwargs: Any) -> Any:
        return parse_json(s.encode() if isinstance(s, str) else s)

    def response(self, *args: Any, **kwargs: Any) -> Response:
        body = encode_json(self._prepare_response_obj(args, kwargs))
        return current_app.response_class(body, mimetype="application/json")


class IdConverter(BaseConverter):
    """A positive whole number that fits every database's key; anything else is an address that does not exist."""

    regex = "[1-9][0-9]{0,14}"

    def to_python(self, value: str) -> int:
        return int(value)


class Application(Flask):
    """Flask, with a database transaction around each view and gates that have to open before it runs.

    The gates and the views of GET requests only read. Any other view runs in a transaction of its
    own that is committed when it returns and rolled back when it raises, unless it declares
    `own_transaction`: then there is none, and `database()` is not to be asked for.
    """

    json_provider_class = OrjsonProvider

    def __init__(self, settings: Settings) -> None:
        super().__init__("app", static_folder=None, template_folder=None)
        if settings.is_production and self.debug:
            raise Misconfigured("FLASK_DEBUG shows the inside of the service to anyone: unset it in production.")
        self.settings = settings
        self.engine: Engine = make_engine(settings.database_url)
        self.clock: Callable[[], datetime] = lambda: datetime.now(UTC)
        self.gates: list[Callable[[], None]] = []
        self.limits: list[Callable[[Session], None]] = []  # what a request may see, put on each of its sessions
        self.error_page: Callable[[Problem], ResponseReturnValue] = plain_error_page
        self.config.update(
            MAX_CONTENT_LENGTH=MAX_BODY_BYTES,
            TRUSTED_HOSTS=list(settings.trusted_hosts),
        )
        self.url_map.converters["id"] = IdConverter
        if settings.proxies:  # else whoever asks could say to be anybody
            self.wsgi_app = ProxyFix(self.wsgi_app, x_for=settings.proxies, x_proto=settings.proxies)  # type: ignore[method-assign]
        self.register_error_handler(Exception, answer_error)
        self.after_request(add_headers)

    def dispatch_request(self) -> ResponseReturnValue:
        with reading(self.engine) as g.session:
            for gate in self.gates:
                gate()
            self._limit(g.session)
            if request.method in SAFE_METHODS:
                return super().dispatch_request()
        if getattr(self.view_functions.get(request.endpoint or ""), "own_transaction", False):
            del g.session
            return super().dispatch_request()
        with transaction(self.engine) as g.session:
            self._limit(g.session)
            return super().dispatch_request()

    def _limit(self, session: Session) -> None:
        for limit in self.limits:
            limit(session)


def own_transaction(view: View) -> View:
    """The view writes in transactions of its own making, and none is open around it."""
    view.__dict__["own_transaction"] = True
    return view


def application() -> Application:
    """The application itself, not the proxy for it: it is also used once the answer is out."""
    return cast("Application", current_app._get_current_object())  # type: ignore[attr-defined]  # noqa: SLF001


def database() -> Session:
    """The session of this request's transaction."""
    return cast("Session", g.session)


def now() -> datetime:
    return application().clock()


# --- Reading what comes in ---


def load_parameters(schema: Schema) -> dict[str, Any]:
    """The query string as `schema` says; Invalid names the parameter and what is near to it."""
    given: dict[str, Any] = {}
    for name, values in request.args.lists():
        known = schema.fields.get(name)
        if known is None:
            _refuse_unknown(name, "parameter", known=list(schema.fields))
        if len(values) > 1 and not isinstance(known, fields.List):
            raise Invalid(f"The parameter {name} is given twice; send it once.", {name: ["is given twice"]})
        given[name] = values if isinstance(known, fields.List) else values[0]
    _refuse_nul(orjson.dumps(given))
    return _load(schema, given)


def load_body(schema: Schema) -> dict[str, Any]:
    """The JSON body as `schema` says; Invalid names the field."""
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise Invalid("Send the body uncompressed, without Content-Encoding.")
    if not request.is_json:
        raise Invalid("Send the body as JSON, with the header Content-Type: application/json.")
    body = parse_json(request.get_data(cache=False))
    if not isinstance(body, dict):
        raise Invalid("The body must be a JSON object, in braces.")
    for name in body:
        if name not in schema.fields:
            _refuse_unknown(name, "field", known=list(schema.fields))
    return _load(schema, body)


def parse_json(body: bytes) -> Any:
    """Strict JSON: UTF-8, each key once, finite numbers of at most 64 bits, nesting up to 254, no NUL."""
    try:
        value = json.loads(
            body.decode(), object_pairs_hook=_unique_keys, parse_float=_finite, parse_constant=_refuse_constant
        )
        _refuse_nul(orjson.dumps(value))
    except RecursionError:
        raise Invalid("The JSON is nested too deeply; at most 254 levels are read.") from None
    except UnicodeDecodeError as error:
        raise Invalid(f"The body is not UTF-8: the byte at position {error.start} fits no character.") from None
    except json.JSONDecodeError as error:
        raise Invalid(f"The body is no JSON: {error.msg} at line {error.lineno}, column {error.colno}.") from None
    except ValueError as error:  # a number of thousands of digits
        raise Invalid(f"The JSON cannot be read: {error}.") from None
    except orjson.JSONEncodeError as error:
        raise Invalid(f"The JSON cannot be kept: {error}.") from None
    return value


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
        raise Invalid(f"The JSON names {twice!r} twice in one object; keep one.", {twice: ["is given twice"]})
    return found


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise Invalid(f"The number {text[:40]} is too large.")
    return number


def _refuse_constant(text: str) -> NoReturn:
    raise Invalid(f"{text} is no JSON number; leave the field out or send null.")


def _refuse_nul(encoded: bytes) -> None:
    if b"\\u0000" in encoded.replace(b"\\\\", b""):
        raise Invalid("The input holds a NUL character (U+0000), which no text here may have.")


def refuse_nul_in_form() -> None:
    """PostgreSQL takes no NUL in a text, and forms have no schema that would say so."""
    if any("\0" in text for _, texts in request.form.lists() for text in texts):
        raise Invalid("The form holds a NUL character (U+0000), which no text here may have.")


def _refuse_unknown(name: str, kind: str, *, known: list[str]) -> NoReturn:
    nearest = get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {nearest[0]}?" if nearest else f"there are: {', '.join(sorted(known)) or 'none'}."
    raise Invalid(f"There is no {kind} {name[:60]!r} here; {hint}", {name[:60]: [f"is no {kind} here"]})


def _load(schema: Schema, given: dict[str, Any]) -> dict[str, Any]:
    try:
        return cast("dict[str, Any]", schema.load(given))
    except ValidationError as error:
        messages = _flat(cast("dict[Any, Any]", error.messages))
        detail = " ".join(f"{name}: {text}" for name, texts in messages.items() for text in texts)
        raise Invalid(detail, messages) from None


def _flat(messages: dict[Any, Any], prefix: str = "") -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in messages.items():
        path = f"{prefix}{name}"
        found |= _flat(value, f"{path}.") if isinstance(value, dict) else {path: value}
    return found


# --- What goes wrong, as HTTP ---


@dataclass(frozen=True, slots=True)
class Problem:
    """RFC 9457. `detail` is one sentence that says what to do."""

    status: int
    slug: str
    title: str
    detail: str
    fields: dict[str, list[str]] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Kind:
    """How one kind of error looks from outside."""

    status: int
    slug: str
    title: str
    headers: dict[str, str] = field(default_factory=dict)


KINDS: dict[type[Exception], Kind] = {
    Invalid: Kind(400, "invalid", "The request is not valid"),
    NotAuthenticated: Kind(401, "not-authenticated", "Who is asking?", {"WWW-Authenticate": 'Bearer realm="tenure"'}),
    NotAllowed: Kind(403, "not-allowed", "Not allowed"),
    NotFound: Kind(404, "not-found", "Not found"),
    Conflict: Kind(409, "conflict", "In conflict with what is there"),
    TooLarge: Kind(413, "too-large", "Too large"),
    TooMany: Kind(429, "too-many", "Too many at once"),
    NotReady: Kind(503, "not-ready", "Not ready", {"Retry-After": "60"}),
    OperationalError: Kind(503, "database-unavailable", "The database does not answer", {"Retry-After": "5"}),
}
ROUTER_DETAILS = {
    404: "There is nothing at this address.",
    405: "This address does not take that method.",
    413: f"The body is larger than {MAX_BODY_BYTES:,} bytes; send it in parts.",
}


def problem_of(error: Exception) -> Problem:
    if isinstance(error, HTTPException):
        status = error.code or 500
        detail = ROUTER_DETAILS.get(status) or error.description or error.name
        headers = {name: value for name, value in error.get_headers() if name in {"Allow", "Retry-After"}}
        return Problem(status, error.name.lower().replace(" ", "-"), error.name, detail, headers=headers)
    kind = next((kind for type_, kind in KINDS.items() if isinstance(error, type_)), None)
    if kind is None:
        current_app.logger.error("an unexpected error", exc_info=error)
        return Problem(500, "internal", "An error of ours", "Something went wrong here; it has been logged.")
    detail = str(error)
    if isinstance(error, OperationalError):
        current_app.logger.error("the database does not answer", exc_info=error)
        detail = "The database is busy or cannot be reached; try again in a few seconds."
    headers = {"Retry-After": str(error.retry_after_seconds)} if isinstance(error, TooMany) else kind.headers
    return Problem(kind.status, kind.slug, kind.title, detail, getattr(error, "fields", {}), headers)


def answer_error(error: Exception) -> ResponseReturnValue:
    """The one way from an exception to an answer: problem details for programs, a page for people."""
    if isinstance(error, HTTPException) and (error.code or 500) < 400:
        return error  # a redirect of the router
    problem = problem_of(error)
    if request.path.startswith(PROGRAM_PATHS):
        response = current_app.make_response(problem_details(problem))
    else:
        # Where the host is none of ours, no address can be made, and so no page.
        show = plain_error_page if isinstance(error, SecurityError) else application().error_page
        response = current_app.make_response(show(problem))
    for name, value in problem.headers.items():
        response.headers.setdefault(name, value)
    return response


def problem_details(problem: Problem) -> Response:
    body: dict[str, Any] = {
        "type": f"/api/v1/docs#problem-{problem.slug}",
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
        "instance": request.path[:500],
    }
    if problem.fields:
        body["errors"] = [{"field": name, "messages": texts} for name, texts in problem.fields.items()]
    return Response(orjson.dumps(body), status=problem.status, mimetype="application/problem+json")


def plain_error_page(problem: Problem) -> ResponseReturnValue:
    return Response(f"{problem.title}\n\n{problem.detail}\n", status=problem.status, mimetype="text/plain")


def fixed_headers(app: Application) -> list[tuple[str, str]]:
    """What every answer says, unless it says something else of the same."""
    only_encrypted = {"Strict-Transport-Security": "max-age=31536000; includeSubDomains"}
    return list((HEADERS | only_encrypted if app.settings.is_production else HEADERS).items())


def add_headers(response: Response) -> Response:
    given = {name.lower() for name in response.headers.keys()}  # noqa: SIM118  else they come with their values
    response.headers.extend([header for header in fixed_headers(application()) if header[0].lower() not in given])
    return response
