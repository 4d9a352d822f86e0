"""A company in a fake Salesforce, as the tests of one act on it and read it."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from integrations.crm.client import Changed, CrmClient, Noun, Page, Window
from integrations.crm.mapping import CrmMapping
from integrations.crm.salesforce import connect
from tests.integrations.crm.salesforce.server import Server
from tests.integrations.crm.salesforce.stage import SECRET, mapping_for, transport_for


class Company:
    """A fake Salesforce with one account and one product, and a client of it."""

    def __init__(self, server: Server, url: str) -> None:
        self.server, self.org, self.url = server, server.org, url
        self.client = self.connect()
        self.account = self.org.create("Account", Name="Borealis GmbH")
        self.product = self.org.create("Product2", Name="Core", ProductCode="CORE")

    def connect(self, mapping: CrmMapping | None = None) -> CrmClient:
        return connect(transport_for(self.url), mapping or mapping_for(self.url), secret=SECRET)

    def tick(self, **given: float) -> datetime:
        self.org.clock += timedelta(**(given or {"seconds": 1}))
        return self.org.clock

    def deal(self, **values: Any) -> str:
        told = {"Name": "Core", "AccountId": self.account, "StageName": "Closed Won", "CloseDate": date(2026, 3, 10)}
        return self.org.create("Opportunity", **{**told, **values})

    def line(self, deal: str, **values: Any) -> str:
        told = {"OpportunityId": deal, "Product2Id": self.product, "Quantity": Decimal(1), "UnitPrice": Decimal(1200)}
        return self.org.create("OpportunityLineItem", **{**told, **values})

    def pages(
        self, noun: Noun = Noun.DEAL, *, since: datetime | None = None, mark: str | None = None
    ) -> list[Page[Any]]:
        self.tick()
        return list(self.client.read(noun, Window(since, self.org.clock), mark=mark))

    def read(self, noun: Noun = Noun.DEAL, *, since: datetime | None = None) -> list[Changed[Any]]:
        return [item for page in self.pages(noun, since=since) for item in page.items]

    def only(self, noun: Noun = Noun.DEAL) -> Any:
        (item,) = self.read(noun)
        return item.row
