"""Invoices and their payment, as a billing system tells them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.domain.money import MoneyError, round_to_money
from app.models.billing import Invoice
from app.models.versions import Change
from app.queries.ids import BATCH
from app.services.persons import unknown_account
from app.services.sources import Recorded, Refusal, Source
from app.services.versions import record_versions
from integrations.files.rows import InvoiceRow

Row = dict[str, Any]


def record_invoices(session: Session, change: Change, *, source: Source, rows: Sequence[InvoiceRow]) -> Recorded:
    """Record invoices; ids must be unique in `rows`. One of an account that is not known is refused,
    and one whose amount is more than can be booked.

    An amount is rounded half-even to its currency's minor unit, once. A payment is known from now on
    (live) or from its own day (backfill), and stays known from when it was heard of first.
    """
    accounts = source.find_accounts(session, [row.account for row in rows])
    heard = _payments_heard_of(session, source.system, ids=[row.id for row in rows])
    versions: list[Row] = []
    refusals: list[Refusal] = []
    for position, row in enumerate(rows):
        if row.account not in accounts:
            refusals.append(Refusal(position, "account", unknown_account(row.account)))
            continue
        try:
            versions.append(_version(row, accounts[row.account], source=source))
        except MoneyError as error:
            refusals.append(Refusal(position, "amount", str(error)))
    for version in versions:
        paid_on, at = heard.get(version["external_id"], (None, None))
        if paid_on is not None and paid_on == version["paid_on"]:
            version["paid_available_at"] = at
    outcome = record_versions(session, change, table=Invoice, key=["system", "external_id"], rows=versions)
    return Recorded(outcome, tuple(refusals))


def _version(row: InvoiceRow, account_id: int, *, source: Source) -> Row:
    money = None if row.amount is None or row.currency is None else round_to_money(row.amount, row.currency)
    return {
        "system": source.system,
        "external_id": row.id,
        "account_id": account_id,
        "issued_on": row.issued_on,
        "due_on": row.due_on,
        "paid_on": row.paid_on,
        "paid_available_at": source.available_at(row.paid_on) if row.paid_on else None,
        "amount_minor": money and money.minor,
        "currency": money and money.currency,
        "available_at": source.available_at(row.issued_on, row.available_on),
    }


def _payments_heard_of(session: Session, system: str, *, ids: Sequence[str]) -> dict[str, tuple[Any, datetime | None]]:
    """By the id of the invoice: on which day it was paid, and since when that is known."""
    heard: dict[str, tuple[Any, datetime | None]] = {}
    for start in range(0, len(ids), BATCH):
        found = session.execute(
            select(Invoice.external_id, Invoice.paid_on, Invoice.paid_available_at).where(
                Invoice.system == system,
                Invoice.external_id.in_(ids[start : start + BATCH]),
                Invoice.superseded_change_id.is_(None),
            )
        )
        heard |= {name: (paid_on, at) for name, paid_on, at in found}
    return heard
