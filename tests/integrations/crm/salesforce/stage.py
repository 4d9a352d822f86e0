"""A fake Salesforce on which a story is played, and the client that reads it over HTTP."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from integrations.crm.client import CrmClient
from integrations.crm.mapping import CrmMapping, read_crm_mapping
from integrations.crm.salesforce import connect
from integrations.crm.transport import Transport
from integrations.targets import Policy
from tests.integrations.crm.salesforce.org import Org
from tests.integrations.crm.salesforce.server import Server, serving
from tests.integrations.crm.stories import ToldDeal

SECRET = {"client_id": "tenure", "client_secret": "s3cret-of-the-app", "refresh_token": "refresh-me"}
MAPPING = """
kind = "salesforce"
url = "{url}"
currency = "USD"
[fields]
renewal_of = "Renewal_Of__c"
cancels_on = "Cancels_On__c"
cancel_cause = "Cause__c"
segment = "Segment__c"
line_kind = "Kind__c"
line_ends_on = "Ends_On__c"
line_term_months = "Term__c"
departed_on = "Left_On__c"
[options]
price_period = "Billing__c"
{options}
[write]
note = true
task = true
opportunity = true
account_fields = true
[account_fields]
health_band = "Health__c"
ltv = "Ltv__c"
renewal_on = "Renews_On__c"
[[promises]]
kind = "goal"
field = "Goal__c"
[[promises]]
kind = "note"
field = "Wish__c"
[[promises]]
kind = "date"
field = "Go_Live__c"
"""
WORDS = {
    "new": "New Customer",
    "renewal": "Renewal",
    "expansion": "Existing Customer - Upgrade",
    "contraction": "Existing Customer - Downgrade",
    "cancellation": "Cancellation",
}
STAGE_NAMES = {"open": "Negotiation", "won": "Closed Won", "lost": "Lost"}
PROMISED = {"goal": "Goal__c", "note": "Wish__c"}
BILLED = {1: "Monthly", 12: "Annual", None: None}


def mapping_for(url: str, options: str = "") -> CrmMapping:
    return read_crm_mapping(MAPPING.format(url=url, options=options))


def transport_for(url: str) -> Transport:
    return Transport(url, policy=Policy(private_targets=("127.0.0.1",)), wait=lambda _seconds: None)


@dataclass
class SalesforceStage:
    org: Org
    server: Server
    client: CrmClient
    many: int = 50
    cannot: Mapping[str, str] = field(
        default_factory=lambda: {"merge_deals": "Salesforce merges accounts and contacts, not opportunities."}
    )
    campaigns: dict[str, str] = field(default_factory=dict)

    def _tick(self) -> None:
        self.org.clock += timedelta(seconds=1)

    def now(self) -> datetime:
        self._tick()
        return self.org.clock

    def _create(self, sobject: str, **values: Any) -> str:
        self._tick()
        return self.org.create(sobject, **values)

    def create_owner(self, name: str) -> str:
        return self._create("User", Name=name, IsActive=True, UserType="Standard")

    def create_company(self, name: str) -> str:
        return self._create("Account", Name=name)

    def create_contact(self, company: str, name: str, *, email: str) -> str:
        return self._create("Contact", AccountId=company, Name=name, Email=email)

    def create_product(self, name: str, *, sku: str) -> str:
        product = self._create("Product2", Name=name, ProductCode=sku, IsActive=True)
        for code in ("USD", "JPY"):
            entry = {"Product2Id": product, "Pricebook2Id": self.org.book, "CurrencyIsoCode": code, "IsActive": True}
            self.org.create("PricebookEntry", UnitPrice=Decimal(10), **entry)
        return product

    def create_deal(self, told: ToldDeal) -> str:
        self._tick()
        return self._create_deal(told)

    def _create_deal(self, told: ToldDeal) -> str:
        deal = self.org.create("Opportunity", **self._values(told))
        self._create_lines(deal, told)
        return deal

    def create_at_once(self, told: Sequence[ToldDeal]) -> list[str]:
        self._tick()
        return [self._create_deal(each) for each in told]

    def edit_deal(self, deal: str, told: ToldDeal) -> None:
        self._tick()
        for line in self.org.lines(deal):
            self.org.delete("OpportunityLineItem", line)
        self.org.update("Opportunity", deal, **self._values(told))
        self._create_lines(deal, told)

    def _values(self, told: ToldDeal) -> dict[str, Any]:
        return {
            "Name": told.name,
            "AccountId": told.company,
            "StageName": STAGE_NAMES[told.stage],
            "Type": WORDS[told.type],
            "CloseDate": told.closed_on,
            "CurrencyIsoCode": told.currency,
            "Amount": told.amount,
            "LeadSource": told.lead_source,
            "CampaignId": self._campaign(told.campaign),
            "Renewal_Of__c": told.renewal_of,
            "Cancels_On__c": told.cancels_on,
            **({"OwnerId": told.owner} if told.owner else {}),
            **{PROMISED[kind]: text for kind, text in told.promises},
        }

    def _campaign(self, name: str | None) -> str | None:
        if name is not None and name not in self.campaigns:
            self.campaigns[name] = self.org.create("Campaign", Name=name)
        return self.campaigns[name] if name else None

    def _create_lines(self, deal: str, told: ToldDeal) -> None:
        for line in told.lines:
            self.org.create(
                "OpportunityLineItem",
                OpportunityId=deal,
                Product2Id=line.product,
                Quantity=line.quantity,
                UnitPrice=line.price,
                Discount=None if line.discount is None else line.discount * 100,
                CurrencyIsoCode=told.currency,
                Kind__c="One-Time" if line.period_months is None else "Recurring",
                Billing__c=BILLED[line.period_months],
                Term__c=None if line.term_months is None else Decimal(line.term_months),
                ServiceDate=line.starts_on,
                Ends_On__c=line.ends_on,
            )

    def delete_deal(self, deal: str) -> None:
        self._tick()
        self.org.delete("Opportunity", deal)

    def restore_deal(self, deal: str) -> None:
        self._tick()
        self.org.undelete(deal)

    def merge_deals(self, kept: str, other: str) -> str:
        raise NotImplementedError(self.cannot["merge_deals"])

    def merge_companies(self, kept: str, other: str) -> str:
        self._tick()
        self.org.merge("Account", kept, other)
        return kept

    def hold_back(self, deal: str) -> None:
        self.org.held.add(deal)

    def let_through(self, deal: str) -> None:
        self.org.let_through(deal)

    def count_written(self, kind: str) -> int:
        if kind == "opportunity":
            return len(self.org.tables["Opportunity"])
        tasks = [self.org.get("Task", id_) for id_ in self.org.tables["Task"]]
        return sum((task["Status"] == "完了") == (kind == "note") for task in tasks)


@contextmanager
def open_stage(_folder: Path) -> Iterator[SalesforceStage]:
    server = Server(Org(), rows_a_page=20, lines_a_page=2)
    server.refresh_tokens.add((SECRET["client_id"], SECRET["refresh_token"]))
    with serving(server) as url:
        yield SalesforceStage(server.org, server, connect(transport_for(url), mapping_for(url), secret=SECRET))
