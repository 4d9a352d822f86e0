"""The page of one account."""

from collections.abc import Iterator
from dataclasses import dataclass

from flask import render_template
from flask.typing import ResponseReturnValue

from app.auth import may, requires
from app.domain.notices import Leave
from app.errors import NotReady
from app.http import database
from app.queries.account_list import load_companions
from app.queries.accounts import AccountDetail, AccountRow, load_account
from app.queries.contracts import load_contracts
from app.queries.health_overrides import Override, list_overrides
from app.queries.leaves import find_leaves
from app.queries.onboarding import load_onboarding_plans
from app.queries.scores import AccountScore, load_score
from app.web.contracts import describe_contracts
from app.web.formats import NONE, show_day, show_days_until, show_money, show_number, show_tenure
from app.web.health import Pill, describe_health, describe_pill
from app.web.health_change import describe_change
from app.web.health_override import describe_by_hand
from app.web.leaving import notice_advice
from app.web.lists import Figure
from app.web.ltv import describe_ltv
from app.web.moment import Moment, advise, describe_freshness, load_moment
from app.web.onboarding import describe_plan
from app.web.promises import describe_promises
from app.web.pulse import describe_pulses
from app.web.retention import describe_retention
from app.web.texts import gettext as _
from app.web.timeline import describe_timeline
from app.web.usage import describe_usage


@dataclass(frozen=True, slots=True)
class AccountHead:
    name: str
    health: Pill
    tags: tuple[str, ...]
    figures: tuple[Figure, ...]


@requires("accounts:read")
def show_account(account_id: int) -> ResponseReturnValue:
    return render_account(account_id)


def render_account(account_id: int, *, problem: str = "") -> str:
    moment = load_moment()
    detail = load_account(database(), account_id, today=moment.today)
    score = _find_score(account_id)
    known_at, as_of = moment.known_at, moment.as_of
    leave = _find_leave(score)
    contracts = load_contracts(
        database(), account_id, known_at=known_at, as_of=as_of, grace_days=moment.settings.grace_days
    )
    overrides = list_overrides(database(), account_id)
    in_force = next((each for each in overrides if each.is_in_force(moment.today)), None)
    plans = load_onboarding_plans(database(), account_id, known_at=known_at, as_of=as_of)
    return render_template(
        "account.html",
        fresh=describe_freshness(moment),
        advice=advise(moment),
        problem=problem,
        leaving=notice_advice(leave) if leave else "",
        account=_describe_head(detail, in_force, moment=moment),
        health=describe_health(score, leave=leave, moment=moment),
        by_hand=describe_by_hand(detail.row, overrides, moment=moment),
        pulse=describe_pulses(account_id, moment=moment),
        promised=describe_promises(account_id, moment=moment),
        change=describe_change(account_id, moment=moment),
        retention=describe_retention(score, segment=detail.row.segment),
        ltv=describe_ltv(score) if may("ltv:read") else None,
        usage=describe_usage(account_id, moment=moment),
        plans=[describe_plan(plan) for plan in plans],
        contracts=describe_contracts(contracts),
        timeline=describe_timeline(account_id, known_at=moment.known_at, with_notes=may("notes:read")),
    )


def _find_score(account_id: int) -> AccountScore | None:
    """None before the first night, and for an account that came after the last."""
    try:
        return load_score(database(), account_id)
    except NotReady:
        return None


def _find_leave(score: AccountScore | None) -> Leave | None:
    if score is None:
        return None
    return find_leaves(database(), score.run, churn={score.account_id: score.churn_probability}).get(score.account_id)


def _describe_head(detail: AccountDetail, override: Override | None, *, moment: Moment) -> AccountHead:
    row = detail.row
    employees = _("%(number)s employees", number=show_number(row.employees)) if row.employees else None
    tags = (row.segment, row.industry, row.country, employees, row.channel, row.campaign)
    return AccountHead(
        name=row.name,
        health=describe_pill(row, override),
        tags=tuple(tag for tag in tags if tag),
        figures=tuple(_figures(detail, row, moment=moment)),
    )


def _figures(detail: AccountDetail, row: AccountRow, *, moment: Moment) -> Iterator[Figure]:
    pays = row.status in ("live", "in_grace")
    has_arr = row.status not in (None, "not_applicable")
    grace = _("in grace: the term ended and nobody has renewed") if row.status == "in_grace" else ""
    yield Figure(_("ARR"), show_money(row.arr_minor, moment.currency) if has_arr else NONE, grace)
    companion = load_companions(database(), [row.id], run=detail.run, today=moment.today)[row.id]
    others = dict.fromkeys(product.plan or product.name for product in detail.products)
    others.pop(companion.plan or "", None)
    yield Figure(_("Plan"), companion.plan or NONE, ", ".join(others))
    since = _("since %(day)s", day=show_day(row.started_on)) if row.started_on and row.status != "churned" else ""
    yield Figure(_("Tenure"), show_tenure(row.tenure_months), since)
    if row.renewal_on and pays:
        yield Figure(_("Renewal"), show_day(row.renewal_on), show_days_until((row.renewal_on - moment.as_of).days))
    else:
        yield Figure(_("Renewal"), NONE, _("month by month") if pays else "")
    yield Figure(_("CSM"), companion.csm or _("nobody"))
