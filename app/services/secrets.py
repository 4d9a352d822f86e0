"""Secrets at rest: AES-256-GCM under a key of the installation, bound to the place where each is kept."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy import Table, select, update
from sqlalchemy.orm import Session

from app.config import Settings
from app.errors import TenureError
from app.models.crm import CrmConnection
from app.models.events import EventSource
from app.models.webhooks import WebhookEndpoint, WebhookSecret

FORM = b"\x01"  # of the ciphertext: form, key id, nonce, sealed text with its tag
KEY_ID_BYTES, NONCE_BYTES, TAG_BYTES = 4, 12, 16
HEAD_BYTES = len(FORM) + KEY_ID_BYTES
ENCRYPTED: tuple[tuple[Table, str], ...] = (
    (WebhookEndpoint.metadata.tables["webhook_endpoints"], "url_ciphertext"),
    (EventSource.metadata.tables["event_sources"], "person_key_ciphertext"),
    (WebhookSecret.metadata.tables["webhook_secrets"], "ciphertext"),
    (CrmConnection.metadata.tables["crm_connections"], "secret_ciphertext"),
    (CrmConnection.metadata.tables["crm_connections"], "push_ciphertext"),
)


class SecretUnreadable(TenureError):
    """A stored secret cannot be read."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a ciphertext is kept; it can be read there and nowhere else."""

    table: str
    row: int | str
    column: str

    def __str__(self) -> str:
        return f"{self.table}.{self.column} of row {self.row}"


@dataclass(frozen=True, slots=True)
class Rotated:
    """How many secrets were encrypted anew, and how many were under the present key already."""

    rewritten: int
    kept: int


@dataclass(frozen=True, slots=True)
class _Key:
    id: bytes
    cipher: AESGCM = field(repr=False)


@dataclass(frozen=True, slots=True)
class Keyring:
    """The present key, under which is written, and the old ones, under which can still be read.

    A key is HKDF-SHA256 of an installation's secret; its id is the beginning of a digest of it, so
    that a ciphertext says which key it needs and tells nothing about it.
    """

    _keys: tuple[_Key, ...] = field(repr=False)

    @classmethod
    def of(cls, settings: Settings) -> Self:
        return cls(tuple(_derive(secret) for secret in (settings.secret_key, *settings.old_secret_keys)))

    def encrypt(self, text: str, place: Place) -> bytes:
        """Seal the text with a fresh nonce; two ciphertexts of one text have nothing in common."""
        head, nonce = FORM + self._keys[0].id, os.urandom(NONCE_BYTES)
        return head + nonce + self._keys[0].cipher.encrypt(nonce, text.encode(), _bound_to(head, place))

    def decrypt(self, ciphertext: bytes, place: Place) -> str:
        """The text that was encrypted for this very place.

        Raises SecretUnreadable where it was written under a key that is not at hand, was changed, or
        was moved here from somewhere else.
        """
        head, nonce, sealed = _split(ciphertext, place)
        key = next((key for key in self._keys if head == FORM + key.id), None)
        if key is None:
            raise SecretUnreadable(
                f"{place} was encrypted under another TENURE_SECRET_KEY; give that one in TENURE_OLD_SECRET_KEYS."
            )
        try:
            return key.cipher.decrypt(nonce, sealed, _bound_to(head, place)).decode()
        except InvalidTag:
            raise SecretUnreadable(
                f"{place} is damaged or was moved there from elsewhere; make that secret anew."
            ) from None

    def is_current(self, ciphertext: bytes) -> bool:
        return ciphertext.startswith(FORM + self._keys[0].id)


def rotate_secrets(session: Session, keyring: Keyring) -> Rotated:
    """Encrypt under the present key whatever is under an old one, all in the caller's transaction.

    Raises SecretUnreadable at the first that no key at hand can read; then nothing is changed.
    """
    rewritten = kept = 0
    for table, column, row, ciphertext in _stored(session):
        if keyring.is_current(ciphertext):
            kept += 1
            continue
        place = Place(table.name, row, column)
        anew = keyring.encrypt(keyring.decrypt(ciphertext, place), place)
        session.execute(update(table).where(table.c.id == row).values({column: anew}))
        rewritten += 1
    return Rotated(rewritten, kept)


def _stored(session: Session) -> Iterator[tuple[Table, str, Any, bytes]]:
    """Every ciphertext, under a lock until the end of the transaction; emptied ones hold no secret."""
    for table, column in ENCRYPTED:
        for row, ciphertext in session.execute(select(table.c.id, table.c[column]).with_for_update()).all():
            if ciphertext:
                yield table, column, row, ciphertext


def _derive(secret: str) -> _Key:
    key = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"tenure: secrets at rest").derive(secret.encode())
    return _Key(hashlib.sha256(b"tenure: key id" + key).digest()[:KEY_ID_BYTES], AESGCM(key))


def _split(ciphertext: bytes, place: Place) -> tuple[bytes, bytes, bytes]:
    if len(ciphertext) < HEAD_BYTES + NONCE_BYTES + TAG_BYTES or not ciphertext.startswith(FORM):
        raise SecretUnreadable(f"{place} holds no ciphertext of ours; make that secret anew.")
    nonce_end = HEAD_BYTES + NONCE_BYTES
    return ciphertext[:HEAD_BYTES], ciphertext[HEAD_BYTES:nonce_end], ciphertext[nonce_end:]


def _bound_to(head: bytes, place: Place) -> bytes:
    """No name of ours holds a NUL, so that no two places look alike."""
    return b"\0".join([head, place.table.encode(), str(place.row).encode(), place.column.encode()])
