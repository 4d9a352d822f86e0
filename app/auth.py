"""Who is calling, and whether they may.

A person comes with a session cookie, a program with a bearer token. Every view declares its rule
with one of the three decorators; one that declares none is refused to everybody.
"""

import hmac
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta

from flask import Response, g, request
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app.db import reading, transaction
from app.errors import Misconfigured, NotAllowed, NotAuthenticated
from app.http import PROGRAM_PATHS, SAFE_METHODS, Application, View, application, database, now, refuse_nul_in_form
from app.queries.callers import ABSOLUTE_LIMIT, Program, SignedIn, find_program, find_signed_in
from app.queries.sight import limit_sight, load_sight
from app.services.audit import Act, record_act
from app.services.throttle import Attempt, claim_attempt, describe_attempt, forgive_attempt
from app.services.tokens import INGEST, SCOPES, note_token_use
from app.services.users import (
    Proof,
    accept_proof,
    change_password,
    end_old_sessions,
    end_session,
    note_session_use,
    start_session,
    verify_password,
)

PUBLIC = "public"
SIGNED_IN = "signed in"
EVERYTHING = frozenset(SCOPES)
IMPLIED = {"admin": EVERYTHING, "finance:read": frozenset({"ltv:read"})}
ROLE_SCOPES = {
    "admin": EVERYTHING,
    "csm": frozenset(
        {"accounts:read", "notes:read", "health:write", "ltv:read", "opportunities:read", "opportunities:write"}
    ),
    "sales": frozenset({"accounts:read", "opportunities:read", "opportunities:write"}),
    "finance": frozenset({"accounts:read", "finance:read", "finance:write"}),
}
HOW_TO_GET_ONE = "`tenure token create --name ... --scope ...`"
NOTE_USE_EVERY = timedelta(minutes=1)  # so that a busy caller does not make every read a write


def public(view: View) -> View:
    """Anyone may: nothing about the company is answered."""
    return _declare(view, PUBLIC)


def signed_in(view: View) -> View:
    """A person with a session may."""
    return _declare(view, SIGNED_IN)


def requires(scope: str) -> Callable[[View], View]:
    """A program whose token has the scope may, and a person whose role includes it."""
    if scope not in SCOPES:
        raise ValueError(f"there is no scope {scope!r}")
    return lambda view: _declare(view, scope)


def _declare(view: View, rule: str) -> View:
    view.__dict__["access"] = rule
    return view


def access_rule(app: Application, endpoint: str) -> str | None:
    """The rule of an endpoint; files of the front end are public, and None is for nobody."""
    if endpoint.rpartition(".")[2] == "static":
        return PUBLIC
    rule: str | None = getattr(app.view_functions.get(endpoint), "access", None)
    return rule


def _rule_here() -> str | None:
    return access_rule(application(), request.endpoint or "")


def refuse_undeclared(app: Application) -> None:
    """Refuse to start with a view that nobody could use because it declares no rule."""
    missing = sorted(endpoint for endpoint in app.view_functions if access_rule(app, endpoint) is None)
    if missing:
        raise Misconfigured(f"These views declare no rule of access: {', '.join(missing)}.")


def guard(app: Application) -> None:
    """Put the check before every view, and the cookies after it."""
    app.gates.append(admit)
    app.limits.append(limit)
    app.after_request(_set_cookies)


def admit() -> None:
    """Let the request through, or raise NotAuthenticated or NotAllowed."""
    if request.endpoint is None:
        return  # no such address, or not with this method: the router's answer tells nothing
    rule = _rule_here()
    if rule is None:
        raise NotAllowed("No rule says who may use this address, so nobody may.")
    is_anybodys = rule == PUBLIC and request.path.startswith(PROGRAM_PATHS)  # nothing there rests on who asks
    if request.method not in SAFE_METHODS and not _program_key() and not is_anybodys:
        _refuse_forgery()
    if rule == PUBLIC:
        return
    caller = current_caller()
    if caller is None or (rule == SIGNED_IN and not isinstance(caller, SignedIn)):
        raise NotAuthenticated(_how_to_authenticate(rule))
    if not _fulfils(caller, rule):
        if isinstance(caller, SignedIn):
            raise NotAllowed(f"The role {caller.role} does not include {rule}; an administrator can give another role.")
        raise NotAllowed(f"This needs the scope {rule}; make a token that has it with {HOW_TO_GET_ONE}")


