"""Settings > Webhooks: where messages go, what they are signed with, and what became of each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from flask import g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import LazyString

from app.auth import current_actor, requires
from app.db import reading, transaction
from app.errors import Conflict, Invalid
from app.http import application, database, now, own_transaction
from app.queries.webhooks import STATES as DELIVERY_STATES
from app.queries.webhooks import (
    DeliveriesAsked,
    Endpoint,
    find_delivery,
    find_endpoint,
    list_deliveries,
    list_endpoints,
)
from app.services.deliveries import Sender, replay_delivery, send_test
from app.services.messages import CHOSEN_TYPES
from app.services.secrets import Keyring
from app.services.webhooks import (
    EndpointChange,
    NewEndpoint,
    Rotation,
    check_address,
    create_endpoint,
    delete_endpoint,
    rotate_secret,
    update_endpoint,
)
from app.web.formats import show_instant
from app.web.moment import Moment, load_moment
from app.web.texts import gettext as _
from app.web.texts import lazy_gettext as _l
from app.web.webhook_rows import TYPES as TYPE_WORDS
from app.web.webhook_rows import DeliveryCard, Log, describe_deliveries, describe_delivery, describe_endpoint
from app.web.words import word
from integrations.http_client import Policy

SCOPE = "webhooks:admin"
PROBLEMS: Mapping[str, LazyString] = {
    "url": _l("That address is not accepted."),
    "name": _l("Give it a name of 1 to 100 characters."),
    "types": _l("Choose at least one type of message."),
}


@dataclass(frozen=True, slots=True)
class Given:
    """What a form holds, and what is wrong with it; `detail` in the words of whoever refused it."""

    name: str = ""
    url: str = ""
    types: tuple[str, ...] = CHOSEN_TYPES
    problem: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Shown:
    """A secret, this once."""

    secret: str = field(repr=False)
    name: str
    note: str


@requires(SCOPE)
def show_webhooks() -> ResponseReturnValue:
    return _list_page(Given())


@requires(SCOPE)
@own_transaction
def create() -> ResponseReturnValue:
    """The address is looked up before anything is written; the secret stands in this answer alone."""
    given = _read_form()
    try:
        address = check_address(given.url, policy=_policy())
        new = NewEndpoint(given.name, address, given.types)
        with transaction(application().engine) as session:
            made = create_endpoint(session, new, keyring=_keyring(), actor=current_actor(), at=now())
    except Invalid as error:
        with reading(application().engine) as g.session:
            return _list_page(_with_problem(given, error)), 400
    with reading(application().engine) as g.session:
        shown = Shown(made.secret, given.name, _("Copy it to the receiver now; it is not shown again."))
        return _one_page(made.id, shown=shown)


@requires(SCOPE)
def show_webhook(endpoint_id: int) -> ResponseReturnValue:
    return _one_page(endpoint_id)


@requires(SCOPE)
@own_transaction
def change(endpoint_id: int) -> ResponseReturnValue:
    """What the pressed button says: save, rotate, disable, enable, delete, test."""
    do = ACTIONS.get(request.form.get("action", ""))
    if do is None:
        raise Invalid("The form says nothing that can be done here.")
    return do(endpoint_id)


@requires(SCOPE)
def show_delivery(delivery_id: int) -> ResponseReturnValue:
    moment = load_moment()
    card = describe_delivery(find_delivery(database(), delivery_id), moment)
    return _delivery_page(card, problem="")


@requires(SCOPE)
def replay(delivery_id: int) -> ResponseReturnValue:
    try:
        with database().begin_nested():
            replay_delivery(database(), delivery_id, actor=current_actor(), at=now())
    except Conflict as error:
        card = describe_delivery(find_delivery(database(), delivery_id), load_moment())
        return _delivery_page(card, problem=_("It cannot be sent again now."), detail=str(error)), 409
    return redirect(url_for("web.delivery", delivery_id=delivery_id), 303)


def _save(endpoint_id: int) -> ResponseReturnValue:
    given = _read_form()
    try:
        address = check_address(given.url, policy=_policy()) if given.url else None
        with transaction(application().engine) as session:
            asked = EndpointChange(endpoint_id, given.name, address, given.types)
            update_endpoint(session, asked, keyring=_keyring(), actor=current_actor(), at=now())
    except Invalid as error:
        with reading(application().engine) as g.session:
            return _one_page(endpoint_id, given=_with_problem(given, error)), 400
    return _back(endpoint_id)


def _switch(endpoint_id: int, *, is_enabled: bool) -> ResponseReturnValue:
    with transaction(application().engine) as session:
        asked = EndpointChange(endpoint_id, is_enabled=is_enabled)
        update_endpoint(session, asked, keyring=_keyring(), actor=current_actor(), at=now())
    return _back(endpoint_id)


def _rotate(endpoint_id: int) -> ResponseReturnValue:
    with transaction(application().engine) as session:
        new = rotate_secret(session, Rotation(endpoint_id), keyring=_keyring(), actor=current_actor(), at=now())
    with reading(application().engine) as g.session:
        name = find_endpoint(database(), endpoint_id, at=now()).name
        until = show_instant(new.old_until, load_moment().settings.reporting_timezone)
        note = _("Copy it to the receiver now; it is not shown again. The old one counts until %(until)s.", until=until)
        return _one_page(endpoint_id, shown=Shown(new.secret, name, note))


def _delete(endpoint_id: int) -> ResponseReturnValue:
    with transaction(application().engine) as session:
        delete_endpoint(session, endpoint_id, actor=current_actor(), at=now())
    return redirect(url_for("web.webhooks"), 303)


def _test(endpoint_id: int) -> ResponseReturnValue:
    app = application()
    writing = partial(transaction, app.engine)
    tested = send_test(writing, endpoint_id, sender=Sender.of(app.settings, app.clock), actor=current_actor())
    return redirect(url_for("web.webhook", endpoint_id=endpoint_id, tested=tested.delivery_id), 303)


ACTIONS: Mapping[str, Callable[[int], ResponseReturnValue]] = {
    "save": _save,
    "rotate": _rotate,
    "disable": partial(_switch, is_enabled=False),
    "enable": partial(_switch, is_enabled=True),
    "delete": _delete,
    "test": _test,
}


def _back(endpoint_id: int) -> ResponseReturnValue:
    return redirect(url_for("web.webhook", endpoint_id=endpoint_id), 303)


def _policy() -> Policy:
    return Policy(private_targets=application().settings.private_targets)


def _keyring() -> Keyring:
    return Keyring.of(application().settings)


def _read_form() -> Given:
    form = request.form
    types = tuple(name for name in CHOSEN_TYPES if name in form.getlist("types"))
    return Given(form.get("name", "")[:200], form.get("url", "").strip()[:3000], types)


def _with_problem(given: Given, error: Invalid) -> Given:
    """The form as it was, with the problem of the field that was refused."""
    name = next((name for name in PROBLEMS if name in error.fields), None)
    problem = str(PROBLEMS[name]) if name else _("That cannot be saved.")
    return Given(given.name, given.url, given.types, problem, str(error) if name in {"url", None} else "")


def _list_page(given: Given) -> str:
    moment = load_moment()
    return render_template(
        "webhooks.html",
        endpoints=[describe_endpoint(each, moment) for each in list_endpoints(database(), at=now())],
        given=given,
        types=_types(given.types),
        log=_describe_log(None, moment, address=partial(url_for, "web.webhooks")),
    )


def _one_page(endpoint_id: int, *, given: Given | None = None, shown: Shown | None = None) -> str:
    moment = load_moment()
    endpoint = find_endpoint(database(), endpoint_id, at=now())
    given = given or _given_of(endpoint)
    return render_template(
        "webhook.html",
        endpoint=describe_endpoint(endpoint, moment),
        given=given,
        types=_types(given.types),
        shown=shown,
        tested=_tested(endpoint_id),
        log=_describe_log(endpoint_id, moment, address=partial(url_for, "web.webhook", endpoint_id=endpoint_id)),
    )


def _delivery_page(card: DeliveryCard, *, problem: str, detail: str = "") -> str:
    return render_template("webhook_delivery.html", card=card, problem=problem, detail=detail)


def _given_of(endpoint: Endpoint) -> Given:
    return Given(endpoint.name, "", tuple(endpoint.types))


def _types(chosen: tuple[str, ...]) -> list[tuple[str, str, bool]]:
    return [(name, word(TYPE_WORDS, name), name in chosen) for name in CHOSEN_TYPES]


def _asked(endpoint_id: int | None) -> DeliveriesAsked:
    state = request.args.get("state", "")
    states = (state,) if state in DELIVERY_STATES else ()
    return DeliveriesAsked(endpoint_id, states, request.args.get("cursor") or None, limit=25)


def _describe_log(endpoint_id: int | None, moment: Moment, *, address: Callable[..., str]) -> Log:
    page = list_deliveries(database(), _asked(endpoint_id))
    state = request.args.get("state", "")
    return describe_deliveries(page, moment, state=state if state in DELIVERY_STATES else "", address=address)


def _tested(endpoint_id: int) -> DeliveryCard | None:
    """Of the delivery that the address says was just tested, if it is one of this endpoint."""
    given = request.args.get("tested", "")
    if not (given.isascii() and given.isdecimal() and len(given) <= 15):
        return None
    found = find_delivery(database(), int(given))
    return describe_delivery(found, load_moment()) if found.delivery.endpoint_id == endpoint_id else None
