"""What Salesforce alone does to a reader: pages that are forgotten or lead astray, lines that change by themselves."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from app.services.deal_terms import settle
from integrations.crm.client import (
    CrmError,
    CrmNonsense,
    CrmRefused,
    Fate,
    Noun,
    Promise,
    Window,
)
from tests.integrations.crm.salesforce.company import Company
from tests.integrations.crm.salesforce.org import BIN, Org
from tests.integrations.crm.salesforce.server import Answer, Asked, Server, serving
from tests.integrations.crm.salesforce.stage import mapping_for


def test_twelve_thousand_deals_of_one_instant_are_read_once_each_from_any_mark(company: Company) -> None:
    company.server.rows_a_page = 2_000
    deals = {company.deal() for _ in range(12_000)}
    window = Window(None, company.tick())
    pages = list(company.client.read(Noun.DEAL, window))
    given = [item.id for page in pages for item in page.items]
    assert (len(pages), len(given), set(given)) == (6, 12_000, deals)
    assert {page.total for page in pages} == {12_000}
    first = next(iter(company.connect().read(Noun.DEAL, window, mark=pages[3].mark)))
    assert [item.id for item in first.items] == given[8_000:10_000]
    assert first.total == 12_000


def test_a_line_that_changes_without_its_deals_sum_brings_its_deal(company: Company) -> None:
    deal = company.deal()
    line = company.line(deal)
    company.deal(Name="Another")
    since = company.tick()
    company.org.update("OpportunityLineItem", line, ServiceDate=date(2026, 7, 1))
    assert company.org.get("Opportunity", deal)["SystemModstamp"] < since, "else this shows nothing"
    (item,) = company.read(since=since)
    assert (item.id, item.modified_at) == (deal, since)
    assert item.row.closed.lines[0].starts_on == date(2026, 7, 1)


def test_marks_among_changed_lines_are_gone_on_from(company: Company) -> None:
    deals = [company.deal(Name=f"Deal {n}") for n in range(50)]
    lines = [company.line(deal) for deal in deals]
    since = company.tick()
    for line in lines:
        company.org.update("OpportunityLineItem", line, ServiceDate=date(2026, 7, 1))
    window = Window(since, company.tick())
    pages = list(company.client.read(Noun.DEAL, window))
    assert [len(page.items) for page in pages] == [20, 20, 10]
    rest = list(company.client.read(Noun.DEAL, window, mark=pages[0].mark))
    assert [item.id for page in rest for item in page.items] == [i.id for page in pages[1:] for i in page.items]


def test_lines_that_come_in_pages_of_their_own_are_all_read(company: Company) -> None:
    company.server.lines_a_page = 2
    deal = company.deal()
    lines = [company.line(deal, UnitPrice=Decimal(n)) for n in range(7)]
    assert [line.key for line in company.only().closed.lines] == lines


def test_a_query_that_salesforce_has_forgotten_is_asked_anew(company: Company) -> None:
    deals = [company.deal() for _ in range(60)]
    reading = company.client.read(Noun.DEAL, Window(None, company.tick()))
    given = [item.id for item in next(reading).items]
    company.server.cursors.clear()
    given += [item.id for page in reading for item in page.items]
    assert given == deals


def test_what_changes_while_pages_are_read_is_left_to_the_next_window(company: Company) -> None:
    deals = [company.deal() for _ in range(40)]
    until = company.tick()
    reading = company.client.read(Noun.DEAL, Window(None, until))
    first = next(reading)
    company.tick()
    company.org.update("Opportunity", deals[-1], Name="Changed meanwhile")
    (second,) = list(reading)
    assert [item.id for page in (first, second) for item in page.items] == deals[:-1]
    assert second.mark.endswith(deals[-2]), "a mark beyond the window would pass others by"
    assert [item.id for item in company.read(since=until)] == [deals[-1]]


def test_records_out_of_order_are_refused(company: Company) -> None:
    for n in range(3):
        company.tick()
        company.deal(Name=f"Deal {n}")
    company.server.fault = _changed(company, lambda body: body["records"].reverse())
    with pytest.raises(CrmNonsense, match="not in the order"):
        company.read()


def _changed(company: Company, change: Any) -> Any:
    """A fault that gives a page of deals as it is, but for a change."""

    def fault(asked: Asked) -> Answer | None:
        if "FROM Opportunity " not in asked.query.get("q", "") and "/query/" not in asked.path:
            return None
        company.server.fault = lambda _asked: None
        answer = company.server.answer(asked)
        company.server.fault = fault
        change(answer.body)
        return answer

    return fault


class TestLinks:
    @pytest.fixture
    def elsewhere(self) -> Iterator[Server]:
        server = Server(Org())
        with serving(server):
            yield server

    @pytest.mark.parametrize("spelled", ["{url}/services/data/v62.0/query/01g-20", "//{host}/services/data/v62.0/q"])
    def test_one_to_another_host_is_refused_and_no_token_goes_there(
        self, company: Company, elsewhere: Server, spelled: str
    ) -> None:
        for _ in range(30):
            company.deal()
        link = spelled.format(url=elsewhere.url, host=elsewhere.url.partition("//")[2])
        company.server.fault = _changed(company, lambda body: body.update(nextRecordsUrl=link))
        reading = company.client.read(Noun.DEAL, Window(None, company.tick()))
        assert len(next(reading).items) == 20
        with pytest.raises(CrmError, match="another host"):
            next(reading)
        assert elsewhere.asked == []

    def test_one_back_to_its_own_page_ends_the_reading(self, company: Company) -> None:
        for _ in range(60):
            company.deal()
        here: list[str] = []
        company.server.fault = _changed(
            company, lambda body: body.update(done=False, nextRecordsUrl=_first(here, body["nextRecordsUrl"]))
        )
        with pytest.raises(CrmNonsense, match="back to itself"):
            company.read()


def _first(kept: list[str], value: str) -> str:
    kept.append(value)
    return kept[0]


@pytest.mark.parametrize(
    "body",
    [
        b"<html><body>Log in</body></html>",
        b'{"totalSize": 3, "done": tr',
        {"totalSize": 1, "done": True},
        {"records": [], "done": True},
        {"records": [{"Id": "x"}], "totalSize": "1", "done": True},
        {"records": ["x"], "totalSize": 1, "done": True},
        [],
        None,
    ],
)
def test_what_is_no_page_of_records_is_refused(company: Company, body: Any) -> None:
    company.deal()
    company.server.fault = lambda asked: Answer(200, body) if "FROM Opportunity " in asked.query.get("q", "") else None
    with pytest.raises(CrmNonsense):
        company.read()


class TestMergers:
    def test_one_merged_twice_over_lives_on_in_the_last(self, company: Company) -> None:
        first, second, third = (company.org.create("Account", Name=name) for name in "ABC")
        company.tick()
        company.org.merge("Account", second, first)
        company.tick()
        company.org.merge("Account", third, second)
        given = {item.id: item for item in company.read(Noun.COMPANY)}
        assert set(given) == {company.account, third}
        assert given[third].merged == tuple(sorted((first, second)))
        found = company.client.find(Noun.COMPANY, [first, third])
        assert (found[first].fate, found[first].into) == (Fate.MERGED, third)
        assert found[third].fate is Fate.THERE

    def test_the_one_that_lives_on_comes_along_though_it_did_not_change_in_the_window(self, company: Company) -> None:
        other = company.org.create("Account", Name="Twin")
        since = company.tick()
        company.org.update("Account", other, IsDeleted=True, MasterRecordId=company.account)
        (item,) = company.read(Noun.COMPANY, since=since)
        assert (item.id, item.merged, item.row.name) == (company.account, (other,), "Borealis GmbH")

    def test_a_circle_is_refused(self, company: Company) -> None:
        other = company.org.create("Account", Name="Twin")
        company.org.update("Account", other, IsDeleted=True, MasterRecordId=company.account)
        company.org.update("Account", company.account, IsDeleted=True, MasterRecordId=other)
        with pytest.raises(CrmNonsense, match="circle"):
            company.read(Noun.COMPANY)


def test_what_left_the_recycle_bin_is_gone_and_listed_no_longer(company: Company) -> None:
    kept, deleted = company.deal(), company.deal()
    company.org.delete("Opportunity", deleted)
    company.tick()
    assert [item.row for item in company.read() if item.id == deleted] == [None]
    company.tick(days=BIN.days + 1)
    assert [item.id for item in company.read()] == [kept]
    assert [id_ for part in company.client.list_ids(Noun.DEAL) for id_ in part] == [kept]
    found = company.client.find(Noun.DEAL, [kept, deleted, "no id of Salesforce's'"])
    assert [found[id_].fate for id_ in (kept, deleted)] == [Fate.THERE, Fate.GONE]
    assert found["no id of Salesforce's'"].fate is Fate.GONE


class TestFields:
    def test_one_of_the_companys_own_that_is_hidden_is_said_to_be(self, company: Company) -> None:
        company.deal()
        company.org.hidden.add(("OpportunityLineItem", "Term__c"))
        with pytest.raises(CrmRefused, match=r"OpportunityLineItem has no field Term__c"):
            company.read()

    def test_an_amount_that_is_hidden_is_said_to_be(self, company: Company) -> None:
        company.deal()
        company.org.hidden.add(("Opportunity", "Amount"))
        with pytest.raises(CrmRefused, match=r"Opportunity has no field Amount"):
            company.read()

    def test_a_standard_one_that_is_hidden_is_left_out(self, company: Company) -> None:
        company.deal(LeadSource="Web", Type="Renewal")
        company.org.hidden |= {("Opportunity", "LeadSource"), ("Opportunity", "CampaignId")}
        deal = company.only().closed.deal
        assert (deal.lead_source, deal.campaign, deal.type) == (None, None, "renewal")

    def test_each_is_listed_with_what_is_made_of_it(self, company: Company) -> None:
        company.org.hidden.add(("Opportunity", "Renewal_Of__c"))
        options = company.client.list_options()
        stages = {option.id: option.meaning for option in options["stages"]}
        assert stages == {"Prospecting": "open", "Negotiation": "open", "Closed Won": "won", "Lost": "lost"}
        types = {option.id: option.meaning for option in options["types"]}
        assert (types["Renewal"], types["Barter"]) == ("renewal", None)
        fields = {option.id: option for option in options["fields"]}
        assert fields["OpportunityLineItem.Ends_On__c"].meaning == "line_ends_on"
        assert fields["Opportunity.Campaign.Name"].meaning == "campaign"
        assert fields["Opportunity.Go_Live__c"].meaning is None
        assert fields["Opportunity.Renewal_Of__c"].meaning is None
        assert "hidden" in fields["Opportunity.Renewal_Of__c"].label
        assert {option.id: option.meaning for option in options["line_kinds"]} == {
            "Recurring": "recurring",
            "One-Time": "one_time",
            "Mystery": None,
        }


class TestDeals:
    """By pencil: 1,200 x 3 years = 3,600."""

    def arr(self, company: Company, **line: Any) -> tuple[int | None, date | None]:
        company.line(company.deal(), **line)
        (settled,) = settle(company.only().closed).lines
        return settled.arr_minor, settled.ends_on

    def test_a_price_without_a_period_buys_the_whole_term(self, company: Company) -> None:
        assert self.arr(company, UnitPrice=Decimal(3600), Term__c=Decimal(36)) == (120_000, date(2029, 3, 9))

    def test_a_price_with_a_period_buys_that(self, company: Company) -> None:
        given = {"UnitPrice": Decimal(100), "Billing__c": "Monthly", "Term__c": Decimal(36)}
        assert self.arr(company, **given) == (120_000, date(2029, 3, 9))

    def test_without_either_it_renews_by_what_the_options_say(self, company: Company) -> None:
        assert self.arr(company, UnitPrice=Decimal(600)) == (60_000, None)
        company.client = company.connect(mapping_for(company.url, options="price_months = 6"))
        (settled,) = settle(company.only().closed).lines
        assert (settled.arr_minor, settled.row.auto_renew) == (120_000, True)

    def test_a_discount_is_in_per_cent_there_and_of_one_here(self, company: Company) -> None:
        company.line(company.deal(), UnitPrice=Decimal("0.29"), Quantity=Decimal(7), Discount=Decimal("12.5"))
        (line,) = company.only().closed.lines
        assert (line.discount, line.amount, line.quantity) == (Decimal("0.125"), Decimal("1.78"), Decimal(7))

    def test_values_without_a_meaning_are_told(self, company: Company) -> None:
        mapping = mapping_for(company.url)
        company.client = company.connect(replace(mapping, fields={**mapping.fields, "term_months": "Term__c"}))
        deal = company.deal(Type="Barter", Term__c="a year", Cause__c="bored")
        company.line(deal, Kind__c="Mystery", Billing__c="Fortnightly")
        read = company.only()
        assert set(read.unmapped) == {
            "types: Barter",
            "term_months: a year",
            "cancel_cause: bored",
            "line_kinds: Mystery",
            "periods: Fortnightly",
        }
        assert (read.closed.deal.type, read.closed.lines[0].kind, read.cancel_cause) == (
            "new",
            "recurring",
            "voluntary",
        )

    def test_a_cancellation_without_a_day_counts_from_its_closing(self, company: Company) -> None:
        company.deal(Type="Cancellation", Cause__c="payment_failure")
        read = company.only()
        assert (read.cancels_on, read.cancel_cause) == (date(2026, 3, 10), "payment_failure")

    def test_a_promised_day_is_its_own_due_day(self, company: Company) -> None:
        company.deal(Go_Live__c=date(2026, 5, 1), Goal__c="  ")
        assert company.only().promises == (Promise("Go_Live__c", "date", "2026-05-01", date(2026, 5, 1)),)

    @pytest.mark.parametrize("company", [{"has_currencies": False}], indirect=True)
    def test_a_company_of_one_currency_names_none(self, company: Company) -> None:
        company.line(company.deal())
        closed = company.only().closed
        assert (closed.deal.currency, closed.lines[0].currency) == ("USD", "USD")
        assert not any("CurrencyIsoCode" in asked.query.get("q", "") for asked in company.server.asked)


class TestPeople:
    def test_who_is_not_active_has_left_and_customers_of_a_portal_are_no_staff(self, company: Company) -> None:
        gone = company.org.create("User", Name="Kim", UserType="Standard", IsActive=False, Email="kim@example.com")
        company.org.create("User", Name="A customer", UserType="CspLitePortal", IsActive=True)
        staff = {item.id: item.row for item in company.read(Noun.OWNER)}
        assert set(staff) == {company.org.user, gone}
        assert (staff[gone].departed_on, staff[gone].email) == (date(2026, 3, 10), "kim@example.com")
        assert staff[company.org.user].departed_on is None

    def test_a_person_at_no_company_is_none_of_ours(self, company: Company) -> None:
        company.org.create("Contact", Name="Ada")
        here = company.org.create(
            "Contact", Name="Bea", AccountId=company.account, Title="CFO", Left_On__c=date(2026, 1, 2)
        )
        rows = {item.id: item.row for item in company.read(Noun.CONTACT)}
        assert [row for id_, row in rows.items() if id_ != here] == [None]
        assert (rows[here].role, rows[here].departed_on) == ("CFO", date(2026, 1, 2))

    def test_a_company_comes_with_its_fields(self, company: Company) -> None:
        values = {
            "Industry": "Retail",
            "BillingCountry": "JP",
            "NumberOfEmployees": Decimal(120),
            "Segment__c": "large",
        }
        company.org.update("Account", company.account, **values, ParentId=company.account, AccountSource="Partner")
        row = company.only(Noun.COMPANY)
        assert (row.industry, row.country, row.employees, row.segment) == ("Retail", "JP", 120, "large")
        assert (row.parent, row.channel, row.account_owner) == (company.account, "Partner", company.org.user)


@pytest.mark.parametrize("mark", ["", "2 2026-01-01T00:00:00.000Z 006000000000001", "0 x' OR Id != ' 006000000000001"])
def test_a_mark_that_is_none_is_refused(company: Company, mark: str) -> None:
    with pytest.raises(CrmError, match="mark"):
        company.pages(mark=mark)


def test_names_with_quotes_and_other_scripts_come_as_they_are(company: Company) -> None:
    name = "O'Brien \\ 青葉 \" 🙂 %"
    company.org.update("Account", company.account, Name=name)
    assert company.only(Noun.COMPANY).name == name