def limit(session: Session) -> None:
    """Let the session see the accounts only that whoever is calling may see."""
    user: SignedIn | Program | None = g.get("caller")
    if not isinstance(user, SignedIn):
        return
    if "sight" not in g:
        g.sight = load_sight(session, user, today=now().date())
    if g.sight is not None:
        limit_sight(session, g.sight)


def _fulfils(caller: SignedIn | Program, rule: str) -> bool:
    return rule == SIGNED_IN or rule in scopes_of(caller)


def may(scope: str) -> bool:
    """Whether whoever is calling has the scope: for what only some may see of a page that many may open."""
    caller = current_caller()
    return caller is not None and scope in scopes_of(caller)


def may_open(endpoint: str) -> bool:
    """Whether whoever is calling may open the address; menus show only these."""
    rule = access_rule(application(), endpoint)
    if rule in {None, PUBLIC}:
        return rule == PUBLIC
    caller = current_caller()
    return caller is not None and _fulfils(caller, str(rule))


def _how_to_authenticate(rule: str) -> str:
    if rule == SIGNED_IN:
        return "Log in first."
    if _program_key():
        return f"The token is unknown, expired or revoked; make a new one with {HOW_TO_GET_ONE}"
    return f"Send a token as the header `Authorization: Bearer ...`; make one with {HOW_TO_GET_ONE}"


def scopes_of(caller: SignedIn | Program) -> frozenset[str]:
    granted = caller.scopes if isinstance(caller, Program) else ROLE_SCOPES.get(caller.role, frozenset())
    return granted.union(*(IMPLIED[scope] for scope in granted & IMPLIED.keys()))


def current_caller() -> SignedIn | Program | None:
    """Who is calling, looked up once a request; a token counts before a cookie, and events come from programs only."""
    if "caller" not in g:
        token = _program_key()
        g.caller = find_program(database(), token=token, now=now()) if token else _find_signed_in()
    caller: SignedIn | Program | None = g.caller
    return caller


def _find_signed_in() -> SignedIn | None:
    session_id = request.cookies.get(_cookie_name("session"))
    if not session_id or _rule_here() == INGEST:
        return None
    return find_signed_in(database(), session_id=session_id, now=now())


def current_user() -> SignedIn | None:
    """The person whose session this request came with."""
    caller = current_caller()
    return caller if isinstance(caller, SignedIn) else None


def actor_of(caller: SignedIn | Program | None) -> str:
    """How the audit names them: `user:7`, `token:3`, or `nobody`."""
    if caller is None:
        return "nobody"
    return f"user:{caller.user_id}" if isinstance(caller, SignedIn) else f"token:{caller.token_id}"


def current_actor() -> str:
    return actor_of(current_caller())


def _program_key() -> str | None:
    """The token that a program sent. Client libraries for events send it as the user of Basic, without a password:
    taken where events come in, and nowhere else."""
    authorization = request.authorization
    if authorization is None:
        return None
    if authorization.type == "bearer":
        return authorization.token
    if authorization.type == "basic" and _rule_here() == INGEST:
        return authorization.username
    return None


# --- Sessions ---


def log_in(email: str, password: str) -> None:
    """Open a session for whoever the address and password belong to; the answer carries its cookie."""
    app, moment = application(), now()
    attempt = describe_attempt(app.settings.secret_key, email=email, place=request.remote_addr or "")
    with transaction(app.engine) as session:
        claim_attempt(session, attempt, now=moment)
    proof = _prove(attempt, email, password=password)
    with transaction(app.engine) as session:
        accept_proof(session, proof, password=password)
        forgive_attempt(session, attempt, now=moment)
        record_act(session, Act("login.succeeded"), actor=f"user:{proof.user_id}", at=moment)
    _end_current_session()
    end_old_sessions(database(), now=moment)
    g.new_session_id = start_session(database(), user_id=proof.user_id, now=moment).id
    g.caller = find_signed_in(database(), session_id=g.new_session_id, now=moment)


def _prove(attempt: Attempt, email: str, *, password: str) -> Proof:
    """Hashing takes long and only reads; what fails is on record by the digest of its address."""
    app = application()
    try:
        with reading(app.engine) as session:
            return verify_password(session, email=email, password=password)
    except NotAuthenticated:
        with transaction(app.engine) as session:
            act = Act("login.failed", details={"address_digest": attempt.address.hex()})
            record_act(session, act, actor="nobody", at=now())
        raise


