"""Keeping what a reconciliation found, and what somebody with the right says of what it left open."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import islice
from typing import Any

import orjson
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.domain.money import Money
from app.domain.reconciliation import Part, Position
from app.errors import Conflict, Invalid, NotFound
from app.models.persons import FreeText
from app.models.reconciliation import Reconciliation, ReconciliationDifference, ReconciliationOverride
from app.models.versions import Change
from app.services.audit import Act, record_act

DEFINITION = "reconciliation@1"  # what finds the same in the same: a new one is compared anew
BATCH = 500
MOST_RECORDS = 100  # rows or lines that a part names; how many there are is kept beside them
LARGEST = 2**63 - 1  # what both databases keep as a number
LONGEST_REASON = 2_000


@dataclass(frozen=True, slots=True)
class Source:
    """What a comparison rests on. `system` is whose books; "" is every CRM."""

    kind: str  # billing, crm
    system: str
    as_of: date
    known_at: datetime
    window_days: int = 0
    file_name: str | None = None
    file_sha256: str | None = None
    mapping_sha256: str | None = None
    rows: int = 0  # of the export, or deals

    @property
    def digest(self) -> bytes:
        """Of all that decides what is found; a file under another name is the same file."""
        values = (self.kind, self.system, self.as_of, self.known_at, self.window_days)
        said = [DEFINITION, *(str(value) for value in values), self.file_sha256, self.mapping_sha256]
        return hashlib.sha256(orjson.dumps(said)).digest()


@dataclass(frozen=True, slots=True)
class Made:
    actor: str
    at: datetime


@dataclass
class _Totals:
    compared: int = 0
    agreed: int = 0
    ledger: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    other: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    reasons: dict[str, dict[str, int]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(int)))

    def add(self, position: Position) -> None:
        if position.is_agreed and not position.ledger_minor and not position.other_minor:
            return
        self.compared += 1
        self.agreed += position.is_agreed
        self.ledger[position.currency] += position.ledger_minor
        self.other[position.currency] += position.other_minor
        for part in position.parts:
            self.reasons[position.currency][part.reason.value] += part.minor

    def by_currency(self) -> dict[str, Any]:
        """Texts: what a million rows add up to may be more than a number of JSON holds exactly."""
        return {
            currency: {
                "ledger": str(self.ledger[currency]),
                "other": str(self.other[currency]),
                "reasons": {name: str(minor) for name, minor in sorted(self.reasons[currency].items())},
            }
            for currency in sorted(self.ledger)
        }


def find_same(session: Session, source: Source) -> int | None:
    """The comparison that rests on the same, if there is one."""
    return session.scalar(select(Reconciliation.id).where(Reconciliation.digest == source.digest))


def record_reconciliation(
    session: Session, change: Change, *, source: Source, found: Iterable[Position], made: Made
) -> int:
    """Keep a comparison with every position that differs; its id. Recorded in the audit.

    `found` may be long: it is written as it comes. Raises Invalid where sums are beyond what can be booked,
    and Conflict where somebody keeps the same at the same time.
    """
    run = Reconciliation(
        change_id=change.id,
        **{name: getattr(source, name) for name in Source.__dataclass_fields__},
        digest=source.digest,
        made_by=made.actor,
        made_at=made.at,
        compared=0,
        agreed=0,
        totals={},
    )
    session.add(run)
    try:
        session.flush()
    except IntegrityError as error:
        raise Conflict("The same comparison was made at this moment; look for it in the list.") from error
    totals = _Totals()
    differing = _counted(found, totals)
    while batch := [_row(position, run) for position in islice(differing, BATCH)]:
        session.execute(insert(ReconciliationDifference), batch)
    run.compared, run.agreed, run.totals = totals.compared, totals.agreed, totals.by_currency()
    details = {"kind": run.kind, "as_of": run.as_of.isoformat(), "differing": totals.compared - totals.agreed}
    record_act(session, Act("reconciliation.made", f"reconciliation:{run.id}", details), actor=made.actor, at=made.at)
    return run.id


def _counted(found: Iterable[Position], totals: _Totals) -> Iterator[Position]:
    for position in found:
        totals.add(position)
        if not position.is_agreed:
            yield position


def _row(position: Position, run: Reconciliation) -> dict[str, Any]:
    amounts = (position.ledger_minor, position.other_minor, position.unexplained_minor)
    if max(map(abs, amounts)) > LARGEST:
        who = position.account or position.customer
        raise Invalid(f"What {who!r} is charged in {position.currency} adds up to more than can be booked.")
    return {
        "change_id": run.change_id,
        "reconciliation_id": run.id,
        "account_id": position.account,
        "external_id": position.customer,
        "currency": position.currency,
        "ledger_minor": position.ledger_minor,
        "other_minor": position.other_minor,
        "unexplained_minor": position.unexplained_minor,
        "parts": [_part(part) for part in position.parts],
    }


def _part(part: Part) -> dict[str, Any]:
    return {
        "reason": part.reason.value,
        "check": part.check,
        "minor": str(part.minor),
        "theirs": list(part.theirs[:MOST_RECORDS]),
        "theirs_count": len(part.theirs),
        "lines": list(part.ours[:MOST_RECORDS]),
        "lines_count": len(part.ours),
    }


def override_difference(session: Session, change: Change, *, difference_id: int, reason: str, made: Made) -> None:
    """Let a difference stand that nothing explains, and say why: closing the month is no longer held up by it.

    Nothing of what was found is changed. Recorded in the audit. Raises NotFound; Invalid for a reason that is empty
    or too long; Conflict where everything is explained, or somebody let it stand before.
    """
    if not 1 <= len(reason.strip()) <= LONGEST_REASON:
        text = f"Say why it may stand, in 1 to {LONGEST_REASON:,} characters."
        raise Invalid(text, {"reason": ["is missing, or too long"]})
    found = session.get(ReconciliationDifference, difference_id, with_for_update=True)
    if found is None:
        raise NotFound(f"There is no difference {difference_id}.")
    if not found.unexplained_minor:
        raise Conflict("All of this difference is explained; there is nothing to let stand.")
    said = select(ReconciliationOverride.id).where(ReconciliationOverride.difference_id == difference_id)
    if session.scalar(said) is not None:
        raise Conflict("Somebody let this difference stand already.")
    text_row = FreeText(change_id=change.id, body=reason.strip())
    session.add(text_row)
    session.flush()
    session.add(
        ReconciliationOverride(
            change_id=change.id,
            difference_id=difference_id,
            reason_id=text_row.id,
            made_by=made.actor,
            made_at=made.at,
        )
    )
    unexplained = Money(found.unexplained_minor, found.currency)
    details = {"unexplained": f"{unexplained.text} {unexplained.currency}"}
    act = Act("reconciliation.overridden", f"reconciliation_difference:{difference_id}", details)
    record_act(session, act, actor=made.actor, at=made.at)
