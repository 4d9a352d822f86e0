"""The step that finds who is ready for more, and flags it to sales with the message that tells of it."""

from collections.abc import Mapping
from datetime import date

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db import reading
from app.domain.expansion_rankers import Choice
from app.domain.expansion_trouble import Situation, holding_reasons
from app.domain.months import MONTHS_OF_A_YEAR, Ints, add_months
from app.models.runs import JobRun
from app.queries.expansion_facts import (
    AccountRisks,
    SoldLines,
    Standing,
    load_account_risks,
    load_escalated,
    load_offers,
    load_sold_lines,
    load_standing,
)
from app.queries.runs import Run, find_run
from app.services.expansion_messages import Links
from app.services.expansion_raising import Budget, Findings, raise_opportunities
from jobs.flag_cross_sell import Catalog, find_cross_sell
from jobs.flag_ranker import record_choice, study_rankers
from jobs.flag_seats import Learned, learn_upsell, record_upsell
from jobs.flag_upsell import find_upsell
from jobs.flag_value import value_findings
from jobs.night import Night
from jobs.steps import Result, Write

LAPSE_NIGHTS = 7  # in a row on which it was not found
NIGHTLY = "nightly"


def flag_opportunities(night: Night, _results: Mapping[str, Result]) -> Write:
    """Look through all accounts with the risks of the published run, and raise what was found.

    Where a run of a later date is published, an old night is being made up: it flags nothing. Where
    tonight's run was held back, the last published one says who is in trouble.
    """
    with reading(night.engine) as session:
        run = find_run(session)
        if run is None or run.as_of > night.run.as_of:
            return lambda _: {"flagged": 0, "skipped": "a later night is published" if run else "nothing is published"}
        findings, choice, learned = find_opportunities(session, night, run=run)
    settings = night.known.settings
    budget = Budget(settings.flags_a_night, settings.flags_an_account)
    links = Links(night.work.settings.public_url, night.work.settings.secret_key)

    def write(session: Session) -> Result:
        at = night.clock()
        record_choice(session, choice, run_id=findings.run_id)
        record_upsell(session, learned)
        raised = raise_opportunities(session, findings, budget=budget, links=links, at=at)
        counts = {name: getattr(raised, name) for name in raised.__dataclass_fields__}
        return {"found": len(findings.found), "held_back": len(findings.held_back), **counts}

    return write


def find_opportunities(session: Session, night: Night, *, run: Run) -> tuple[Findings, Choice, Learned]:
    """What was known says of the night's date, who is not to be sold to, and how products were ranked."""
    known = night.known
    risks, lines, standing = (
        load_account_risks(session, run.id),
        load_sold_lines(session, known),
        load_standing(session, known),
    )
    accounts = np.union1d(risks.account_id, lines.account_id)
    situation = _situation(accounts, risks, lines=lines, standing=standing, as_of=known.as_of)
    situation.is_escalated[:] = np.isin(accounts, sorted(load_escalated(session, known)))
    reasons = holding_reasons(situation, as_of=known.as_of)
    is_open = np.array([reason is None for reason in reasons], dtype=np.bool_)
    open_to = accounts[is_open]
    catalog = Catalog(known, load_offers(session, known), lines)
    learned = learn_upsell(night.panel, tonight=night.seat_facts, as_of=known.as_of, run_id=run.id)
    found = find_upsell(session, night, open_to=open_to, learned=learned)
    choice = study_rankers(catalog)
    found += find_cross_sell(catalog, standing=standing, open_to=open_to, choice=choice)
    findings = Findings(
        as_of=known.as_of,
        run_id=run.id,
        currency=known.settings.reporting_currency,
        found=value_findings(session, known, found=found, run_id=run.id),
        held_back=dict(zip(accounts[~is_open].tolist(), reasons[~is_open].tolist(), strict=True)),
        lapse_before=_nights_back(session, known.as_of),
    )
    return findings, choice, learned


def _situation(accounts: Ints, risks: AccountRisks, *, lines: SoldLines, standing: Standing, as_of: date) -> Situation:
    place = np.searchsorted(accounts, risks.account_id)
    size = len(accounts)
    status = np.full(size, "", dtype=object)
    churn, renewal_churn = np.full(size, np.nan), np.full(size, np.nan)
    is_leaving = np.zeros(size, dtype=np.bool_)
    is_leaving[place] = risks.is_leaving
    renewal_on = np.full(size, np.datetime64("NaT", "D"))
    status[place], churn[place] = risks.status, risks.churn_3_months
    renewal_churn[place], renewal_on[place] = risks.renewal_churn, risks.renewal_on
    status[np.isin(accounts, sorted(standing.merged))] = "merged"
    year_ago = np.datetime64(add_months(as_of, -MONTHS_OF_A_YEAR))
    buys = np.isin(accounts, lines.account_id[lines.closed_on >= year_ago])
    is_escalated = np.zeros(size, dtype=np.bool_)
    return Situation(status, buys, is_escalated, is_leaving, churn, renewal_on, renewal_churn)


def _nights_back(session: Session, as_of: date) -> date | None:
    """The first of the last seven nights up to this one; None where there were not as many."""
    nights = select(JobRun.scheduled_for).where(JobRun.task == NIGHTLY, JobRun.scheduled_for <= as_of)
    return session.scalar(nights.order_by(JobRun.scheduled_for.desc()).offset(LAPSE_NIGHTS - 1).limit(1))
