"""What people say of an account's health, beside what is calculated: overrides and the pulse."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.domain.health import BANDS
from app.domain.health_override import band_score
from app.errors import Conflict, Invalid
from app.models.accounts import Account
from app.models.health import HealthOverride, Pulse
from app.models.persons import FreeText
from app.models.versions import Change
from app.queries.accounts import AccountRow, load_account
from app.queries.settings import load_company_settings
from app.services.audit import Act, record_act
from app.services.changes import recording

LONGEST_TEXT = 2_000
LONGEST_OVERRIDE_DAYS = 365  # so that each has expired when it is judged
UNDO_WITHIN = timedelta(days=7)
EXPIRED = "expiry"
PAYING = ("live", "in_grace")
PULSES = range(1, 6)


@dataclass(frozen=True, slots=True)
class WantedOverride:
    """`expires_on` is the first day on which it no longer counts."""

    account_id: int
    band: str
    reason: str
    expires_on: date


@dataclass(frozen=True, slots=True)
class Said:
    """By whom, when, and which day that is for the company."""

    actor: str
    at: datetime
    today: date


def set_override(session: Session, wanted: WantedOverride, *, said: Said) -> int:
    """Set the health of an account by hand, beside the calculated one, until a day; its id.

    One that is in force is ended. Raises NotFound; Invalid for a band, reason or day that does not fit; Conflict for
    an account that pays nothing now.
    """
    _check_override(wanted, today=said.today)
    account = _load_account(session, wanted.account_id, said=said)
    with recording(session, "health overrides", clock=lambda: said.at) as change:
        _end_open(session, wanted.account_id, said=said)
        reason_id = _keep_text(session, change, body=wanted.reason)
        row = _override_of(account, wanted.band, said=said, session=session)
        row.reason_id, row.expires_on = reason_id, wanted.expires_on
        return _add(session, row, act="set", said=said)


def end_override(session: Session, account_id: int, *, said: Said) -> None:
    """End the override in force, so that the calculated score stands alone. Raises NotFound, Conflict for none."""
    _load_account(session, account_id, said=said, is_paying=False)
    row = _find_open(session, account_id)
    if row is None or row.expires_on <= said.today:
        raise Conflict("No override of this account is in force.")
    _end(session, row, said=said)


def undo_override(session: Session, account_id: int, *, said: Said) -> None:
    """Take the last step back, within seven days: what was set is ended, what was ended is set again.

    What the last one had replaced is set again, too. Nothing that was on record is changed: what is set again is a
    row of its own, with the same reason. Raises NotFound, Conflict where there is nothing to take back.
    """
    account = _load_account(session, account_id, said=said)
    recent = select(HealthOverride).where(HealthOverride.account_id == account_id).order_by(HealthOverride.id.desc())
    rows = list(session.scalars(recent.limit(2)))
    if not rows or said.at - (rows[0].ended_at or rows[0].begins_at) > UNDO_WITHIN:
        raise Conflict(f"There is no step to take back; that goes for {UNDO_WITHIN.days} days.")
    last = rows[0]
    again: HealthOverride | None = last
    if last.expires_on <= said.today:
        raise Conflict("It has expired; set another.")
    if last.ended_at is None:
        _end(session, last, said=said)
        again = rows[1] if len(rows) > 1 and rows[1].ended_at == last.begins_at else None
    if again is None or again.expires_on <= said.today:
        return
    row = _override_of(account, again.band, said=said, session=session)
    row.reason_id, row.expires_on = again.reason_id, again.expires_on
    _add(session, row, act="set_again", said=said)


def _check_override(wanted: WantedOverride, *, today: date) -> None:
    if wanted.band not in BANDS:
        raise Invalid(f"A band is one of: {', '.join(BANDS)}.", {"band": ["is not in the list"]})
    if not 1 <= len(wanted.reason.strip()) <= LONGEST_TEXT:
        raise Invalid(f"Say why, in 1 to {LONGEST_TEXT:,} characters.", {"reason": ["is missing, or too long"]})
    if not today < wanted.expires_on <= today + timedelta(days=LONGEST_OVERRIDE_DAYS):
        text = f"An override expires between tomorrow and {LONGEST_OVERRIDE_DAYS} days from now."
        raise Invalid(text, {"expires_on": ["is out of range"]})


def _load_account(session: Session, account_id: int, *, said: Said, is_paying: bool = True) -> AccountRow:
    """The account and its published score; locked, so that two do not set its health at once."""
    row = load_account(session, account_id, today=said.today).row
    session.execute(select(Account.id).where(Account.id == account_id).with_for_update())
    if is_paying and row.status not in PAYING:
        raise Conflict("Only the health of an account that pays can be set: of others none is calculated.")
    return row


def _override_of(account: AccountRow, band: str, *, said: Said, session: Session) -> HealthOverride:
    reference = float(load_company_settings(session, as_of=said.today).reference_churn)
    return HealthOverride(
        account_id=account.id,
        band=band,
        score=band_score(band, reference_churn=reference),
        calculated=account.health,
        calculated_risk=None if account.health is None else account.risk,
        actor=said.actor,
        begins_at=said.at,
    )


def _add(session: Session, row: HealthOverride, *, act: str, said: Said) -> int:
    session.add(row)
    session.flush()
    details = {"account_id": row.account_id, "band": row.band, "expires_on": row.expires_on.isoformat()}
    record_act(
        session, Act(f"health_override.{act}", f"health_override:{row.id}", details), actor=said.actor, at=said.at
    )
    return row.id


def _find_open(session: Session, account_id: int) -> HealthOverride | None:
    """As it is now, also where this session had to wait for somebody else."""
    open_row = select(HealthOverride).where(HealthOverride.account_id == account_id, HealthOverride.ended_at.is_(None))
    return session.scalars(open_row.with_for_update().execution_options(populate_existing=True)).one_or_none()


def _end_open(session: Session, account_id: int, *, said: Said) -> None:
    """Before another is set. One that has expired meanwhile was ended by that, and by nobody."""
    row = _find_open(session, account_id)
    if row is None:
        return
    if row.expires_on > said.today:
        _end(session, row, said=said)
    else:
        row.ended_at, row.ended_by = said.at, EXPIRED
        session.flush()


def _end(session: Session, row: HealthOverride, *, said: Said) -> None:
    row.ended_at, row.ended_by = said.at, said.actor
    session.flush()
    details = {"account_id": row.account_id, "band": row.band}
    record_act(
        session, Act("health_override.ended", f"health_override:{row.id}", details), actor=said.actor, at=said.at
    )


def give_pulse(session: Session, account_id: int, *, value: int, note: str | None, said: Said) -> int:
    """Note how somebody feels about an account, 1 (bad) to 5 (good); those before stay. Raises NotFound, Invalid."""
    if value not in PULSES:
        raise Invalid("A pulse is a whole number from 1 (bad) to 5 (good).", {"value": ["is out of range"]})
    if note is not None and len(note) > LONGEST_TEXT:
        raise Invalid(f"A note has at most {LONGEST_TEXT:,} characters.", {"note": ["is too long"]})
    _load_account(session, account_id, said=said, is_paying=False)
    with recording(session, "pulses", clock=lambda: said.at) as change:
        text_id = _keep_text(session, change, body=note) if note and note.strip() else None
        row = Pulse(account_id=account_id, value=value, text_id=text_id, actor=said.actor, given_at=said.at)
        session.add(row)
        session.flush()
        details = {"account_id": account_id, "value": value}
        record_act(session, Act("pulse.given", f"pulse:{row.id}", details), actor=said.actor, at=said.at)
        return row.id


def _keep_text(session: Session, change: Change, *, body: str) -> int:
    text = FreeText(body=body.strip(), change_id=change.id)
    session.add(text)
    session.flush()
    return text.id
