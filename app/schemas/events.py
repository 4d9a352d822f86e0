"""Usage events as client libraries send them: read with msgspec, in bounded memory.

A body that is no JSON is refused whole; a message that does not fit is refused alone, by its position: a body of which
all fits is decoded in one go, any other message by message.
"""

import re
import zlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from app.errors import Invalid, TooLarge

BATCH_LIMIT_BYTES = 500 * 1024
PROPERTIES_LIMIT_BYTES = 32 * 1024
MOST_MESSAGES = 10_000  # of real ones, fewer fit into a batch
TOO_LARGE = f"A batch is at most {BATCH_LIMIT_BYTES // 1024} kB of JSON; send it in parts."
# Every escape of JSON in turn, whole pairs of surrogates first; what is left in the group is half of one.
ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)
NUL, ESCAPED_BACKSLASH = b"\\u0000", b"\\\\"
GZIP_MAGIC = b"\x1f\x8b"
EPOCH, MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)

T = TypeVar("T")

# Ids are texts, but numbers in many a database, and sent as they come from there.
ExternalKey = str | int | float | None


class Context(Struct, rename="camel"):
    group_id: ExternalKey = None
    traits: Raw | UnsetType = UNSET


class Message(Struct, rename="camel"):
    """One call of a client library; what is not named here is not looked at."""

    type: str | None = None
    message_id: ExternalKey = None
    user_id: ExternalKey = None
    anonymous_id: ExternalKey = None
    group_id: ExternalKey = None
    event: str | None = None
    name: str | None = None
    timestamp: datetime | None = None
    sent_at: Any = None
    context: Context | None = None
    properties: Raw | UnsetType = UNSET
    traits: Raw | UnsetType = UNSET