def change_own_password(old: str, new: str) -> None:
    """Set a new password for whoever is logged in, and a new session; all others of theirs end.

    Raises NotAllowed for a wrong old password, and Invalid for a weak new one.
    """
    user = current_user()
    if user is None or user.email is None:
        raise NotAuthenticated("Log in first.")
    app, moment = application(), now()
    attempt = describe_attempt(app.settings.secret_key, email=user.email, place=request.remote_addr or "")
    with transaction(app.engine) as session:
        claim_attempt(session, attempt, now=moment)
    try:
        _prove(attempt, user.email, password=old)
    except NotAuthenticated:
        raise NotAllowed("That is not your present password.") from None
    forgive_attempt(database(), attempt, now=moment)
    change_password(database(), user_id=user.user_id, password=new, actor=actor_of(user), at=moment)
    g.new_session_id = start_session(database(), user_id=user.user_id, now=moment).id


def log_out() -> None:
    """End the session on the server and take the cookie back."""
    record_act(database(), Act("logout"), actor=current_actor(), at=now())
    _end_current_session()
    g.new_session_id = None


def _end_current_session() -> None:
    user = current_user()
    if user is not None:
        end_session(database(), session_hash=user.session_hash)
    g.caller = None


# --- Forged requests ---


def csrf_token() -> str:
    """What a form has to carry: the session's token, or before log-in one that is also in a cookie."""
    user = current_user()
    if user is not None:
        return user.csrf_token
    if "new_csrf_token" not in g:
        g.new_csrf_token = request.cookies.get(_cookie_name("csrf")) or secrets.token_urlsafe(32)
    token: str = g.new_csrf_token
    return token


def _refuse_forgery() -> None:
    """Let a browser's change through only if one of our own pages sent it."""
    origin = request.headers.get("Origin")
    if origin is not None and origin.partition("://")[2] != request.host:
        raise NotAllowed("This form was sent from another site.")
    user = current_user()
    expected = user.csrf_token if user else request.cookies.get(_cookie_name("csrf"), "")
    given = request.headers.get("X-CSRF-Token") or request.form.get("csrf_token", "")
    if not expected or not hmac.compare_digest(given.encode(), expected.encode()):
        if request.path.startswith(PROGRAM_PATHS) and user is None:
            raise NotAuthenticated(_how_to_authenticate("admin"))
        raise NotAllowed("This form has expired; load the page again and repeat.")
    refuse_nul_in_form()


# --- After the view ---


def _cookie_name(name: str) -> str:
    """The prefix makes browsers refuse the cookie from a sibling domain, a subfolder or plain HTTP."""
    return f"__Host-tenure-{name}" if application().settings.is_production else f"tenure-{name}"


def _set_cookies(response: Response) -> Response:
    if "new_session_id" in g:
        _set_cookie(response, "session", value=g.new_session_id)
        _set_cookie(response, "csrf", value=None)
    elif "new_csrf_token" in g:
        _set_cookie(response, "csrf", value=g.new_csrf_token)
    _note_use_afterwards(response)
    return response


def _set_cookie(response: Response, name: str, *, value: str | None) -> None:
    response.set_cookie(
        _cookie_name(name),
        value or "",
        max_age=ABSOLUTE_LIMIT if value else 0,
        path="/",
        secure=application().settings.is_production,
        httponly=True,
        samesite="Lax",
    )


def _note_use_afterwards(response: Response) -> None:
    """Write down that the session or token was used, once the answer is out: nobody waits for it."""
    caller: SignedIn | Program | None = g.get("caller")
    if caller is None:
        return
    moment, app = now(), application()
    last = caller.last_seen_at if isinstance(caller, SignedIn) else caller.last_used_at
    if last is None or moment - last >= NOTE_USE_EVERY:
        response.call_on_close(lambda: _note_use(app, caller, moment=moment))


def _note_use(app: Application, caller: SignedIn | Program, *, moment: datetime) -> None:
    try:
        with transaction(app.engine) as session:
            if isinstance(caller, SignedIn):
                note_session_use(session, session_hash=caller.session_hash, now=moment)
            else:
                note_token_use(session, token_id=caller.token_id, now=moment)
    except OperationalError:
        # A long import may hold SQLite's only write lock; the next request notes it.
        app.logger.warning("the use of a session or token could not be noted")
