"""The moment a question about the books is of."""

from dataclasses import dataclass, replace
from datetime import date, datetime
from zoneinfo import ZoneInfo

from sqlalchemy import Date, and_, bindparam, func, literal, select
from sqlalchemy.orm import Session

from app.errors import Invalid
from app.models.scores import ModelRun, PublishedRun
from app.models.settings import SettingVersion
from app.models.versions import Change
from app.queries.facts import Known
from app.queries.feeds import STALE, split_names
from app.queries.known import in_force, valid_on
from app.queries.runs import CHURN, RUN_COLUMNS, Run
from app.queries.settings import NAMES, CompanySettings, decode_settings


def load_moment(session: Session, *, as_of: date | None, known_at: datetime | None, now: datetime) -> Known:
    """The day, the instant of knowledge and the settings in force, with one statement.

    `as_of` None is today in the company's time zone; `known_at` None, or one after the last thing
    recorded, is the instant of that. Raises Invalid for a `known_at` in the future.
    """
    if known_at is not None and known_at > now:
        raise Invalid("known_at lies in the future; leave it out for what is known now.")
    day = as_of or now.date()
    last = select(func.max(Change.recorded_at).label("at")).subquery()
    valid = and_(
        in_force(SettingVersion, known_at) if known_at else SettingVersion.superseded_change_id.is_(None),
        SettingVersion.name.in_(NAMES),
        valid_on(SettingVersion, day),
    )
    rows = session.execute(
        select(last.c.at, SettingVersion.name, SettingVersion.value, STALE).outerjoin(SettingVersion, valid)
    )
    found = rows.all()
    settings = decode_settings((row.name, row.value) for row in found if row.name is not None)
    recorded_at = found[0].at
    instant = min(known_at or recorded_at, recorded_at) if recorded_at else known_at or now
    known = Known(day, instant, settings, () if known_at else split_names(found[0].stale))
    return known if as_of else replace(known, as_of=now.astimezone(known.zone).date())


@dataclass(frozen=True, slots=True)
class Standing:
    """The published run, or the one that was asked for; and the day that it is for the company."""

    run: Run | None
    today: date


_ZONE = (
    select(SettingVersion.value)
    .where(
        SettingVersion.name == "reporting_timezone",
        SettingVersion.superseded_change_id.is_(None),
        valid_on(SettingVersion, bindparam("day", type_=Date)),
    )
    .scalar_subquery()
)
_PUBLISHED = select(PublishedRun.run_id).where(PublishedRun.kind == CHURN).scalar_subquery()
STANDING = (
    select(_ZONE, *RUN_COLUMNS)
    .select_from(select(literal(1)).subquery())
    .outerjoin(ModelRun, and_(ModelRun.kind == CHURN, ModelRun.id == func.coalesce(bindparam("run_id"), _PUBLISHED)))
)


def load_standing(session: Session, *, now: datetime, run_id: int | None = None) -> Standing:
    """The run and the company's day, with one statement."""
    zone, *run = session.execute(STANDING, {"day": now.date(), "run_id": run_id}).one()
    today = now.astimezone(ZoneInfo(zone or CompanySettings().reporting_timezone)).date()
    if run[0] is None:
        return Standing(None, today)
    return Standing(Run(*run) if run_id is None else replace(Run(*run), stale=None), today)
