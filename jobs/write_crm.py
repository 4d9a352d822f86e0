"""Back to the CRM, as far as its mapping switches it on: accepted opportunities, and fields of accounts."""

import hashlib
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import orjson
from sqlalchemy.orm import Session

from app.db import reading
from app.domain.money import Money
from app.queries.crm import ConnectionState
from app.queries.crm_writes import (
    AcceptedOpportunity,
    PastWrite,
    ScoredAccount,
    find_published_run,
    list_accepted,
    list_scored,
    load_past_writes,
)
from app.services.crm_writes import MOST_TRIES, WRITTEN, Planned, begin_write, end_write, fail_write
from integrations.crm.client import (
    AccountFields,
    CrmBusy,
    CrmClient,
    CrmError,
    CrmRefused,
    NewLine,
    NewNote,
    NewOpportunity,
    NewTask,
    WriteBack,
)
from integrations.crm.mapping import CrmMapping
from jobs.work import Work

log = logging.getLogger(__name__)

MOTIONS = {"upsell": "More of", "cross_sell": "New:"}


@dataclass(frozen=True, slots=True)
class Written:
    """What was written, and what could not be."""

    written: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class BackWriter:
    """A connection that is written to, until `until` of the monotonic clock."""

    work: Work
    connection: ConnectionState
    client: CrmClient
    mapping: CrmMapping
    until: float


def write_back(writer: BackWriter) -> Written:
    """Write what is switched on and not there yet; one that fails stops no other, and is tried five times.

    Fields of accounts are gone through once for each published run, until all of them are written. Raises CrmBusy and
    CrmRefused, with which nothing else would go better.
    """
    if not any(writer.mapping.write.values()):
        return Written()
    with reading(writer.work.engine) as session:
        past = load_past_writes(session, writer.connection.id)
        run_id = find_published_run(session)
        of_run = _mark_of(writer, run_id)
        is_run_due = writer.mapping.is_written("account_fields") and run_id is not None and _is_due(of_run, past)
        wanted = list(_of_opportunities(session, writer))
        wanted += _of_accounts(session, writer) if is_run_due else ()
    due = [(kind, what) for kind, what in wanted if _is_new(what, past.get(what.key))]
    done = _write_all(writer, due)
    if is_run_due and done.written == len(due):
        with writer.work.writing() as session:
            begin_write(session, of_run, at=writer.work.clock())
            end_write(session, of_run, external_id="", at=writer.work.clock())
    return done


def _mark_of(writer: BackWriter, run_id: int | None) -> Planned:
    """Of a run whose accounts are all written."""
    digest = hashlib.sha256(str(run_id).encode()).digest()
    return Planned(writer.connection.id, "tenure-run", "account_fields", digest)


def _is_due(of_run: Planned, past: Mapping[str, PastWrite]) -> bool:
    before = past.get(of_run.key)
    return before is None or before.digest != of_run.digest or before.state != WRITTEN


def _write_all(writer: BackWriter, due: Sequence[tuple[str, WriteBack]]) -> Written:
    written = failed = 0
    for kind, what in due:
        if time.monotonic() > writer.until:
            break
        is_written = _write(writer, kind, what=what)
        written, failed = written + is_written, failed + (not is_written)
    return Written(written, failed)


def _is_new(what: WriteBack, past: PastWrite | None) -> bool:
    if past is None:
        return True
    is_same = past.digest == digest_of(what)
    if past.state == WRITTEN:
        return isinstance(what.item, AccountFields) and not is_same  # what a person may work on is written once
    return past.attempts < MOST_TRIES or not is_same


def digest_of(what: WriteBack) -> bytes:
    """Of all that it says."""
    return hashlib.sha256(orjson.dumps(what, default=str, option=orjson.OPT_SORT_KEYS)).digest()


def _write(writer: BackWriter, kind: str, *, what: WriteBack) -> bool:
    work = writer.work
    planned = Planned(writer.connection.id, what.key, kind, digest_of(what))
    with work.writing() as session:
        begin_write(session, planned, at=work.clock())
    try:
        external_id = writer.client.write(what)
    except CrmError as error:
        log.warning("%s: %s could not be written: %s", writer.connection.name, what.key, error)
        with work.writing() as session:
            fail_write(session, planned, error=str(error))
        if isinstance(error, CrmBusy | CrmRefused):
            raise
        return False
    with work.writing() as session:
        end_write(session, planned, external_id=external_id, at=work.clock())
    return True


def _of_opportunities(session: Session, writer: BackWriter) -> Iterator[tuple[str, WriteBack]]:
    for each in list_accepted(session, writer.connection.name, since=writer.connection.created_at):
        for kind, item in (("opportunity", _opportunity(each)), ("task", _task(each)), ("note", _note(each))):
            if writer.mapping.is_written(kind):
                yield kind, WriteBack(f"tenure-{kind}-{each.id}", item)


def _of_accounts(session: Session, writer: BackWriter) -> Iterator[tuple[str, WriteBack]]:
    for account in list_scored(session, writer.connection.name):
        yield "account_fields", WriteBack(f"tenure-account-{account.account}", _fields(account))


def _title(each: AcceptedOpportunity) -> str:
    more = f" (+{each.quantity})" if each.quantity else ""
    return f"{MOTIONS.get(each.motion, '')} {each.product_name}{more}".strip()


def _told(each: AcceptedOpportunity) -> str:
    measure = {"arr": "a year", "bookings": "once"}.get(each.measure, each.measure)
    amount = Money(each.amount_minor, each.currency).amount
    return (
        f"Tenure flagged this and sales accepted it on {each.accepted_on}. "
        f"Worth {amount} {each.currency} {measure}; likelihood: {each.likelihood}."
    )


def _opportunity(each: AcceptedOpportunity) -> NewOpportunity:
    lines = (NewLine(each.product, Decimal(each.quantity or 1)),) if each.product else ()
    amount = Money(each.amount_minor, each.currency).amount
    return NewOpportunity(
        each.account, _title(each), each.currency, amount, owner=each.owner, lines=lines, text=_told(each)
    )


def _task(each: AcceptedOpportunity) -> NewTask:
    return NewTask(each.account, _title(each), _told(each), owner=each.owner)


def _note(each: AcceptedOpportunity) -> NewNote:
    return NewNote(each.account, f"{_title(each)}. {_told(each)}")


def _fields(account: ScoredAccount) -> AccountFields:
    """Rounded as people read them, so that not every night writes every account: risk in percent, value in units."""
    risk = account.churn_probability
    ltv = None if account.ltv_minor is None else Money(account.ltv_minor, account.currency).amount
    return AccountFields(
        account.account,
        {
            "health_band": account.band,
            "churn_risk": None if risk is None else Decimal(round(risk * 100)),
            "ltv": None if ltv is None else ltv.quantize(Decimal(1)),
            "ltv_currency": account.currency,
            "renewal_on": account.renewal_on,
        },
    )
