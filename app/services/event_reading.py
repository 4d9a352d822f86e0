"""From the messages of a batch to what is to be recorded of them, and what is refused; nothing is stored here."""

from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from typing import NamedTuple

from msgspec import UNSET

from app.domain.event_times import LATE_LIMIT_DAYS, Sending
from app.schemas.events import (
    MESSAGE_LIMIT_BYTES,
    Batch,
    Message,
    Misfit,
    Traits,
    key_text,
    microseconds,
    read_instant,
    read_message,
    read_traits,
)

MOST_CHARACTERS = 200  # of an account's id and of an event's name

REASONS = {
    "malformed": "cannot be read as a message",
    "unknown_type": "the type is none of track, page, screen, identify, group and alias",
    "no_message_id": "has no messageId, so that sending it again could not be told from another",
    "no_account": (
        "has no groupId, neither of its own nor in its context, and no group call has said which account the person "
        "belongs to"
    ),
    "no_person": "has neither userId nor anonymousId",
    "no_name": "has no event, which is its name",
    "too_large": f"is larger than {MESSAGE_LIMIT_BYTES // 1024} kB",
    "too_late": f"happened over {LATE_LIMIT_DAYS} days before it was received",
    "in_future": "happened over a day after it was received",
    "too_long": f"has an account id or a name of over {MOST_CHARACTERS} characters",
    "nul": "holds a NUL character (U+0000), which no text here may have",
}


@dataclass(frozen=True, slots=True)
class Refused:
    """A message that is not taken. `reason` is one of REASONS."""

    position: int
    message_id: str | None
    reason: str
    detail: str = ""

    @property
    def words(self) -> str:
        return REASONS[self.reason] + (f": {self.detail}" if self.detail else "")


class Row(NamedTuple):
    """A usage event as it is stored; `account` None: that of the person's last group call."""

    key: bytes
    source_id: int
    account: str | None
    person: bytes | None
    name: str
    occurred_us: int
    received_us: int
    properties: str | None


class Event(NamedTuple):
    """A usage event, and which message it was."""

    position: int
    message_id: str
    row: Row


class Grouping(NamedTuple):
    """A person belongs to an account, says the message at that position."""

    position: int
    person: bytes
    account: str


class Identity(NamedTuple):
    """What was said of a person: the only place where names and addresses are."""

    user_id: str
    person: bytes
    traits: Traits


@dataclass(slots=True)
class Delivery:
    """What one request brought."""

    source: str
    source_id: int
    received_us: int
    events: list[Event] = field(default_factory=list)
    groupings: list[Grouping] = field(default_factory=list)
    identities: list[Identity] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    ignored: int = 0
    accepted: int = 0  # messages that say who belongs where, and who is who


class Digests:
    """The ids of a source as digests: an event's, and a person's under a key that only this source has."""

    MOST_REMEMBERED = 20_000  # people: the same ones come again and again

    LONGEST_REMEMBERED = 200  # characters: real ids are short, and memory is bounded

    def __init__(self, person_key: bytes, source: str) -> None:
        self._person = blake2b(f"{source}\x1f".encode(), digest_size=16, key=person_key)
        self._event = blake2b(f"{source}\x1f".encode(), digest_size=16)
        self._remembered: dict[str, bytes] = {}

    def event(self, message_id: str) -> bytes:
        digest = self._event.copy()
        digest.update(message_id.encode())
        return digest.digest()

    def person(self, message: Message) -> bytes | None:
        """A user's by the user's id, else that of the device: the two are never taken for each other."""
        user_id = key_text(message.user_id)
        if user_id is not None:
            return self._digest_of(f"user\x1f{user_id}")
        anonymous_id = key_text(message.anonymous_id)
        return None if anonymous_id is None else self._digest_of(f"anonymous\x1f{anonymous_id}")

    def _digest_of(self, person: str) -> bytes:
        known = self._remembered.get(person)
        if known is not None:
            return known
        digest = self._person.copy()
        digest.update(person.encode())
        if len(person) <= self.LONGEST_REMEMBERED:
            if len(self._remembered) >= self.MOST_REMEMBERED:
                self._remembered.clear()
            self._remembered[person] = digest.digest()
        return digest.digest()


