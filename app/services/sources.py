"""Where facts come from, since when they could be known, and what became of those that were handed in."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from app.queries.events import find_event_accounts
from app.queries.ids import find_accounts, find_own_accounts
from app.services.versions import Outcome

OUR_IDS = "tenure"


@dataclass(frozen=True, slots=True)
class Source:
    """A system whose ids are used, read live or filled in afterwards.

    `lag_days` None: live, so each fact is known from `now` on. A number: a backfill, where a fact
    could be known from the source's own day of creation, else that many days after it occurred.
    `account_system` says whose ids name the accounts: None, the source's own; OUR_IDS, this
    service's; else those of another system that it knows.
    """

    system: str
    now: datetime
    kind: str = "crm"
    lag_days: int | None = None
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    account_system: str | None = None

    def find_accounts(self, session: Session, names: Collection[str]) -> dict[str, int]:
        """Our accounts by the names that the source gives them; those not known are left out."""
        if self.account_system is None:
            return find_accounts(session, self.system, kind=self.kind, ids=names)
        if self.account_system == OUR_IDS:
            return find_own_accounts(session, names)
        return find_event_accounts(session, self.account_system, refs=names)

    @property
    def today(self) -> date:
        return self.now.astimezone(self.zone).date()

    def available_on(self, occurred_on: date | None, created_on: date | None = None) -> date:
        """The first day on which the fact could be known."""
        if self.lag_days is None:
            return self.today
        if created_on is not None:
            return created_on
        return self.today if occurred_on is None else occurred_on + timedelta(days=self.lag_days)

    def available_at(self, occurred_on: date | None, created_on: date | None = None) -> datetime:
        """The instant from which it could be known: now, or a backfill's day from its first moment on."""
        if self.lag_days is None:
            return self.now
        day = self.available_on(occurred_on, created_on)
        return datetime.combine(day, time.min, self.zone).astimezone(UTC)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row that was not recorded: its position among those handed in, and why.

    Of a deal, `part` is the line that shows it; None: the deal itself.
    """

    position: int
    field: str
    reason: str
    part: int | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of rows that were handed in.

    `outcome` counts the rows, `along` the versions of other things that came with them: names,
    prices, contracts, lines.
    """

    outcome: Outcome
    refusals: tuple[Refusal, ...] = ()
    along: Outcome = Outcome()  # noqa: RUF009  a frozen value

    @property
    def has_changed_something(self) -> bool:
        return has_changed(self.outcome) or has_changed(self.along)


def has_changed(outcome: Outcome) -> bool:
    return bool(outcome.added or outcome.changed)
