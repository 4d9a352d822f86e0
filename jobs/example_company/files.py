"""The world as the files that a CRM, a product, a help desk, a survey tool, an academy and a billing system export.

The mapping `example_company` reads them as a backfill. They hold what such systems know, and nothing of
the truth: no quality, no engagement, no decision that was not told.
"""

import csv
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy as np

from app.domain.months import Days
from jobs.example_company import names
from jobs.example_company.company import ADD_ONS, CHANNELS, MINOR_DIGITS, PLANS, REPORTING_CURRENCY, SEGMENTS
from jobs.example_company.signals import FEATURES, MILESTONES, TOPICS, TOUCH_KINDS
from jobs.example_company.spending import list_spending
from jobs.example_company.world import World

Cell = str | int
NOTICE_DAYS = 30
DEAL_COLUMNS = (
    "deal_id,account_id,name,stage,type,opened_on,closed_on,amount,currency,lead_source,campaign,owner,"
    "renewal_of,non_cancellable,notice_days"
)
SUBJECTS = ("Import fails", "Slow report", "Question about roles", "Invoice", "API limit", "Export to CSV")
SUBJECTS_JA = ("取り込みエラー", "レポートが遅い", "権限について", "請求書について", "APIの上限", "CSV出力")
COMMENTS = {"low": ("Too slow for us", "Hard to get started"), "high": ("Saves us hours", "The team likes it")}
COMMENTS_JA = {"low": ("動作が遅いです", "使い始めるのが難しい"), "high": ("作業時間が減りました", "チームに好評です")}


