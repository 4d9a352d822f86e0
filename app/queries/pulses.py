"""How people feel about an account: the pulse, with its history."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.models.health import Pulse
from app.models.persons import FreeText

MOST_PULSES = 200


@dataclass(frozen=True, slots=True)
class GivenPulse:
    """`value` is 1 (bad) to 5 (good)."""

    id: int
    value: int
    note: str | None
    actor: str
    given_at: datetime


def list_pulses(session: Session, account_id: int) -> list[GivenPulse]:
    """The pulses of an account, the newest first, at most MOST_PULSES."""
    rows = session.execute(
        select(Pulse.id, Pulse.value, FreeText.body, Pulse.actor, Pulse.given_at)
        .outerjoin(FreeText, FreeText.id == Pulse.text_id)
        .where(Pulse.account_id == account_id)
        .order_by(Pulse.given_at.desc(), Pulse.id.desc())
        .limit(MOST_PULSES)
    )
    return [GivenPulse(*row) for row in rows]
