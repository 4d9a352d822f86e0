"""The stories of the contract test, played on the fake HubSpot."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from integrations.crm.client import CrmClient
from integrations.crm.hubspot import connect
from integrations.crm.mapping import CrmMapping, read_crm_mapping
from integrations.crm.transport import Limits, Transport
from integrations.targets import Policy
from tests.integrations.crm.hubspot.fake import TOKEN, FakeHubspot, serving
from tests.integrations.crm.stories import ToldDeal, ToldLine

MAPPING = """
kind = "hubspot"
currency = "USD"

[fields]
renewal_of = "renewal_of_deal"
cancels_on = "cancels_on"
line_ends_on = "contract_ends_on"

[[promises]]
kind = "goal"
field = "promised_goal"

[[promises]]
kind = "note"
field = "promised_note"

[account_fields]
health_band = "tenure_health"
ltv = "tenure_ltv"
"""
FREQUENCIES = {1: "monthly", 3: "quarterly", 12: "annually"}
LATE = time(21, 30)  # of the account's own day: in UTC it is the next


def mapping_of(url: str, more: str = "") -> CrmMapping:
    return read_crm_mapping(f'url = "{url}"\n{MAPPING}{more}')


def connect_to(
    fake: FakeHubspot, url: str, *, more: str = "", secret: Mapping[str, str] | None = None, tries: int = 5
) -> CrmClient:
    """A client whose waiting moves the fake's clock, and which dates notes by it."""
    limits = Limits(deadline_seconds=20.0, tries=tries)
    transport = Transport(url, policy=Policy(private_targets=("127.0.0.1",)), limits=limits, wait=fake.wait)
    told = {"token": TOKEN} if secret is None else secret
    return connect(transport, mapping_of(url, more), secret=told, now=lambda: fake.records.clock)


class PromptHubspot(FakeHubspot):
    """Its time goes by with each request: for clients that are not made to wait."""

    def answer(self, *asked: Any) -> Any:
        self.wait(1.0)
        return super().answer(*asked)


@dataclass
class HubspotStage:
    fake: FakeHubspot
    client: CrmClient
    cannot: Mapping[str, str]
    many: int = 450  # 200 a page

    def now(self) -> datetime:
        return self.fake.records.clock

    def create_owner(self, name: str) -> str:
        first, _, last = name.partition(" ")
        at = self._tick().isoformat()
        owner = {"id": str(100 + len(self.fake.owners)), "email": f"{first.lower()}@example.com", "archived": False}
        self.fake.owners.append(owner | {"firstName": first, "lastName": last, "createdAt": at, "updatedAt": at})
        return str(owner["id"])

    def create_company(self, name: str) -> str:
        return str(self.fake.records.create("companies", {"name": name}).id)

    def create_contact(self, company: str, name: str, *, email: str) -> str:
        first, _, last = name.partition(" ")
        properties = {"firstname": first, "lastname": last, "email": email, "associatedcompanyid": company}
        return str(self.fake.records.create("contacts", properties, [link(company, 1)]).id)

    def create_product(self, name: str, *, sku: str) -> str:
        properties = {"name": name, "hs_sku": sku, "recurringbillingfrequency": "annually"}
        return str(self.fake.records.create("products", properties).id)

    def create_deal(self, told: ToldDeal) -> str:
        deal = self.fake.records.create("deals", properties_of(told), [link(told.company, 5)])
        self._add_lines(deal.id, told.lines)
        return str(deal.id)

    def create_at_once(self, told: Sequence[ToldDeal]) -> list[str]:
        self.fake.records.is_at_once = True
        deals = [self.create_deal(each) for each in told]
        self.fake.records.is_at_once = False
        self._tick()
        return deals

    def edit_deal(self, deal: str, told: ToldDeal) -> None:
        records = self.fake.records
        for line in records.linked("deals", int(deal), "line_items"):
            records.archive("line_items", line)
        for company in list(records.links["deals", "companies"][int(deal)]):
            del records.links["deals", "companies"][int(deal)][company]
        records.associate("deals", int(deal), "companies", int(told.company), {5})
        self._add_lines(int(deal), told.lines)
        records.update("deals", int(deal), properties_of(told))

    def delete_deal(self, deal: str) -> None:
        self.fake.records.archive("deals", int(deal))

    def restore_deal(self, deal: str) -> None:
        self.fake.records.restore("deals", int(deal))

    def merge_deals(self, kept: str, other: str) -> str:
        return str(self.fake.records.merge("deals", int(kept), int(other)).id)

    def merge_companies(self, kept: str, other: str) -> str:
        return str(self.fake.records.merge("companies", int(kept), int(other)).id)

    def hold_back(self, deal: str) -> None:
        record = self.fake.records.kinds["deals"][int(deal)]
        record.held = record.shown

    def let_through(self, deal: str) -> None:
        self.fake.records.kinds["deals"][int(deal)].held = None

    def count_written(self, kind: str) -> int:
        name = {"note": "notes", "task": "tasks", "opportunity": "deals"}[kind]
        of_ours = [each for each in self.fake.records.kinds[name].values() if "[Tenure " in str(each.properties)]
        return len(of_ours)

    def _tick(self) -> datetime:
        at = self.fake.records.clock
        self.fake.wait(1)
        return at

    def _add_lines(self, deal: int, lines: Sequence[ToldLine]) -> None:
        for line in lines:
            self.fake.records.create("line_items", line_properties(line), [link(str(deal), 20)])


def link(to: str, number: int) -> dict[str, Any]:
    return {"to": {"id": to}, "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": number}]}


def properties_of(told: ToldDeal) -> dict[str, Any]:
    stages = {"open": "appointmentscheduled", "won": "closedwon", "lost": "closedlost"}
    types = {"new": "newbusiness", "expansion": "existingbusiness"}
    closed_at = datetime.combine(told.closed_on, LATE, tzinfo=ZoneInfo("America/New_York")).astimezone(UTC)
    properties = {
        "dealname": told.name,
        "pipeline": "default",
        "dealstage": stages[told.stage],
        "dealtype": types.get(told.type, told.type),
        "closedate": closed_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "deal_currency_code": told.currency,
        "amount": told.amount,
        "hubspot_owner_id": told.owner,
        "hs_analytics_source": told.lead_source,
        "hs_campaign": told.campaign,
        "renewal_of_deal": told.renewal_of,
        "cancels_on": told.cancels_on,
        **{f"promised_{kind}": text for kind, text in told.promises},
    }
    return {name: value for name, value in properties.items() if value is not None}


def line_properties(line: ToldLine) -> dict[str, Any]:
    properties = {
        "hs_product_id": line.product,
        "name": "a line",
        "price": line.price,
        "quantity": line.quantity,
        "hs_discount_percentage": None if line.discount is None else line.discount * Decimal(100),
        "recurringbillingfrequency": FREQUENCIES.get(line.period_months or 0),
        "hs_recurring_billing_period": None if line.term_months is None else f"P{line.term_months}M",
        "hs_recurring_billing_start_date": line.starts_on,
        "contract_ends_on": line.ends_on,
    }
    return {name: value for name, value in properties.items() if value is not None}


@contextlib.contextmanager
def open_stage(folder: Path) -> Iterator[HubspotStage]:
    fake = FakeHubspot()
    with serving(fake) as url:
        cannot = {"negative_amount": "HubSpot takes no line with a price below zero"}
        yield HubspotStage(fake, connect_to(fake, url), cannot)
