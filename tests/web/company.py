"""A small company with every state that the pages have words for, and the night run on it."""

import hashlib
import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app.db import transaction
from app.domain.months import add_months
from app.models.accounts import Account, AccountVersion, Assignment
from app.models.contracts import ChurnNotice, Contract, ContractLine, ContractLineVersion, ContractVersion
from app.models.deals import Deal, DealVersion
from app.models.persons import FreeText, Person
from app.models.products import Product, ProductVersion
from app.models.success import Milestone, OnboardingPlan, SurveyAnswer, Ticket, Touch
from app.models.usage import UsageDay, UsageMetric
from app.models.versions import Change
from app.services.changes import recording
from app.services.users import NewUser, add_user
from jobs.nightly import run_night
from tests.installation import work_on

AS_OF = date(2026, 9, 30)
NOW = datetime(2026, 9, 30, 9, tzinfo=UTC)
EMAIL, PASSWORD = "mika@example.com", "three unrelated words"
PLANS = {"Team": 4_800_00, "Business": 18_000_00, "Enterprise": 60_000_00}
SEGMENTS = ("Small", "Mid-market", "Enterprise")
CHANNELS = ("Webinar", "Partner", "Referral")
ADJECTIVES = ("Amber", "Brisk", "Coral", "Dawn", "Ember", "Fable", "Grand", "Hazel", "Ivory", "Juniper", "Kindred")
NOUNS = ("Freight", "Foods", "Dental", "Studios", "Energy", "Textiles", "Press")
SPECIAL = ("青葉ロボティクス株式会社", "Brightwater Logistics", "Cobalt & Sons <b>Ltd</b>", "Quiet Harbour")


