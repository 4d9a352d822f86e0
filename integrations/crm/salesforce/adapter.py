"""Salesforce as a CRM of ours (integrations/crm/client.py)."""

import hmac
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from integrations.crm.client import (
    About,
    CrmError,
    Found,
    Keep,
    Noun,
    Option,
    Page,
    Push,
    Window,
    WriteBack,
    keep_nowhere,
)
from integrations.crm.mapping import CrmMapping
from integrations.crm.salesforce import soql
from integrations.crm.salesforce.options import list_options
from integrations.crm.salesforce.reading import Reader
from integrations.crm.salesforce.schema import Schema, text_at
from integrations.crm.salesforce.session import Session
from integrations.crm.salesforce.writing import Writer
from integrations.crm.transport import Transport

DOORBELL_HEADER = "x-tenure-doorbell"


def connect(
    transport: Transport,
    mapping: CrmMapping,
    *,
    secret: Mapping[str, str],
    keep: Keep = keep_nowhere,
    now: Callable[[], float] = time.time,
) -> "Salesforce":
    """A client; nothing is asked yet. `secret` is one of

    client_id, username and private_key (RSA, PEM): signs in by a key, which is best, for nothing of it expires;
    client_id, client_secret and refresh_token; client_id and client_secret; token alone, until it expires.
    """
    session = Session(transport, secret=secret, keep=keep, options=mapping.options, now=now)
    return Salesforce(session, mapping)


class Salesforce:
    def __init__(self, session: Session, mapping: CrmMapping) -> None:
        self._session, self._mapping = session, mapping
        self._schema = Schema(session)
        self._reader = Reader(session, self._schema, mapping)
        self._writer = Writer(session, schema=self._schema, mapping=mapping)

    @property
    def overlap_seconds(self) -> int:
        return int(self._mapping.options["overlap_seconds"])

    @property
    def lag_seconds(self) -> int:
        return int(self._mapping.options["lag_seconds"])

    def ask_about(self) -> About:
        asked = soql.select("Organization", ("Id", "Name", "IsSandbox"), most=1)
        company = next(self._session.records(asked), None)
        if company is None:
            raise CrmError("Salesforce does not say whose it is: this user may not see the Organization.")
        sandbox = ", a sandbox" if company.get("IsSandbox") else ""
        return About(
            name=f"{text_at(company, 'Name')} ({company['Id']}{sandbox})",
            user=self._user(),
            version=self._session.version,
            currency=self._currency(),
        )

    def _user(self) -> str:
        """Who we are there: known only where signing in said so, not of a token that was given."""
        us = self._session.sign_in()
        if us is None:
            return ""
        asked = soql.select("User", ("Id", "Username"), where=[soql.equals("Id", us)])
        return next((text_at(record, "Username") or "" for record in self._session.records(asked)), "")

    def _currency(self) -> str | None:
        if not self._schema.has_currencies():
            return self._mapping.currency
        asked = soql.select("CurrencyType", ("IsoCode",), where=["IsCorporate = true"])
        return next((text_at(record, "IsoCode") for record in self._session.records(asked)), None)

    def nouns(self) -> Sequence[Noun]:
        return tuple(Noun)

    def read(self, noun: Noun, window: Window, *, mark: str | None = None) -> Iterator[Page[Any]]:
        return self._reader.read(noun, window, mark=mark)

    def list_ids(self, noun: Noun) -> Iterator[Sequence[str]]:
        return self._reader.list_ids(noun)

    def find(self, noun: Noun, ids: Sequence[str]) -> Mapping[str, Found]:
        return self._reader.find(noun, ids)

    def list_options(self) -> Mapping[str, Sequence[Option]]:
        return list_options(self._session, schema=self._schema, mapping=self._mapping)

    def write(self, what: WriteBack) -> str:
        return self._writer.write(what)

    def is_genuine(self, push: Push, *, secret: str, now: datetime) -> bool:
        return is_genuine(push, secret=secret, now=now)


def is_genuine(push: Push, *, secret: str, now: datetime) -> bool:  # noqa: ARG001  nothing in it is dated
    """Whether it brings the secret that was shared: Salesforce signs nothing, a flow can send a header."""
    given = next((value for name, value in push.headers.items() if name.lower() == DOORBELL_HEADER), "")
    return bool(secret) and hmac.compare_digest(given.encode(), secret.encode())
