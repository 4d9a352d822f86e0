"""The world as the facts of the feature function, the same that its files lead to through the import.

A backfill is known from each fact's own day: a deal from its close, usage from its day.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time

import numpy as np

from app.domain.causes import cause_codes
from app.domain.contracts import (
    ChurnNotice,
    ContractLine,
    LineKind,
    LineLife,
    annual_recurring_revenue,
    line_lives,
    spells,
)
from app.domain.features import (
    AttributeFacts,
    Facts,
    InvoiceFacts,
    LineFacts,
    MilestoneFacts,
    Spells,
    SurveyFacts,
    TicketFacts,
    TouchFacts,
    TrainingFacts,
    UsageFacts,
)
from app.domain.fx import RateTable
from app.domain.months import Days
from app.domain.notices import KnownEnd, KnownNotice, KnownTerms, known_ends
from jobs.example_company.company import CHANNELS, MINOR_DIGITS, REPORTING_CURRENCY, SEGMENTS
from jobs.example_company.ledger import Deal, Line
from jobs.example_company.world import World

GRACE_DAYS = 30
METRICS = ("activity", "active_people")
NAT = np.datetime64("NaT", "D")


def read_facts(world: World) -> Facts:
    notices = _notices_by_account(world)
    lines = _lines_by_account(world, notices)
    return Facts(
        account_ids=np.arange(len(world.history.profile.segment)),
        segments=tuple(sorted(SEGMENTS)),
        channels=tuple(sorted(CHANNELS)),
        usage_metrics=METRICS,
        spells=_spells(world, lines),
        lines=_line_facts(world, _known_lines(lines, notices)),
        attributes=_attributes(world),
        usage=_usage(world),
        milestones=_milestones(world),
        tickets=_tickets(world),
        surveys=_surveys(world),
        touches=_touches(world),
        trainings=_trainings(world),
        invoices=_invoices(world),
    )


Own = tuple[Deal, Line, LineLife]


def _notices_by_account(world: World) -> list[list[ChurnNotice]]:
    notices: list[list[ChurnNotice]] = [[] for _ in range(len(world.history.profile.segment))]
    for key, notice in enumerate(world.history.ledger.notices):
        notices[notice.account].append(ChurnNotice(key, notice.effective_on, notice.given_on, cause=notice.cause))
    return notices


def _lines_by_account(world: World, notices: Sequence[Sequence[ChurnNotice]]) -> list[list[Own]]:
    signed: list[list[tuple[Deal, Line]]] = [[] for _ in notices]
    for deal in world.history.ledger.deals:
        signed[deal.account] += [(deal, line) for line in deal.lines]
    return [_decide_ends(own, said) for own, said in zip(signed, notices, strict=True)]


def _decide_ends(signed: Sequence[tuple[Deal, Line]], notices: Sequence[ChurnNotice]) -> list[Own]:
    families = sorted({line.product.family for _, line in signed})
    by_offer = {(deal.number, line.product.family): key for key, (deal, line) in enumerate(signed)}
    agreed = [
        ContractLine(
            key=key,
            kind=LineKind.RECURRING,
            starts_on=line.starts_on,
            ends_on=line.ends_on,
            arr_minor=_arr_minor(line),
            offer=families.index(line.product.family),
            renews=None if deal.renewal_of is None else by_offer.get((deal.renewal_of, line.product.family)),
        )
        for key, (deal, line) in enumerate(signed)
    ]
    lives = line_lives(agreed, notices, grace_days=GRACE_DAYS)
    return [(deal, line, life) for (deal, line), life in zip(signed, lives, strict=True)]


def _arr_minor(line: Line) -> int:
    return annual_recurring_revenue(
        line.amount_minor, line.starts_on, ends_on=line.ends_on, price_months=line.price_months
    )


def _spells(world: World, lines: Sequence[Sequence[Own]]) -> Spells:
    found = [
        (account, spell)
        for account, own in enumerate(lines)
        for spell in spells([life for *_, life in own], world.as_of)
    ]
    return Spells(
        account=np.array([account for account, _ in found], dtype=np.int64),
        number=np.array([spell.number for _, spell in found], dtype=np.int64),
        started_on=_days([spell.started_on for _, spell in found]),
        ended_on=_days([spell.ended_on for _, spell in found]),
        churned=np.array([spell.is_churned for _, spell in found], dtype=bool),
        cause=cause_codes([spell.cause for _, spell in found]),
    )


def _known_lines(
    lines: Sequence[Sequence[Own]], notices: Sequence[Sequence[ChurnNotice]]
) -> list[tuple[Own, KnownEnd]]:
    """Every line for as long as one and the same was known of its end by notice."""
    found: list[tuple[Own, KnownEnd]] = []
    for own, said in zip(lines, notices, strict=True):
        terms = [KnownTerms(life.line, _midnight(deal.closed_on), None) for deal, _, life in own]
        known = [KnownNotice(notice, _midnight(notice.known_on), None) for notice in said]
        found += [(own[end.position], end) for end in known_ends(terms, known)]
    return found


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), tzinfo=UTC)


def _line_facts(world: World, known: Sequence[tuple[Own, KnownEnd]]) -> LineFacts:
    profile, table = world.history.profile, RateTable(world.history.rates)
    in_reporting = {c: float(table.rate(c, REPORTING_CURRENCY, on=world.as_of)) for c in MINOR_DIGITS}
    own, ends = [row for row, _ in known], [end for _, end in known]
    currencies = [profile.currency[deal.account] for deal, *_ in own]
    arr = [life.line.arr_minor / 10 ** MINOR_DIGITS[c] for (*_, life), c in zip(own, currencies, strict=True)]
    by_seat = [line.product.unit == "seat" for _, line, _ in own]
    return LineFacts(
        account=np.array([deal.account for deal, *_ in own], dtype=np.int64),
        starts_on=_days([line.starts_on for _, line, _ in own]),
        stops_on=_days([life.stops_on for *_, life in own]),
        term_months=np.array([line.term_months for _, line, _ in own], dtype=np.int64),
        non_cancellable=np.array([bool(world.history.customers.is_committed[deal.account]) for deal, *_ in own]),
        mrr=np.array([a * in_reporting[c] / 12 for a, c in zip(arr, currencies, strict=True)]),
        seats=np.where(by_seat, np.array([line.quantity for _, line, _ in own], dtype=np.float64), np.nan),
        leaves_on=_days([each.end[0] if each.end else None for each in ends]),
        leaves_for=cause_codes([each.end[1] if each.end else None for each in ends]),
        available_on=_days([each.since.date() for each in ends]),
        replaced_on=_days([each.until.date() if each.until else None for each in ends]),
    )


def _attributes(world: World) -> AttributeFacts:
    profile = world.history.profile
    segment_code = np.argsort(np.argsort(SEGMENTS))
    channel_code = np.argsort(np.argsort(CHANNELS))
    return AttributeFacts(
        account=np.arange(len(profile.segment)),
        valid_from=profile.created_on,
        available_on=profile.created_on,
        replaced_on=_never(profile.created_on),
        segment=segment_code[profile.segment],
        channel=channel_code[profile.channel],
    )


def _usage(world: World) -> UsageFacts:
    usage = world.usage
    return UsageFacts(
        account=usage.account,
        day=usage.day,
        available_on=usage.day,
        metric=np.where(usage.feature < 0, METRICS.index("active_people"), METRICS.index("activity")),
        feature=usage.feature,
        amount=usage.amount.astype(np.float64),
    )


def _milestones(world: World) -> MilestoneFacts:
    plan = world.milestones
    return MilestoneFacts(plan.account, plan.due_on, plan.done_on, plan.planned_on, plan.done_on, _never(plan.due_on))


def _tickets(world: World) -> TicketFacts:
    desk = world.tickets
    return TicketFacts(desk.account, desk.opened_on, desk.is_escalated, desk.opened_on, _never(desk.opened_on))


def _surveys(world: World) -> SurveyFacts:
    asked = world.surveys
    return SurveyFacts(
        account=asked.account,
        answered_on=asked.answered_on,
        is_nps=asked.is_nps,
        score=asked.score.astype(np.float64),
        available_on=asked.answered_on,
        replaced_on=_never(asked.answered_on),
    )


def _touches(world: World) -> TouchFacts:
    spoke_on = world.touches.occurred_on
    return TouchFacts(world.touches.account, spoke_on, spoke_on, _never(spoke_on))


def _trainings(world: World) -> TrainingFacts:
    held_on = world.trainings.occurred_on
    return TrainingFacts(world.trainings.account, held_on, held_on, _never(held_on))


def _invoices(world: World) -> InvoiceFacts:
    bills = world.invoices
    return InvoiceFacts(
        account=bills.account,
        issued_on=bills.issued_on,
        due_on=bills.due_on,
        paid_on=bills.paid_on,
        available_on=bills.issued_on,
        paid_available_on=bills.paid_on,
        replaced_on=_never(bills.issued_on),
    )


def _never(days: Days) -> Days:
    """For each of these facts: it is never corrected."""
    never: Days = np.full(len(days), NAT)
    return never


def _days(values: Sequence[date | None]) -> Days:
    days: Days = np.array([NAT if v is None else np.datetime64(v, "D") for v in values], dtype="datetime64[D]")
    return days
