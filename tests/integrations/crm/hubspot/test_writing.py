"""What is written back to HubSpot, each thing once, whatever gets lost."""

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from integrations.crm.client import (
    AccountFields,
    CrmClient,
    CrmError,
    NewLine,
    NewNote,
    NewOpportunity,
    NewTask,
    WriteBack,
)
from tests.integrations.crm.hubspot.fake import Fault
from tests.integrations.crm.hubspot_stage import HubspotStage

UNIQUE = '[options]\nkey_property = { opportunity = "tenure_key" }\n'


@pytest.fixture
def company(stage: HubspotStage) -> str:
    return stage.create_company("青葉商事")


def opportunity(stage: HubspotStage, company: str, **values: Any) -> NewOpportunity:
    lines = tuple(NewLine(stage.create_product(sku, sku=sku), Decimal(5), Decimal("20.50")) for sku in ("CORE", "PLUS"))
    return NewOpportunity(company, "More seats", "EUR", **({"lines": lines} | values))


def lost(where: str) -> Fault:
    """What was asked for is done, and the answer does not come."""
    return Fault(where, 502, is_after=True)


def properties_of(stage: HubspotStage, kind: str, id_: str) -> dict[str, str]:
    return stage.fake.records.kinds[kind][int(id_)].properties


@pytest.mark.parametrize("kind", ["note", "task"])
def test_what_was_written_before_the_answer_got_lost_is_not_written_again(
    stage: HubspotStage, company: str, kind: str
) -> None:
    item = NewNote(company, "At risk") if kind == "note" else NewTask(company, "Call", "At risk")
    stage.fake.faults.append(lost(f"/objects/{kind}s"))
    with pytest.raises(CrmError):
        stage.client.write(WriteBack("k-1", item))
    assert stage.count_written(kind) == 1
    stage.client.write(WriteBack("k-1", item))
    assert stage.count_written(kind) == 1


@pytest.mark.parametrize("more", ["", UNIQUE])
@pytest.mark.parametrize("where", ["/objects/deals", "/line_items/batch/create"])
def test_a_deal_whose_answer_or_lines_got_lost_is_completed(
    stage: HubspotStage, company: str, connect_with: Callable[..., CrmClient], where: str, more: str
) -> None:
    client, what = connect_with(more), WriteBack("k-1", opportunity(stage, company))
    for fault in [lost(where)] if more == "" else [Fault("/line_items/batch/create", 400), lost("batch/create")]:
        stage.fake.faults.append(fault)
        with pytest.raises(CrmError):
            client.write(what)
    deal = client.write(what)
    assert client.write(what) == deal
    assert stage.count_written("opportunity") == 1
    assert len(stage.fake.records.linked("deals", int(deal), "line_items")) == 2
    assert len(stage.fake.records.kinds["line_items"]) == 2


def test_a_unique_property_finds_a_deal_that_went_to_another_company(
    stage: HubspotStage, company: str, connect_with: Callable[..., CrmClient]
) -> None:
    client, what = connect_with(UNIQUE), WriteBack("k-1", opportunity(stage, company))
    deal = client.write(what)
    links = stage.fake.records.links["deals", "companies"][int(deal)]
    links.clear()
    assert client.write(what) == deal
    assert properties_of(stage, "deals", deal)["tenure_key"] == "k-1"


def test_a_key_that_begins_like_another_is_another(stage: HubspotStage, company: str) -> None:
    keys = ["k-11", "k-1", "k 1", "k<1>", "k&1", "k%201", "鍵"]
    ids = [stage.client.write(WriteBack(key, NewNote(company, "At risk"))) for key in keys]
    assert len(set(ids)) == len(keys)
    assert [stage.client.write(WriteBack(key, NewNote(company, "At risk"))) for key in keys] == ids


def test_a_note_is_found_among_very_many(stage: HubspotStage, company: str) -> None:
    stage.fake.association_page = 100
    first = stage.client.write(WriteBack("k-1", NewNote(company, "At risk")))
    for number in range(350):
        text = {"hs_timestamp": "1", "hs_note_body": f"Note {number}"}
        note = stage.fake.records.create("notes", text)
        stage.fake.records.associate("notes", note.id, "companies", int(company), {190})
    assert stage.client.write(WriteBack("k-1", NewNote(company, "At risk"))) == first


