"""Webhook endpoints, and the log of what was sent to them."""

from datetime import timedelta
from functools import partial
from typing import Any

from app.api.endpoint import Reply, endpoint
from app.auth import current_actor
from app.db import transaction
from app.http import application, database, now, own_transaction
from app.queries.webhooks import DeliveriesAsked, DeliveryFull, Endpoint, find_delivery, find_endpoint
from app.queries.webhooks import list_deliveries as load_deliveries
from app.queries.webhooks import list_endpoints as load_endpoints
from app.schemas import webhooks as schemas
from app.services.deliveries import Sender, replay_delivery, send_test
from app.services.secrets import Keyring
from app.services.webhooks import (
    Address,
    EndpointChange,
    NewEndpoint,
    Rotation,
    check_address,
    create_endpoint,
    delete_endpoint,
    rotate_secret,
    update_endpoint,
)
from integrations.http_client import Policy

SCOPE = "webhooks:admin"
PATH = "/webhook-endpoints"
ONE = f"{PATH}/<id:endpoint_id>"
LOG = "/webhook-deliveries"
LOGGED = f"{LOG}/<id:delivery_id>"


def look_up(body: dict[str, Any]) -> Address | None:
    """The address in the body, if there is one, once it is known that messages may go there."""
    policy = Policy(private_targets=application().settings.private_targets)
    return check_address(body["url"], policy=policy) if "url" in body else None


def _present(found: Endpoint) -> dict[str, Any]:
    return {name: getattr(found, name) for name in Endpoint.__dataclass_fields__} | {"is_enabled": found.is_enabled}


def _load(endpoint_id: int) -> dict[str, Any]:
    return _present(find_endpoint(database(), endpoint_id, at=now()))


def _keyring() -> Keyring:
    return Keyring.of(application().settings)


@endpoint(PATH, scope=SCOPE, answer=schemas.EndpointList())
def list_webhook_endpoints() -> Reply:
    """Where messages go, with how it goes there."""
    return Reply({"data": [_present(each) for each in load_endpoints(database(), at=now())]})


@endpoint(
    PATH,
    method="POST",
    scope=SCOPE,
    body=schemas.NewEndpointBody(),
    prepare=look_up,
    answer=schemas.MadeEndpoint(),
    status=201,
)
def make_webhook_endpoint(body: dict[str, Any], prepared: Address) -> Reply:
    """Add an endpoint.

    Its signing secret is in this answer and nowhere else: give it to the receiver now. The address is
    looked up, and refused where it leads to this or another private network.
    """
    new = NewEndpoint(body["name"], prepared, body["types"], body["format"])
    made = create_endpoint(database(), new, keyring=_keyring(), actor=current_actor(), at=now())
    return Reply(_load(made.id) | {"secret": made.secret}, status=201)


@endpoint(ONE, scope=SCOPE, answer=schemas.EndpointItem())
def show_webhook_endpoint(endpoint_id: int) -> Reply:
    """One endpoint."""
    return Reply(_load(endpoint_id))


@endpoint(ONE, method="PATCH", scope=SCOPE, body=schemas.EndpointBody(), prepare=look_up, answer=schemas.EndpointItem())
def change_webhook_endpoint(endpoint_id: int, *, body: dict[str, Any], prepared: Address | None) -> Reply:
    """Change what is given: name, address, types, format, on or off.

    What is on its way goes to the new address. Switching off drops what is pending.
    """
    given = {name: value for name, value in body.items() if name != "url"}
    change = EndpointChange(endpoint_id, address=prepared, **given)
    update_endpoint(database(), change, keyring=_keyring(), actor=current_actor(), at=now())
    database().flush()
    return Reply(_load(endpoint_id))


@endpoint(ONE, method="DELETE", scope=SCOPE, status=204)
def end_webhook_endpoint(endpoint_id: int) -> Reply:
    """Delete an endpoint with its address and secrets.

    The log of what was sent to it stays.
    """
    delete_endpoint(database(), endpoint_id, actor=current_actor(), at=now())
    return Reply(None, status=204)


@endpoint(f"{ONE}/rotate-secret", method="POST", scope=SCOPE, body=schemas.RotateBody(), answer=schemas.NewSecret())
def rotate_webhook_secret(endpoint_id: int, body: dict[str, Any]) -> Reply:
    """Make a new signing secret.

    For the overlap messages carry two signatures, so that the receiver can change over at any time
    in it. The secret is in this answer and nowhere else.
    """
    rotation = Rotation(endpoint_id, timedelta(hours=body["overlap_hours"]))
    return Reply(rotate_secret(database(), rotation, keyring=_keyring(), actor=current_actor(), at=now()))


@endpoint(f"{ONE}/test", method="POST", scope=SCOPE, answer=schemas.Tested())
@own_transaction
def test_webhook_endpoint(endpoint_id: int) -> Reply:
    """Send a message of the type webhook.test now, and say what came of it.

    It is sent once, also to an endpoint that is off, and the answer may take 15 seconds.
    """
    app = application()
    sender = Sender.of(app.settings, app.clock)
    return Reply(send_test(partial(transaction, app.engine), endpoint_id, sender=sender, actor=current_actor()))


@endpoint(LOG, scope=SCOPE, parameters=schemas.DeliveryParameters(), answer=schemas.DeliveryList())
def list_webhook_deliveries(parameters: dict[str, Any]) -> Reply:
    """What was sent, is on its way, or was given up, the newest first, of the last 30 days."""
    asked = DeliveriesAsked(
        parameters.get("endpoint_id"), parameters.get("state", ()), parameters.get("cursor"), parameters["limit"]
    )
    page = load_deliveries(database(), asked)
    return Reply({"data": page.rows}, page.next_cursor)


@endpoint(LOGGED, scope=SCOPE, answer=schemas.DeliveryFull())
def show_webhook_delivery(delivery_id: int) -> Reply:
    """One delivery, with the body that is sent and every attempt."""
    return Reply(_full(find_delivery(database(), delivery_id)))


def _full(found: DeliveryFull) -> dict[str, Any]:
    row = found.delivery
    return {name: getattr(row, name) for name in row.__dataclass_fields__} | {"body": found.body, "tries": found.tries}


@endpoint(f"{LOGGED}/replay", method="POST", scope=SCOPE, answer=schemas.DeliveryFull())
def replay_webhook_delivery(delivery_id: int) -> Reply:
    """Send an ended delivery again, under the same id and with ten attempts more.

    For 14 days after it ended, and while its endpoint is on.
    """
    replay_delivery(database(), delivery_id, actor=current_actor(), at=now())
    database().flush()
    return Reply(_full(find_delivery(database(), delivery_id)))