class Misfit(Exception):
    """A message that does not fit: a reason in a word, and what is wrong with it."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason, self.detail = reason, detail


class Whole(Struct, rename="camel"):
    """A batch of which each message fits."""

    batch: list[Message]
    sent_at: Any = None


class Parts(Struct, rename="camel"):
    """A batch whose messages are still to be read."""

    batch: list[Raw]
    sent_at: Any = None


class Batch(Struct):
    """Messages, and in the place of one that cannot be read what is wrong with it."""

    messages: Sequence[Message | Misfit]
    sent_at: Any = None


class Traits(Struct, rename="camel"):
    """What is known of a person. Anything else that was sent is not kept."""

    name: Any = None
    first_name: Any = None
    last_name: Any = None
    email: Any = None
    phone: Any = None


_WHOLE = msgspec.json.Decoder(Whole)
_PARTS = msgspec.json.Decoder(Parts)
_SINGLES = msgspec.json.Decoder(Raw)
_MESSAGES = msgspec.json.Decoder(Message)
_TRAITS = msgspec.json.Decoder(Traits | None)
_ANYTHING = msgspec.json.Decoder()
# UnicodeDecodeError: a part that was passed over unread at first. RecursionError: some thousand levels.
UNREADABLE = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)


def unpack(body: bytes, encoding: str) -> bytes:
    """The body as it was before gzip; never more than the limit of a batch is unpacked."""
    if encoding not in {"", "identity", "gzip"}:
        raise Invalid(f"The Content-Encoding {encoding[:40]!r} is not read here; send gzip, or none.")
    if encoding != "gzip" and not body.startswith(GZIP_MAGIC):
        return body
    unpacking = zlib.decompressobj(wbits=31)
    try:
        unpacked = unpacking.decompress(body, BATCH_LIMIT_BYTES + 1)
    except zlib.error:
        raise Invalid("The body says that it is gzip, and it is not.") from None
    if len(unpacked) <= BATCH_LIMIT_BYTES and not unpacking.eof:
        raise Invalid("The gzip of the body is cut off.")
    return unpacked


def read_batch(body: bytes) -> Batch:
    """The messages of a batch. Raises TooLarge and Invalid for a body that is none."""
    _check_size(body)
    batch = _read_whole(body) or _read_parts(body)
    if len(batch.messages) > MOST_MESSAGES:
        raise TooLarge(f"A batch has at most {MOST_MESSAGES:,} messages; send it in parts.")
    return batch


def _read_whole(body: bytes) -> Batch | None:
    """None where it cannot be read in one go, and where a NUL has to be looked for in each message."""
    if b"\\" in body and NUL in body:
        return None
    try:
        whole = _WHOLE.decode(body)
    except UNREADABLE:
        return None
    return Batch(whole.batch, whole.sent_at)


def _read_parts(body: bytes) -> Batch:
    try:
        parts = _decode(_PARTS, body)
    except UNREADABLE as error:
        raise Invalid(_unreadable(error, 'a JSON object with the messages as the list "batch"')) from None
    return Batch([_read_message(raw) for raw in parts.batch[: MOST_MESSAGES + 1]], parts.sent_at)


def _read_message(raw: Raw) -> Message | Misfit:
    try:
        message = _MESSAGES.decode(raw)
    except UNREADABLE as error:
        return Misfit("malformed", str(error))
    return Misfit("nul") if NUL in bytes(raw).replace(ESCAPED_BACKSLASH, b"") else message


def _decode(decoder: "msgspec.json.Decoder[T]", body: bytes) -> T:
    """JavaScript sends an emoji that was cut in two as half a pair, which is no text: such a half is replaced."""
    try:
        return decoder.decode(body)
    except msgspec.DecodeError:
        mended = mend_surrogates(body)
        if mended == body:
            raise
        return decoder.decode(mended)


def mend_surrogates(body: bytes) -> bytes:
    """The JSON with U+FFFD in the place of every half of a surrogate pair that stands alone."""
    return ESCAPE.sub(lambda escape: b"\\ufffd" if escape[1] else escape[0], body)


def read_single(kind: str, body: bytes) -> Batch:
    """The one message of a body as a batch; one that names no type is of the kind it was sent as."""
    _check_size(body)
    try:
        raw = _decode(_SINGLES, body)
        if not bytes(raw).lstrip().startswith(b"{"):
            raise Invalid("The body must be a JSON object, in braces.")
    except UNREADABLE as error:
        raise Invalid(_unreadable(error, "one JSON object")) from None
    message = _read_message(raw)
    if isinstance(message, Message) and message.type is None:
        message.type = kind
    return Batch([message])


def _check_size(body: bytes) -> None:
    if len(body) > BATCH_LIMIT_BYTES:
        raise TooLarge(TOO_LARGE)


def _unreadable(error: Exception, wanted: str) -> str:
    if isinstance(error, RecursionError):
        return "The JSON is nested too deeply to be read."
    return f"The body must be {wanted}: {error}."


def read_properties(properties: Raw | UnsetType) -> str | None:
    """The properties as they came; those that say nothing are none. Raises Misfit."""
    if properties is UNSET or len(properties) <= len("{}"):
        return None
    if len(properties) > PROPERTIES_LIMIT_BYTES:
        raise Misfit("too_large", f"{len(properties):,} bytes")
    try:
        _ANYTHING.decode(properties)  # a number that is too large, or text that is none, shows only now
        return str(properties, "utf-8")
    except UNREADABLE as error:
        raise Misfit("malformed", str(error)) from None


def read_traits(traits: Raw | UnsetType) -> Traits | None:
    """A person's traits; None where there are none that can be read."""
    if traits is UNSET:
        return None
    try:
        read: Traits | None = _TRAITS.decode(traits)
    except UNREADABLE:
        return None
    return read


def read_instant(value: Any) -> datetime | None:
    """An instant in ISO 8601; None for anything else: a wrong clock is no reason to lose a batch."""
    try:
        return msgspec.convert(value, datetime) if isinstance(value, str) else None
    except msgspec.ValidationError:
        return None


def microseconds(instant: datetime | None) -> int | None:
    """Since 1970 in UTC; an instant without a zone is meant in UTC."""
    if instant is None:
        return None
    return ((instant if instant.tzinfo else instant.replace(tzinfo=UTC)) - EPOCH) // MICROSECOND


def key_text(value: ExternalKey) -> str | None:
    """An id as text; an empty one is none, and 7.0 is 7."""
    if type(value) is str or value is None:
        return value or None
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