def test_a_note_is_a_text_and_no_markup_and_belongs_to_its_company_and_deal(stage: HubspotStage, company: str) -> None:
    deal = stage.client.write(WriteBack("k-1", opportunity(stage, company)))
    note = stage.client.write(WriteBack("k-2", NewNote(company, "<b>青葉</b> & Co\n2nd line", deal=deal)))
    body = properties_of(stage, "notes", note)["hs_note_body"]
    assert body == "&lt;b&gt;青葉&lt;/b&gt; &amp; Co<br>2nd line<br><br>[Tenure k-2]"
    assert set(stage.fake.records.linked("notes", int(note), "companies")) == {int(company)}
    assert set(stage.fake.records.linked("notes", int(note), "deals")) == {int(deal)}


def test_a_task_is_due_on_the_morning_of_the_accounts_own_day(stage: HubspotStage, company: str) -> None:
    task = NewTask(company, "Call them", "Usage fell", owner="100", due_on=date(2026, 4, 1))
    properties = properties_of(stage, "tasks", stage.client.write(WriteBack("k-1", task)))
    assert properties["hs_timestamp"] == "1775048400000"  # 2026-04-01 09:00 in New York, 13:00 in UTC
    assert (properties["hs_task_subject"], properties["hubspot_owner_id"]) == ("Call them", "100")
    assert properties["hs_task_status"] == "NOT_STARTED"


def test_an_opportunity_has_what_was_said(stage: HubspotStage, company: str) -> None:
    new = opportunity(stage, company, amount=Decimal("205.00"), owner="100", close_on=date(2026, 6, 1), text="Why: 席")
    deal = stage.client.write(WriteBack("k-1", new))
    told = properties_of(stage, "deals", deal)
    assert (told["dealname"], told["amount"], told["deal_currency_code"]) == ("More seats", "205.00", "EUR")
    assert (told["pipeline"], told["dealstage"], told["dealtype"]) == (
        "default",
        "appointmentscheduled",
        "existingbusiness",
    )
    assert (told["closedate"], told["hubspot_owner_id"]) == ("2026-06-01T00:00:00Z", "100")
    assert told["description"] == "Why: 席\n\n[Tenure k-1]"
    lines = [
        properties_of(stage, "line_items", str(id_))
        for id_ in stage.fake.records.linked("deals", int(deal), "line_items")
    ]
    assert [(line["name"], line["quantity"], line["price"]) for line in lines] == [
        ("CORE", "5", "20.50"),
        ("PLUS", "5", "20.50"),
    ]
    assert [line["hs_product_id"] for line in lines] == [line.product for line in new.lines]


def test_an_opportunity_begins_where_the_mapping_says(
    stage: HubspotStage, company: str, connect_with: Callable[..., CrmClient]
) -> None:
    stage.fake.add_pipeline("up", "Upsell")
    client = connect_with('[options]\nnew_deal = { pipeline = "up", stage = "up-appointmentscheduled" }\n')
    told = properties_of(stage, "deals", client.write(WriteBack("k-1", opportunity(stage, company, lines=()))))
    assert (told["pipeline"], told["dealstage"]) == ("up", "up-appointmentscheduled")


def test_fields_of_an_account_are_set_cleared_and_follow_a_merged_company(stage: HubspotStage, company: str) -> None:
    values = {"health_band": "at risk", "ltv": Decimal("1200.50"), "ltv_currency": "USD", "churn_risk": Decimal("0.2")}
    stage.client.write(WriteBack("k-1", AccountFields(company, values)))
    assert properties_of(stage, "companies", company) == {
        "name": "青葉商事",
        "tenure_health": "at risk",
        "tenure_ltv": "1200.50",
    }  # the mapping names no field of the others
    alive = stage.merge_companies(company, stage.create_company("Aoba"))
    assert stage.client.write(WriteBack("k-1", AccountFields(company, {"ltv": None}))) == alive
    assert properties_of(stage, "companies", alive)["tenure_ltv"] == ""


def test_what_cannot_be_written_is_an_error_and_leaves_nothing(stage: HubspotStage, company: str) -> None:
    with pytest.raises(CrmError, match="400"):
        stage.client.write(WriteBack("k-1", NewNote("999", "Nobody's")))
    with pytest.raises(CrmError, match="404"):
        stage.client.write(WriteBack("k-1", AccountFields("999", {"ltv": Decimal(1)})))
    assert stage.count_written("note") == 0