def write_files(world: World, folder: Path) -> tuple[Path, ...]:
    """Write the exports as UTF-8 CSV into `folder`, which is made if need be; the same world, the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    exports = {
        "staff.csv": ("staff_id,name,email,role", _staff()),
        "accounts.csv": (
            "account_id,name,segment,industry,country,employees,channel,campaign,csm,created_on",
            _accounts(world),
        ),
        "contacts.csv": ("contact_id,account_id,name,email,role", _contacts(world)),
        "products.csv": ("sku,name,family,unit,list_price,currency", _products()),
        "fx_rates.csv": ("day,base,quote,rate", _rates(world)),
        "deals.csv": (
            DEAL_COLUMNS,
            _deals(world),
        ),
        "deal_lines.csv": (
            "deal_id,line,sku,quantity,unit_price,amount,starts_on,ends_on,term_months,price_months,auto_renew",
            _lines(world),
        ),
        "churn_notices.csv": ("notice_id,account_id,given_on,effective_on,cause,reason", _notices(world)),
        "milestones.csv": ("deal_id,position,name,planned_on,due_on,done_on,owner", _milestones(world)),
        "usage.csv": ("account_id,day,metric,feature,amount", _usage(world)),
        "tickets.csv": ("ticket_id,account_id,opened_on,closed_on,priority,escalated,subject", _tickets(world)),
        "surveys.csv": ("answer_id,account_id,answered_on,kind,score,comment", _surveys(world)),
        "touches.csv": ("touch_id,account_id,occurred_on,kind,staff", _touches(world)),
        "trainings.csv": ("training_id,account_id,held_on,topic,feature,attendees", _trainings(world)),
        "invoices.csv": ("invoice_id,account_id,issued_on,due_on,paid_on,amount,currency", _invoices(world)),
        "acquisition_costs.csv": ("channel,month,amount,currency", list_spending(world)),
    }
    return tuple(_write(folder / name, header=header, rows=rows) for name, (header, rows) in exports.items())


def account_code(account: int) -> str:
    return f"A{account + 1:05d}"


def _write(path: Path, *, header: str, rows: Iterable[Sequence[Cell]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header.split(","))
        writer.writerows(rows)
    return path


def _staff() -> Iterator[Sequence[Cell]]:
    for role, people in (("sales", names.OWNERS), ("csm", names.CSMS)):
        for number, name in enumerate(people, start=1):
            yield _staff_code(name), name, f"{role}{number}@vendor.example", role


def _staff_code(name: str) -> str:
    return f"S{(*names.OWNERS, *names.CSMS).index(name) + 1:02d}"


def _accounts(world: World) -> Iterator[Sequence[Cell]]:
    p = world.history.profile
    for i, created_on in enumerate(_iso(p.created_on)):
        segment, channel = SEGMENTS[p.segment[i]], CHANNELS[p.channel[i]]
        about = (p.name[i], segment, p.industry[i], p.country[i], int(p.employees[i]), channel, p.campaign[i])
        yield account_code(i), *about, _staff_code(p.csm[i]), created_on


def _contacts(world: World) -> Iterator[Sequence[Cell]]:
    rng = np.random.default_rng([world.seed, 4])
    for account, country in enumerate(world.history.profile.country):
        for number, role in enumerate(("champion", "economic buyer", "user")[: int(rng.integers(1, 4))], start=1):
            if country == "JP":
                name = f"{rng.choice(names.JAPAN_FAMILY)} {rng.choice(names.JAPAN_GIVEN)}"
            else:
                name = f"{rng.choice(names.WEST_GIVEN)} {rng.choice(names.WEST_FAMILY)}"
            code = f"{account_code(account)}-{number}"
            yield code, account_code(account), name, f"contact{number}@{account_code(account).lower()}.example", role


def _products() -> Iterator[Sequence[Cell]]:
    for product in (*PLANS, *ADD_ONS):
        price = f"{product.monthly_price_usd:.2f}"
        yield product.sku, product.name, product.family, product.unit, price, REPORTING_CURRENCY


def _rates(world: World) -> Iterator[Sequence[Cell]]:
    for rate in world.history.rates:
        yield rate.on.isoformat(), rate.base, rate.quote, str(rate.rate)


def _deals(world: World) -> Iterator[Sequence[Cell]]:
    p, committed = world.history.profile, world.history.customers.is_committed
    for deal in world.history.ledger.deals:
        i, currency = deal.account, p.currency[deal.account]
        amount = _amount(sum(line.amount_minor for line in deal.lines), currency) if deal.lines else ""
        renewal_of = "" if deal.renewal_of is None else _deal_code(deal.renewal_of)
        head = (_deal_code(deal.number), account_code(i), f"{p.name[i]}: {deal.type}", deal.stage, deal.type)
        days = (deal.opened_on.isoformat(), deal.closed_on.isoformat())
        origin = (CHANNELS[p.channel[i]], p.campaign[i], _staff_code(p.owner[i]))
        yield *head, *days, amount, currency, *origin, renewal_of, _yes_no(committed[i]), NOTICE_DAYS


def _lines(world: World) -> Iterator[Sequence[Cell]]:
    for deal in world.history.ledger.deals:
        currency = world.history.profile.currency[deal.account]
        for number, line in enumerate(deal.lines, start=1):
            prices = (_amount(line.unit_price_minor, currency), _amount(line.amount_minor, currency))
            what = (_deal_code(deal.number), number, line.product.sku, line.quantity, *prices)
            term = (line.starts_on.isoformat(), _day(line.ends_on), line.term_months, line.price_months)
            yield *what, *term, _yes_no(line.term_months == 1)


def _notices(world: World) -> Iterator[Sequence[Cell]]:
    for number, notice in enumerate(world.history.ledger.notices, start=1):
        days = (notice.given_on.isoformat(), notice.effective_on.isoformat())
        yield f"N{number:05d}", account_code(notice.account), *days, notice.cause, notice.reason


def _milestones(world: World) -> Iterator[Sequence[Cell]]:
    plan, csm = world.milestones, world.history.profile.csm
    days = zip(_iso(plan.planned_on), _iso(plan.due_on), _iso(plan.done_on), strict=True)
    rows = zip(plan.account.tolist(), plan.deal.tolist(), plan.position.tolist(), days, strict=True)
    for account, deal, position, (planned_on, due_on, done_on) in rows:
        name = MILESTONES[position - 1][0]
        yield _deal_code(deal), position, name, planned_on, due_on, done_on, _staff_code(csm[account])


def _usage(world: World) -> Iterator[Sequence[Cell]]:
    usage = world.usage
    codes = [account_code(account) for account in range(len(world.history.profile.segment))]
    columns = (usage.account.tolist(), _iso(usage.day), usage.feature.tolist(), usage.amount.tolist())
    for account, day, feature, amount in zip(*columns, strict=True):
        if feature < 0:
            yield codes[account], day, "active_people", "", amount
        else:
            yield codes[account], day, "activity", FEATURES[feature], amount


def _tickets(world: World) -> Iterator[Sequence[Cell]]:
    desk, country = world.tickets, world.history.profile.country
    rows = zip(desk.account.tolist(), _iso(desk.opened_on), _iso(desk.closed_on), desk.is_escalated, strict=True)
    for number, (account, opened_on, closed_on, is_escalated) in enumerate(rows, start=1):
        subjects = SUBJECTS_JA if country[account] == "JP" else SUBJECTS
        about = ("high" if is_escalated else "normal", _yes_no(is_escalated), subjects[number % len(subjects)])
        yield f"T{number:06d}", account_code(account), opened_on, closed_on, *about


def _surveys(world: World) -> Iterator[Sequence[Cell]]:
    asked, country = world.surveys, world.history.profile.country
    rows = zip(asked.account.tolist(), _iso(asked.answered_on), asked.is_nps, asked.score.tolist(), strict=True)
    for number, (account, answered_on, is_nps, score) in enumerate(rows, start=1):
        comments = COMMENTS_JA if country[account] == "JP" else COMMENTS
        words = comments["high" if score >= (9 if is_nps else 5) else "low"][number % 2]
        is_extreme = score >= 9 or score <= 2 or (not is_nps and score == 5)
        kind = "nps" if is_nps else "csat"
        yield f"Q{number:06d}", account_code(account), answered_on, kind, score, words if is_extreme else ""


def _touches(world: World) -> Iterator[Sequence[Cell]]:
    touches, csm = world.touches, world.history.profile.csm
    rows = zip(touches.account.tolist(), _iso(touches.occurred_on), touches.kind.tolist(), strict=True)
    for number, (account, occurred_on, kind) in enumerate(rows, start=1):
        yield f"C{number:06d}", account_code(account), occurred_on, TOUCH_KINDS[kind], _staff_code(csm[account])


def _trainings(world: World) -> Iterator[Sequence[Cell]]:
    held = world.trainings
    rows = zip(
        held.account.tolist(), _iso(held.occurred_on), held.feature.tolist(), held.attendees.tolist(), strict=True
    )
    for number, (account, held_on, feature, attendees) in enumerate(rows, start=1):
        yield f"L{number:06d}", account_code(account), held_on, TOPICS[feature], FEATURES[feature], attendees


def _invoices(world: World) -> Iterator[Sequence[Cell]]:
    bills, currency = world.invoices, world.history.profile.currency
    days = zip(_iso(bills.issued_on), _iso(bills.due_on), _iso(bills.paid_on), strict=True)
    rows = zip(bills.account.tolist(), days, bills.amount_minor.tolist(), strict=True)
    for number, (account, when, minor) in enumerate(rows, start=1):
        yield f"B{number:06d}", account_code(account), *when, _amount(minor, currency[account]), currency[account]


def _deal_code(number: int) -> str:
    return f"D{number + 1:05d}"


def _amount(minor: int, currency: str) -> str:
    digits = MINOR_DIGITS[currency]
    return f"{Decimal(minor).scaleb(-digits):.{digits}f}"


def _yes_no(value: object) -> str:
    return "yes" if value else "no"


def _day(value: date | None) -> str:
    return "" if value is None else value.isoformat()


def _iso(days: Days) -> list[str]:
    return ["" if text == "NaT" else text for text in np.datetime_as_string(days).tolist()]