@dataclass(frozen=True, slots=True)
class Origin:
    """Where messages come from: a source by its id and name, and the digests of its ids."""

    source_id: int
    source: str
    digests: Digests


def read_delivery(batch: Batch, *, origin: Origin, received_at: datetime) -> Delivery:
    """Read each message by itself; one that does not fit is refused with its position and the reason."""
    received_us = microseconds(received_at) or 0
    delivery = Delivery(origin.source, origin.source_id, received_us)
    sent_us = microseconds(read_instant(batch.sent_at))
    reader = _Reader(delivery, origin.digests, sending=Sending.of(received_us, sent_us))
    for position, raw in enumerate(batch.batch):
        message_id = None
        try:
            message = read_message(raw, batch)
            message_id = key_text(message.message_id)
            reader.take(position, message_id, message=message)
        except Misfit as misfit:
            shown = message_id and message_id[:MOST_CHARACTERS]
            delivery.refused.append(Refused(position, shown, misfit.reason, misfit.detail))
    return delivery


class _Reader:
    """Puts each message where it belongs."""

    def __init__(self, delivery: Delivery, digests: Digests, *, sending: Sending) -> None:
        self._delivery, self._digests, self._sending = delivery, digests, sending

    def take(self, position: int, message_id: str | None, *, message: Message) -> None:
        if message_id is None:
            raise Misfit("no_message_id")
        match message.type:
            case "track" | "page" | "screen":
                self._take_event(position, message_id, message=message)
            case "group":
                self._take_grouping(position, message)
            case "identify":
                self._take_identity(message)
            case "alias":
                self._delivery.ignored += 1
            case _:
                raise Misfit("unknown_type", (message.type or "")[:40])

    def _take_event(self, position: int, message_id: str, *, message: Message) -> None:
        name = message.event if message.type == "track" else message.type
        if not name:
            raise Misfit("no_name")
        account = _account_of(message)
        if len(name) > MOST_CHARACTERS:
            raise Misfit("too_long")
        sending = self._sending
        if message.sent_at is not None:
            sending = Sending.of(sending.received_us, microseconds(read_instant(message.sent_at)))
        happened_us = sending.occurred_us(microseconds(message.timestamp))
        reason = sending.refusal(happened_us)
        if reason is not None:
            raise Misfit(reason)
        delivery, digests = self._delivery, self._digests
        row = Row(
            digests.event(message_id),
            delivery.source_id,
            account,
            digests.person(message),
            name,
            happened_us,
            sending.received_us,
            _kept_properties(message),
        )
        delivery.events.append(Event(position, message_id, row))

    def _take_grouping(self, position: int, message: Message) -> None:
        account, person = _account_of(message), self._digests.person(message)
        if account is None:
            raise Misfit("no_account")
        if person is None:
            raise Misfit("no_person")
        self._delivery.groupings.append(Grouping(position, person, account))
        self._delivery.accepted += 1

    def _take_identity(self, message: Message) -> None:
        user_id, person = key_text(message.user_id), self._digests.person(message)
        if person is None:
            raise Misfit("no_person")
        self._delivery.accepted += 1
        in_context = UNSET if message.context is None else message.context.traits
        traits = read_traits(message.traits) or read_traits(in_context)
        if user_id is not None and traits is not None:  # of a device without a user nobody has a name
            self._delivery.identities.append(Identity(user_id, person, traits))


def _kept_properties(message: Message) -> str | None:
    """As they came; those that say nothing are not kept."""
    properties = message.properties
    if properties is UNSET or len(properties) <= len("{}"):
        return None
    return bytes(properties).decode()


def _account_of(message: Message) -> str | None:
    account = key_text(message.group_id)
    if account is None:
        account = None if message.context is None else key_text(message.context.group_id)
    if account is not None and len(account) > MOST_CHARACTERS:
        raise Misfit("too_long")
    return account
