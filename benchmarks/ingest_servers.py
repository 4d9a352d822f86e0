"""What the event endpoints are held against: each a bare WSGI application under the same server.

`raw` reads the body and answers. `parse` also decodes it with msgspec, each event with its fields and its instant, and
keeps nothing; `flask` does that in a view of Flask, as services mostly do. `copy` decodes it and puts the events by
COPY into the same table, a transaction a batch, and checks nothing. `orm` is the customary way: marshmallow, and the
ORM with a look for what is there, for which it gets an index on the events' keys.
"""

import os
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from hashlib import blake2b
from threading import local
from typing import Any

import msgspec
import psycopg
from flask import Flask, Response, request
from marshmallow import EXCLUDE, Schema, fields
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from app.db import make_engine, transaction
from app.models.events import UsageEvent

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Start = Callable[[str, list[tuple[str, str]]], Any]
ANSWER = b'{"success":true}'


class Event(msgspec.Struct, rename="camel"):
    type: str
    message_id: str
    user_id: str
    group_id: str
    event: str
    timestamp: datetime
    properties: msgspec.Raw


class Batch(msgspec.Struct, rename="camel"):
    batch: list[Event]
    sent_at: datetime


class EventSchema(Schema):
    class Meta:
        unknown = EXCLUDE

    type = fields.String(required=True)
    messageId = fields.String(required=True)  # noqa: N815  as it is sent
    userId = fields.String(required=True)  # noqa: N815
    groupId = fields.String(required=True)  # noqa: N815
    event = fields.String(required=True)
    timestamp = fields.AwareDateTime(required=True)
    properties = fields.Dict()


class BatchSchema(Schema):
    class Meta:
        unknown = EXCLUDE

    batch = fields.List(fields.Nested(EventSchema), required=True)
    sentAt = fields.AwareDateTime()  # noqa: N815


decode = msgspec.json.Decoder(Batch).decode
schema = BatchSchema()
here = local()


def answer(environ: dict[str, Any], start: Start, *, work: Callable[[bytes], None]) -> Iterable[bytes]:
    work(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
    start("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(ANSWER)))])
    return [ANSWER]


def raw(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    return answer(environ, start, work=lambda _body: None)


def parse(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    return answer(environ, start, work=lambda body: decode(body) and None)


flask_app = Flask(__name__)


@flask_app.post("/v1/batch")
def parse_in_flask() -> Response:
    decode(request.get_data())
    return Response(ANSWER, mimetype="application/json")


def copy(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    return answer(environ, start, work=_copy)


def _copy(body: bytes) -> None:
    if not hasattr(here, "connection"):
        here.connection = psycopg.connect(os.environ["DATABASE_URL"])
    now = microseconds(datetime.now(UTC))
    names = "event_key, source_id, account_ref, person_key, name, occurred_us, received_us, properties"
    with (
        here.connection.transaction(),
        here.connection.cursor() as cursor,
        cursor.copy(f"COPY usage_events ({names}) FROM STDIN") as copying,
    ):
        for event in decode(body).batch:
            key, person = digest(event.message_id), digest(event.user_id)
            occurred = microseconds(event.timestamp)
            properties = bytes(event.properties).decode()
            copying.write_row((key, 1, event.group_id, person, event.event, occurred, now, properties))


def orm(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    return answer(environ, start, work=_orm)


def _orm(body: bytes) -> None:
    if not hasattr(here, "engine"):
        here.engine = make_engine(os.environ["DATABASE_URL"])
    engine: Engine = here.engine
    given = schema.loads(body.decode())["batch"]
    keys = {digest(each["messageId"]): each for each in given}
    now = microseconds(datetime.now(UTC))
    with transaction(engine) as session:
        known = _known(session, list(keys))
        session.add_all(
            UsageEvent(
                event_key=key, source_id=1, account_ref=each["groupId"], person_key=digest(each["userId"]),
                name=each["event"], occurred_us=microseconds(each["timestamp"]), received_us=now,
                properties=str(each["properties"]),
            )
            for key, each in keys.items()
            if key not in known
        )  # fmt: skip


def _known(session: Session, keys: list[bytes]) -> set[bytes]:
    return set(session.scalars(select(UsageEvent.event_key).where(UsageEvent.event_key.in_(keys))))


def digest(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=16).digest()


def microseconds(instant: datetime) -> int:
    return int((instant - EPOCH).total_seconds() * 1e6)
