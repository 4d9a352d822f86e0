"""From the messages of a batch to what is to be recorded of them, and what is refused; nothing is stored here."""

from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from typing import NamedTuple

from msgspec import UNSET

from app.domain.event_times import LATE_LIMIT_DAYS, Sending
from app.schemas.events import (
    PROPERTIES_LIMIT_BYTES,
    Batch,
    ExternalKey,
    Message,
    Misfit,
    Traits,
    key_text,
    microseconds,
    read_instant,
    read_properties,
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
    "too_large": f"has properties of more than {PROPERTIES_LIMIT_BYTES // 1024} kB",
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


# A usage event as it is stored: its key, source, account and person, its name, when it occurred and was received in
# microseconds, and its properties. No class: making one of each would take a tenth of the time of reading it.
Row = tuple[bytes, int, str, bytes | None, str, int, int, str | None]


class Homeless(NamedTuple):
    """A usage event whose account is that of its person's last group call, and which message it was."""

    position: int
    message_id: str
    person: bytes | None
    row: Row  # with an empty account

    def at(self, account: str) -> Row:
        key, source_id, _, person, name, occurred_us, received_us, properties = self.row
        return key, source_id, account, person, name, occurred_us, received_us, properties


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
    rows: list[Row] = field(default_factory=list)
    homeless: list[Homeless] = field(default_factory=list)
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
        self._users: dict[ExternalKey, bytes] = {}

    def event(self, message_id: str) -> bytes:
        digest = self._event.copy()
        digest.update(message_id.encode())
        return digest.digest()

    def person(self, message: Message) -> bytes | None:
        """A user's by the user's id, else that of the device: the two are never taken for each other."""
        known = self._users.get(message.user_id)
        if known is not None:
            return known
        user_id = key_text(message.user_id)
        if user_id is not None:
            return self._remember(message.user_id, self._digest_of(f"user\x1f{user_id}"))
        anonymous_id = key_text(message.anonymous_id)
        return None if anonymous_id is None else self._digest_of(f"anonymous\x1f{anonymous_id}")

    def _digest_of(self, person: str) -> bytes:
        digest = self._person.copy()
        digest.update(person.encode())
        return digest.digest()

    def _remember(self, user_id: ExternalKey, digest: bytes) -> bytes:
        if not isinstance(user_id, str) or len(user_id) <= self.LONGEST_REMEMBERED:
            if len(self._users) >= self.MOST_REMEMBERED:
                self._users.clear()
            self._users[user_id] = digest
        return digest


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
    for position, message in enumerate(batch.messages):
        try:
            reader.take(position, message)
        except Misfit as misfit:
            message_id = key_text(message.message_id) if isinstance(message, Message) else None
            shown = message_id and message_id[:MOST_CHARACTERS]
            delivery.refused.append(Refused(position, shown, misfit.reason, misfit.detail))
    return delivery


class _Reader:
    """Puts each message where it belongs."""

    def __init__(self, delivery: Delivery, digests: Digests, *, sending: Sending) -> None:
        self._delivery, self._digests, self._sending = delivery, digests, sending

    def take(self, position: int, message: Message | Misfit) -> None:
        if isinstance(message, Misfit):
            raise message
        message_id = key_text(message.message_id)
        if message_id is None:
            raise Misfit("no_message_id")
        match message.type:
            case "track":
                self._take_event(position, message_id, name=message.event, message=message)
            case "page" | "screen":
                self._take_event(position, message_id, name=message.type, message=message)
            case "group":
                self._take_grouping(position, message)
            case "identify":
                self._take_identity(message)
            case "alias":
                self._delivery.ignored += 1
            case _:
                raise Misfit("unknown_type", (message.type or "")[:40])

    def _take_event(self, position: int, message_id: str, *, name: str | None, message: Message) -> None:
        properties = read_properties(message.properties)
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
        delivery, person = self._delivery, self._digests.person(message)
        row = (
            self._digests.event(message_id),
            delivery.source_id,
            account or "",
            person,
            name,
            happened_us,
            sending.received_us,
            properties,
        )
        if account is None:
            delivery.homeless.append(Homeless(position, message_id, person, row))
        else:
            delivery.rows.append(row)

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


def _account_of(message: Message) -> str | None:
    account = key_text(message.group_id)
    if account is None:
        account = None if message.context is None else key_text(message.context.group_id)
    if account is not None and len(account) > MOST_CHARACTERS:
        raise Misfit("too_long")
    return account