class Company:
    """Writes facts; every row is kept under one change."""

    def __init__(self, session: Session, change: Change) -> None:
        self.session, self.change, self.number, self.notices = session, change, 0, 0
        self.random = random.Random(7)  # noqa: S311  a fixed seed, no secret
        self.products = {plan: self._product(plan) for plan in (*PLANS, "Set-up")}
        self.csms = [self.person("staff", "Mika Sato", email=EMAIL.upper()), self.person("staff", "Omar Haddad")]
        self.metrics = {name: self._metric(name) for name in ("activity", "active_people")}

    def key(self) -> str:
        self.number += 1
        return f"k{self.number}"

    def add(self, row: Any) -> Any:
        row.change_id = self.change.id
        self.session.add(row)
        self.session.flush()
        return row

    def version(self, row: Any, on: date) -> Any:
        row.available_at = datetime(on.year, on.month, on.day, tzinfo=UTC)
        return self.add(row)

    def person(self, kind: str, name: str, account_id: int | None = None, *, email: str | None = None) -> int:
        row = Person(kind=kind, system="test", external_id=self.key(), name=name, account_id=account_id, email=email)
        return int(self.add(row).id)

    def text(self, body: str) -> int:
        return int(self.add(FreeText(body=body)).id)

    def _metric(self, name: str) -> int:
        row = UsageMetric(name=name, unit="count")
        self.session.add(row)
        self.session.flush()
        return row.id

    def _product(self, plan: str) -> int:
        product = self.add(Product(sku=plan.upper()))
        is_plan = plan in PLANS
        row = ProductVersion(
            product_id=product.id,
            valid_from=date(2020, 1, 1),
            name=f"{plan} plan" if is_plan else plan,
            family="Platform" if is_plan else "Services",
            plan=plan if is_plan else None,
            is_recurring=is_plan,
            unit="seat" if is_plan else "flat",
        )
        self.version(row, date(2020, 1, 1))
        return int(product.id)

    def account(self, name: str, *, segment: str | None, channel: str, on: date, csm: int | None = None) -> int:
        account = self.add(Account())
        row = AccountVersion(
            account_id=account.id, valid_from=on, name=name, segment=segment, channel=channel,
            industry="Software", country="Japan", employees=240, custom={},
        )  # fmt: skip
        self.version(row, on)
        if csm is not None:
            self.version(Assignment(account_id=account.id, role="csm", person_id=csm, valid_from=on), on)
        return int(account.id)

    def contract(self, account_id: int, *, plan: str, starts_on: date, months: int | None, type_: str = "new") -> int:
        """A won deal with its contract and one recurring line of 20 seats; gives the contract line."""
        yearly = PLANS[plan]
        amount = yearly if months is None else yearly * months // 12
        deal = self.add(Deal(system="crm", external_id=self.key()))
        name = f"{plan} {starts_on.year}"
        self.version(
            DealVersion(
                deal_id=deal.id, account_id=account_id, name=name, stage="won", type=type_, opened_on=starts_on,
                closed_on=starts_on, amount=str(amount // 100), amount_minor=amount, currency="USD",
            ),
            starts_on,
        )  # fmt: skip
        contract = self.add(Contract(deal_id=deal.id))
        ends_on = None if months is None else add_months(starts_on, months) - timedelta(days=1)
        self.version(
            ContractVersion(
                contract_id=contract.id, account_id=account_id, starts_on=starts_on, ends_on=ends_on,
                term_months=months or 1, auto_renew=months is None, notice_days=30,
            ),
            starts_on,
        )  # fmt: skip
        line = self.add(ContractLine(contract_id=contract.id, line_key="1"))
        self.version(
            ContractLineVersion(
                contract_line_id=line.id, account_id=account_id, product_id=self.products[plan], kind="recurring",
                quantity=Decimal(20), unit_price=Decimal(amount) / 2000, discount=Decimal("0.1"), starts_on=starts_on,
                ends_on=ends_on, term_months=months or 1, amount=str(amount // 100), amount_minor=amount,
                arr_minor=yearly, currency="USD",
            ),
            starts_on,
        )  # fmt: skip
        return int(line.id)

    def notice(self, account_id: int, *, given_on: date, effective_on: date) -> None:
        self.notices += 1
        row = ChurnNotice(
            system="crm", external_id=self.key(), account_id=account_id, occurred_on=given_on,
            effective_on=effective_on, cause="voluntary" if self.notices % 4 else "payment_failure", reason="Budget",
        )  # fmt: skip
        self.version(row, given_on)

    def use(self, account_id: int, *, since: date, until: date, level: float) -> None:
        """Two rows a week of each metric."""
        rows = []
        for days in range(0, (until - since).days, 4):
            day = since + timedelta(days=days)
            noise = self.random.uniform(0.7, 1.3)
            people = float(round(15 * level * noise))
            amounts = {"activity": float(round(80 * level * noise)), "active_people": people}
            for metric, amount in amounts.items():
                rows.append(
                    UsageDay(
                        source_key=hashlib.sha256(f"{account_id}/{metric}/{day}".encode()).digest()[:16],
                        account_id=account_id, metric_id=self.metrics[metric], day=day,
                        available_on=day + timedelta(days=1), amount=amount, change_id=self.change.id,
                    )
                )  # fmt: skip
        self.session.add_all(rows)
        self.session.flush()

    def fact(self, table: type[Any], account_id: int, *, on: date, **columns: Any) -> None:
        row = table(system="test", external_id=self.key(), account_id=account_id, occurred_on=on, **columns)
        self.version(row, on)

    def onboarding(self, account_id: int, *, started_on: date, done_days: tuple[int | None, ...]) -> None:
        """Steps due every 14 days; done after so many days, or not."""
        plan = self.add(OnboardingPlan(account_id=account_id, template="Standard onboarding", started_on=started_on))
        names = ("Kick-off", "Data connected", "Team trained", "First report sent")
        for position, (name, done) in enumerate(zip(names, done_days, strict=True)):
            done_on = None if done is None else started_on + timedelta(days=done)
            row = Milestone(
                plan_id=plan.id, position=position, name=name, owner_id=self.csms[0],
                due_on=started_on + timedelta(days=14 * (position + 1)), done_on=done_on,
                done_available_at=None if done_on is None else datetime(*done_on.timetuple()[:3], tzinfo=UTC),
            )  # fmt: skip
            self.version(row, started_on)


def write_company(session: Session, change: Change) -> None:
    company = Company(session, change)
    for number, (name, months_ago, churns_after) in enumerate(_plan(company.random)):
        starts_on = add_months(AS_OF, -months_ago)
        segment = SEGMENTS[number % 3] if name != "Quiet Harbour" else None
        csm = company.csms[number % 2] if number % 5 != 4 else None
        account_id = company.account(name, segment=segment, channel=CHANNELS[number % 3], on=starts_on, csm=csm)
        _live(company, account_id, number=number, starts_on=starts_on, churns_after=churns_after)
    one_off = company.account("Zephyr One-off", segment="Small", channel="Partner", on=date(2026, 1, 5))
    company.fact(Touch, one_off, on=date(2026, 2, 1), kind="call", staff_id=company.csms[0])
    upcoming = company.account("Yonder Starts Later", segment="Small", channel="Partner", on=date(2026, 9, 1))
    company.contract(upcoming, plan="Team", starts_on=date(2026, 11, 1), months=12)
    _tell_story(company)


def _plan(rng: random.Random) -> Iterator[tuple[str, int, int | None]]:
    """Names, months since they began, and after how many they left."""
    for name in SPECIAL:
        yield name, 26, None
    for noun in NOUNS:
        for adjective in ADJECTIVES:
            months_ago = rng.randint(3, 40)
            leaves = rng.random() < 0.25
            yield f"{adjective} {noun}", months_ago, rng.randint(2, max(2, months_ago - 1)) if leaves else None


def _live(company: Company, account_id: int, *, number: int, starts_on: date, churns_after: int | None) -> None:
    plan = list(PLANS)[number % 3]
    ended_on = add_months(starts_on, churns_after) if churns_after else None
    is_monthly = number % 4 == 3
    if is_monthly:
        company.contract(account_id, plan=plan, starts_on=starts_on, months=None)
    else:
        for year in range(4):
            term_on = add_months(starts_on, 12 * year)
            if term_on > AS_OF or (ended_on and term_on >= ended_on):
                break
            company.contract(account_id, plan=plan, starts_on=term_on, months=12, type_="renewal" if year else "new")
            last_on = add_months(term_on, 12)
        ended_on = last_on if ended_on else None
    if ended_on and ended_on <= AS_OF:
        company.notice(account_id, given_on=ended_on - timedelta(days=30), effective_on=ended_on)
    level = company.random.uniform(0.2, 0.6) if churns_after else company.random.uniform(0.5, 1.3)
    if number != 3:  # Quiet Harbour sends nothing at all
        until = min(ended_on or AS_OF, AS_OF)
        company.use(account_id, since=max(starts_on, add_months(AS_OF, -20)), until=until, level=level)


def _tell_story(company: Company) -> None:
    """The first account has something of everything."""
    first = company.session.query(AccountVersion.account_id).filter_by(name=SPECIAL[0]).scalar()
    contact = company.person("contact", "田中 花子", first)
    company.onboarding(first, started_on=date(2026, 7, 20), done_days=(9, 35, None, None))
    company.fact(
        Touch, first, on=date(2026, 9, 22), kind="meeting", staff_id=company.csms[0], person_id=contact,
        text_id=company.text("Quarterly review. They want the export before the budget round.\nNext: send the plan."),
    )  # fmt: skip
    company.fact(
        Ticket, first, on=date(2026, 9, 10), closed_on=date(2026, 9, 14), priority="high", is_escalated=True,
        satisfaction=4.0, person_id=contact, text_id=company.text("Export fails for large projects."),
    )  # fmt: skip
    company.fact(SurveyAnswer, first, on=date(2026, 8, 30), kind="nps", score=8.0, person_id=contact)
    company.fact(SurveyAnswer, first, on=date(2026, 6, 30), kind="csat", score=4.0)
    for week in range(40):
        day = date(2026, 9, 1) - timedelta(weeks=week)
        company.fact(Touch, first, on=day, kind=("call", "mail")[week % 2], staff_id=company.csms[0])
    deal = company.add(Deal(system="crm", external_id=company.key()))
    company.version(
        DealVersion(deal_id=deal.id, account_id=first, name="More seats", stage="open", type="expansion",
                    opened_on=date(2026, 9, 18), amount="9000", amount_minor=900_000, currency="USD"),
        date(2026, 9, 18),
    )  # fmt: skip


def build_company(engine: Engine) -> None:
    """The facts, one person who can log in, and the night."""
    with transaction(engine) as session, recording(session, "test", clock=lambda: NOW) as change:
        write_company(session, change)
        add_user(session, change, new=NewUser("Mika Sato", EMAIL, PASSWORD))
    run_night(work_on(engine, clock=lambda: NOW), AS_OF)
