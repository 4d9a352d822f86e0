"""What is written back, each once, whatever becomes of the answer and of what was written."""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from integrations.crm.client import AccountFields, CrmError, NewLine, NewNote, NewOpportunity, NewTask, WriteBack
from integrations.crm.salesforce import connect
from tests.integrations.crm.salesforce.server import Answer, Asked
from tests.integrations.crm.salesforce.stage import SECRET, SalesforceStage, mapping_for, open_stage, transport_for

KEY = "opp-1/o'brien \\ 青"
BY_FIELD = 'key_field = "Tenure_Key__c"'


@pytest.fixture(params=["", BY_FIELD], ids=["by a mark", "by a field"])
def stage(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[SalesforceStage]:
    """Known by a mark in the description, or by a field of its own."""
    with open_stage(tmp_path) as stage:
        reconnect(stage, request.param)
        yield stage


def reconnect(stage: SalesforceStage, options: str) -> None:
    url = stage.server.url
    stage.client = connect(transport_for(url), mapping_for(url, options), secret=SECRET, now=stage.org.clock.timestamp)


def records(stage: SalesforceStage, sobject: str) -> list[dict[str, Any]]:
    return [stage.org.get(sobject, id_) for id_ in stage.org.tables[sobject]]


def changes(stage: SalesforceStage) -> list[Asked]:
    return [asked for asked in stage.server.asked if asked.method != "GET" and "/data/" in asked.path]


def test_a_task_goes_to_the_accounts_owner_and_a_note_is_done(stage: SalesforceStage) -> None:
    owner, account = stage.create_owner("Kim"), stage.create_company("青葉商事")
    stage.org.update("Account", account, OwnerId=owner)
    stage.client.write(WriteBack(KEY, NewTask(account, "Call them", "Usage fell.", due_on=date(2026, 4, 1))))
    stage.client.write(WriteBack("note", NewNote(account, "At risk: usage fell.\nBy half.")))
    task, note = records(stage, "Task")
    assert (task["OwnerId"], task["WhatId"], task["Subject"]) == (owner, account, "Call them")
    assert (task["ActivityDate"], task["Status"]) == (date(2026, 4, 1), None)
    assert (note["Subject"], note["Status"], note["ActivityDate"]) == ("At risk: usage fell.", "完了", None)
    assert note["Description"].startswith("At risk: usage fell.\nBy half.")


def test_what_somebody_deleted_since_is_not_written_again(stage: SalesforceStage) -> None:
    account = stage.create_company("Borealis GmbH")
    task = WriteBack(KEY, NewTask(account, "Call them", "Usage fell."))
    first = stage.client.write(task)
    stage.org.delete("Task", first)
    assert stage.client.write(task) == first
    assert len(records(stage, "Task")) == 1


def test_what_somebody_has_edited_since_is_left_as_it_is(stage: SalesforceStage) -> None:
    account = stage.create_company("Borealis GmbH")
    task = WriteBack(KEY, NewTask(account, "Call them", "Usage fell."))
    first = stage.client.write(task)
    stage.org.update("Task", first, Subject="Called them", Status="完了")
    assert stage.client.write(task) == first
    assert stage.org.get("Task", first)["Subject"] == "Called them"


@pytest.mark.parametrize("kind", ["task", "opportunity"])
def test_an_answer_that_is_lost_leads_to_no_second_writing(stage: SalesforceStage, kind: str) -> None:
    account = stage.create_company("Borealis GmbH")
    item = NewTask(account, "Call", "Now.") if kind == "task" else NewOpportunity(account, "More", "USD", Decimal(900))

    def lose(asked: Asked) -> Answer | None:
        if asked.method == "GET" or "/data/" not in asked.path:
            return None
        stage.server.fault = lambda _asked: None
        stage.server.answer(asked)
        return Answer(500, b"<html>it broke after it was done</html>")

    stage.server.fault = lose
    with pytest.raises(CrmError):
        stage.client.write(WriteBack(KEY, item))
    there = stage.client.write(WriteBack(KEY, item))
    assert [record["Id"] for record in records(stage, kind.title())] == [there]


def test_an_opportunity_comes_with_its_lines_prices_and_a_type_that_reads_as_expansion(stage: SalesforceStage) -> None:
    account, sold = stage.create_company("Borealis GmbH"), stage.create_product("Core", sku="CORE")
    lines = (NewLine(sold, Decimal(5), Decimal("20.25")), NewLine(sold, Decimal(2)))
    new = NewOpportunity(account, "More seats " * 20, "JPY", close_on=date(2026, 6, 1), lines=lines, text="Why: usage.")
    deal = stage.org.get("Opportunity", stage.client.write(WriteBack(KEY, new)))
    assert (deal["StageName"], deal["Type"], deal["CloseDate"]) == (
        "Prospecting",
        "Existing Customer - Upgrade",
        date(2026, 6, 1),
    )
    assert (deal["CurrencyIsoCode"], deal["Amount"], len(deal["Name"])) == ("JPY", Decimal(121), 120)
    assert [line["TotalPrice"] for line in records(stage, "OpportunityLineItem")] == [Decimal(101), Decimal(20)]
    assert len(changes(stage)) == 1, "all of it or nothing"


def test_an_opportunity_without_a_day_or_lines_closes_today_and_has_its_amount(stage: SalesforceStage) -> None:
    account = stage.create_company("Borealis GmbH")
    reconnect(stage, "")
    new = NewOpportunity(account, "More", "USD", amount=Decimal("1200.50"))
    deal = stage.org.get("Opportunity", stage.client.write(WriteBack(KEY, new)))
    assert (deal["CloseDate"], deal["Amount"]) == (date(2026, 3, 10), Decimal("1200.5"))


def test_a_product_that_is_in_no_price_book_is_said_to_be_and_nothing_is_written(stage: SalesforceStage) -> None:
    account, sold = stage.create_company("Borealis GmbH"), stage.org.create("Product2", Name="Rare")
    new = NewOpportunity(account, "More", "USD", lines=(NewLine(sold, Decimal(1)),))
    with pytest.raises(CrmError, match="price book in USD"):
        stage.client.write(WriteBack(KEY, new))
    assert records(stage, "Opportunity") == []


def test_fields_of_an_account_are_written_where_they_differ_alone(stage: SalesforceStage) -> None:
    account = stage.create_company("Borealis GmbH")
    values = {
        "health_band": "at risk",
        "ltv": Decimal("1200.50"),
        "ltv_currency": "USD",
        "renewal_on": date(2027, 1, 31),
    }
    item = AccountFields(account, {**values, "churn_risk": Decimal("0.2")})
    assert stage.client.write(WriteBack("a", item)) == account
    kept = stage.org.get("Account", account)
    assert (kept["Health__c"], kept["Ltv__c"], kept["Renews_On__c"]) == (
        "at risk",
        Decimal("1200.5"),
        date(2027, 1, 31),
    )
    assert len(changes(stage)) == 1
    stage.client.write(WriteBack("a", item))
    assert len(changes(stage)) == 1
    stage.client.write(WriteBack("a", AccountFields(account, {**values, "health_band": None})))
    assert changes(stage)[-1].body == b'{"Health__c": null}'
    assert stage.org.get("Account", account)["Health__c"] is None


def test_a_lifetime_value_in_another_currency_than_the_accounts_is_not_written(stage: SalesforceStage) -> None:
    account = stage.create_company("Borealis GmbH")
    with pytest.raises(CrmError, match="kept in USD; a lifetime value in JPY"):
        stage.client.write(WriteBack("a", AccountFields(account, {"ltv": Decimal(1), "ltv_currency": "JPY"})))
    assert changes(stage) == []


def test_an_account_that_is_not_there_is_said_not_to_be(stage: SalesforceStage) -> None:
    with pytest.raises(CrmError, match="account is not there"):
        stage.client.write(WriteBack("a", AccountFields("001000000000009AAA", {"health_band": "at risk"})))


def test_a_key_field_that_is_hidden_stops_the_writing(stage: SalesforceStage) -> None:
    account = stage.create_company("Borealis GmbH")
    stage.org.hidden.add(("Task", "Tenure_Key__c"))
    reconnect(stage, BY_FIELD)
    with pytest.raises(CrmError, match="Task has no field Tenure_Key__c"):
        stage.client.write(WriteBack(KEY, NewNote(account, "At risk")))
    assert records(stage, "Task") == []
