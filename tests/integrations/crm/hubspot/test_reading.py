"""What is read of HubSpot and how: by windows, through its limits, and past its lag."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from integrations.crm.client import CrmClient, CrmError, CrmNonsense, Fate, Noun, Window
from tests import hostile_receivers as hostile
from tests.hostile_receivers import receiving
from tests.integrations.crm.hubspot.fake import FakeHubspot, Fault
from tests.integrations.crm.hubspot_stage import HubspotStage, link
from tests.integrations.crm.stories import NaiveReader, ToldDeal, ToldLine

EVERYTHING = datetime(2027, 1, 1, tzinfo=UTC)


def a_deal(stage: HubspotStage, *, lines: int = 1, company: str | None = None, state: str = "won") -> str:
    told = tuple(ToldLine(stage.create_product(f"P{n}", sku=f"P{n}"), Decimal(100)) for n in range(lines))
    return stage.create_deal(ToldDeal(company or stage.create_company("Borealis"), "Core", told, stage=state))


def ids_of(client: CrmClient, window: Window, noun: Noun = Noun.DEAL) -> Counter[str]:
    return Counter(item.id for page in client.read(noun, window) for item in page.items)


@pytest.mark.slow
def test_25_000_deals_with_12_000_in_one_millisecond_come_each_once(stage: HubspotStage) -> None:
    records, company = stage.fake.records, stage.create_company("Borealis")
    for number in range(25_000):
        records.is_at_once = 8_000 <= number < 20_000
        records.create("deals", {"dealname": str(number), "dealstage": "closedlost"}, [link(company, 5)])
    records.is_at_once = False
    modified = Counter(record.modified_at for record in records.kinds["deals"].values())
    assert max(modified.values()) == 12_001  # and the one after them
    read = ids_of(stage.client, Window(None, stage.now()))
    assert set(read) == {str(id_) for id_ in records.kinds["deals"]}
    assert max(read.values()) == 1
    (instant,) = (at for at, count in modified.items() if count > 1)
    at_once = ids_of(stage.client, Window(instant, instant + timedelta(milliseconds=1)))
    assert (len(at_once), max(at_once.values())) == (12_001, 1)


def test_a_page_says_how_many_the_window_has(stage: HubspotStage) -> None:
    stage.create_at_once([ToldDeal(stage.create_company("Borealis"), str(n)) for n in range(450)])
    pages = list(stage.client.read(Noun.DEAL, Window(None, stage.now())))
    assert [(len(page.items), page.total) for page in pages] == [(200, 450), (200, 450), (50, 450)]


def test_what_the_index_shows_late_is_missed_by_no_second_window(stage: HubspotStage) -> None:
    stage.fake.records.index_lag = timedelta(minutes=5)
    deal = a_deal(stage)
    reader = NaiveReader(stage).pull()
    assert reader.deals == {}
    stage.fake.wait(400)
    assert set(reader.pull().deals) == {deal}


def test_an_index_that_is_behind_only_finds_and_what_is_read_is_how_it_is(stage: HubspotStage) -> None:
    stage.fake.records.index_lag = timedelta(minutes=5)
    deal = a_deal(stage, state="open")
    stage.fake.wait(400)
    stage.fake.records.update("deals", int(deal), {"dealstage": "closedwon"})
    (item,) = (item for page in stage.client.read(Noun.DEAL, Window(None, stage.now())) for item in page.items)
    assert item.row.closed.deal.stage == "won"


def test_a_line_that_is_changed_alone_brings_its_deal(stage: HubspotStage) -> None:
    deal, other = a_deal(stage), a_deal(stage)
    reader, before = NaiveReader(stage).pull(), stage.now()
    (line,) = stage.fake.records.linked("deals", int(deal), "line_items")
    stage.fake.records.update("line_items", line, {"price": "250"})
    assert reader.pull().deals[deal].closed.lines[0].amount == 250
    assert reader.deals[other].closed.lines[0].amount == 100
    assert ids_of(stage.client, Window(before, stage.now())) == {deal: 1}


def test_a_deal_that_changed_with_its_lines_comes_once(stage: HubspotStage) -> None:
    before = stage.now()
    deal = a_deal(stage, lines=3)
    assert ids_of(stage.client, Window(before, stage.now())) == {deal: 1}


def test_a_line_that_is_taken_out_is_no_more(stage: HubspotStage) -> None:
    deal = a_deal(stage, lines=2)
    first, second = stage.fake.records.linked("deals", int(deal), "line_items")
    stage.fake.records.archive("line_items", first)
    stage.fake.records.update("deals", int(deal), {"amount": "100"})
    assert [line.key for line in NaiveReader(stage).pull().deals[deal].closed.lines] == [str(second)]


def test_an_archived_deal_is_told_with_the_instant_and_only_in_its_window(stage: HubspotStage) -> None:
    deal, before = a_deal(stage), stage.now()
    stage.delete_deal(deal)
    after = stage.now()
    (page,) = stage.client.read(Noun.DEAL, Window(before, after))
    assert [(item.id, item.modified_at, item.row) for item in page.items] == [(deal, before, None)]
    assert ids_of(stage.client, Window(after, after + timedelta(days=1))) == {}
    assert ids_of(stage.client, Window(None, after)) == {}  # who knows of nothing has nothing to forget


def test_every_page_of_every_part_has_a_mark_of_its_own_and_from_each_the_rest_is_read(stage: HubspotStage) -> None:
    doomed = [a_deal(stage, state="open") for _ in range(250)]
    touched, before = a_deal(stage), stage.now()
    for deal in doomed:
        stage.delete_deal(deal)
    edited = [a_deal(stage) for _ in range(3)]
    (line,) = stage.fake.records.linked("deals", int(touched), "line_items")
    stage.fake.records.update("line_items", line, {"price": "250"})
    for number in range(120):
        stage.create_owner(f"Kim {number}")
    stage.fake.owners[0] |= {"archived": True}
    window = Window(before, stage.now())
    for noun, wanted in (
        (Noun.DEAL, {*doomed, touched, *edited}),
        (Noun.OWNER, {each["id"] for each in stage.fake.owners}),
    ):
        pages = list(stage.client.read(noun, window))
        marks = [page.mark for page in pages]
        assert len(marks) >= 3
        assert len(set(marks)) == len(marks)
        for number, mark in enumerate(marks, start=1):
            done = {item.id for page in pages[:number] for item in page.items}
            rest = [item.id for page in stage.client.read(noun, window, mark=mark) for item in page.items]
            assert sorted([*done, *rest]) == sorted(wanted)


def test_what_was_merged_is_not_told_as_gone(stage: HubspotStage) -> None:
    pair, before = [a_deal(stage), a_deal(stage)], stage.now()
    alive = stage.merge_deals(*pair)
    items = [item for page in stage.client.read(Noun.DEAL, Window(before, stage.now())) for item in page.items]
    assert [(item.id, item.merged) for item in items] == [(alive, tuple(pair))]
    assert items[0].row is not None


def test_a_chain_of_merges_is_found_to_its_end(stage: HubspotStage) -> None:
    one, two, three, gone, there = (a_deal(stage) for _ in range(5))
    stage.delete_deal(gone)
    alive = stage.merge_deals(stage.merge_deals(one, two), three)
    found = stage.client.find(Noun.DEAL, [one, three, gone, there, "no id"])
    assert {id_: each.fate for id_, each in found.items()} == {
        one: Fate.MERGED, three: Fate.MERGED, gone: Fate.GONE, there: Fate.THERE, "no id": Fate.GONE,
    }  # fmt: skip
    assert {found[one].into, found[three].into} == {alive}
    stage.fake.records.kinds["deals"][int(alive)].properties["hs_merged_object_ids"] = (
        three  # it may name the last only
    )
    assert stage.client.find(Noun.DEAL, [one])[one].into == alive


def test_the_primary_company_is_the_account(stage: HubspotStage) -> None:
    first, primary = stage.create_company("Reseller"), stage.create_company("Borealis")
    deal = a_deal(stage, company=primary)
    stage.fake.records.associate("deals", int(deal), "companies", int(first), {341})
    assert NaiveReader(stage).pull().deals[deal].closed.deal.account == primary


def test_lines_that_come_on_pages_of_associations_are_all_read(stage: HubspotStage) -> None:
    stage.fake.association_page = 2
    deals = [a_deal(stage, lines=lines) for lines in (5, 1, 2)]
    read = NaiveReader(stage).pull().deals
    assert [len(read[deal].closed.lines) for deal in deals] == [5, 1, 2]


def test_who_left_is_still_somebody_and_a_person_without_company_is_nobodys_contact(stage: HubspotStage) -> None:
    owner, company = stage.create_owner("Kim Sato"), stage.create_company("Borealis")
    contact = stage.create_contact(company, "Ada Berg", email="ada@borealis.example")
    reader = NaiveReader(stage).pull()
    assert reader.things[Noun.OWNER][owner].departed_on is None
    stage.fake.owners[0] |= {"archived": True, "updatedAt": stage.now().isoformat()}
    stage.fake.records.update("contacts", int(contact), {"associatedcompanyid": ""})
    reader.pull()
    assert reader.things[Noun.OWNER][owner].departed_on == date(2026, 3, 10)
    assert reader.things[Noun.CONTACT] == {}


def test_a_link_to_another_host_is_not_followed_and_no_token_goes_there(stage: HubspotStage) -> None:
    stage.fake.association_page = 2
    deals = [a_deal(stage, lines=3) for _ in range(3)]
    stage.create_at_once([ToldDeal(stage.create_company("Borealis"), str(n)) for n in range(210)])
    with receiving(hostile.answer(hostile.OK)) as evil:
        stage.fake.link_host = f"http://127.0.0.1:{evil.port}"
        assert len(ids_of(stage.client, Window(None, EVERYTHING))) == 213
        assert sum(len(part) for part in stage.client.list_ids(Noun.DEAL)) == 213
        assert stage.client.find(Noun.DEAL, deals)[deals[0]].fate is Fate.THERE
        assert evil.connections == 0


@pytest.mark.parametrize(
    ("where", "body"),
    [
        ("/search", b'{"total": 2, "results": [{"id": "5"}, {"id": "5"}]}'),
        ("/search", b'{"total": 0}'),
        ("/search", b'{"total": 0, "results": null}'),
        ("/search", b'{"total": 1, "results": [{"id": "../owners"}]}'),
        ("/search", b"[]"),
        ("/search", b"<html>Please log in</html>"),
        ("/batch/read", b'{"results": [{"id": "5"}]}'),
        ("/batch/read", b'{"results": [{"id": "5", "properties": {}, "updatedAt": "yesterday"}]}'),
    ],
)
def test_an_answer_that_is_not_hubspots_is_nonsense_and_never_an_empty_list(
    stage: HubspotStage, where: str, body: bytes
) -> None:
    a_deal(stage)
    stage.fake.faults.append(Fault(where, 200, body))
    with pytest.raises(CrmNonsense):
        list(stage.client.read(Noun.DEAL, Window(None, stage.now())))


@pytest.mark.parametrize("where", ["/search", "/batch/read", "/associations/", "/pipelines/", "/account-info/"])
def test_an_answer_that_is_cut_off_is_nonsense(stage: HubspotStage, where: str) -> None:
    a_deal(stage)
    stage.fake.faults.append(Fault(where, None))
    with pytest.raises(CrmNonsense, match="not JSON"):
        list(stage.client.read(Noun.DEAL, Window(None, stage.now())))


def test_a_list_that_leads_back_to_itself_is_nonsense(stage: HubspotStage) -> None:
    a_deal(stage)
    page = b'{"results": [], "paging": {"next": {"after": "7"}}}'
    stage.fake.faults += [Fault("/objects/deals", 200, page), Fault("/objects/deals", 200, page)]
    with pytest.raises(CrmNonsense, match="leads back"):
        list(stage.client.list_ids(Noun.DEAL))


def test_a_mark_of_another_kind_is_refused(stage: HubspotStage) -> None:
    with pytest.raises(CrmError, match="mark"):
        list(stage.client.read(Noun.DEAL, Window(None, stage.now()), mark="2026-01-01/7"))


def test_every_search_keeps_to_hubspots_limits_however_much_the_mapping_asks_for(
    stage: HubspotStage, connect_with: Callable[..., CrmClient]
) -> None:
    many = "".join(f'[[promises]]\nkind = "note"\nfield = "a_long_name_of_a_field_{n:03}"\n' for n in range(200))
    deal = a_deal(stage)
    stage.fake.records.update("deals", int(deal), {"a_long_name_of_a_field_199": "Asked for SSO"})
    client = connect_with(many)
    (item,) = (item for page in client.read(Noun.DEAL, Window(None, stage.now())) for item in page.items)
    assert item.row.promises[-1].text == "Asked for SSO"


def test_a_dated_version_of_the_api_is_read_the_same(
    stage: HubspotStage, connect_with: Callable[..., CrmClient]
) -> None:
    deal = a_deal(stage)
    client = connect_with('[options]\nversion = "2026-03"\n')
    assert ids_of(client, Window(None, stage.now())) == {deal: 1}
    paths = {path for _, path in stage.fake.asked}
    assert {"/crm/objects/2026-03/deals/search", "/crm/associations/2026-03/deals/line_items/batch/read"} <= paths
    assert not any(path.startswith(("/crm/v3", "/crm/v4")) for path in paths)


def test_what_the_mapping_makes_of_it_is_listed_with_what_is_missing(stage: HubspotStage, fake: FakeHubspot) -> None:
    fake.add_pipeline("p2", "Renewals")
    fake.fields["deals"] = [
        {"name": "dealtype", "label": "Type", "hubspotDefined": True, "options": [{"value": "swap", "label": "Swap"}]},
        {"name": "promised_goal", "label": "Promised goal", "hubspotDefined": False},
        {"name": "amount", "label": "Amount", "hubspotDefined": True},
    ]
    options = stage.client.list_options()
    stages = {each.id: (each.label, each.meaning) for each in options["stages"]}
    assert stages["closedwon"] == ("Sales: closedwon", "won")
    assert stages["p2-closedlost"] == ("Renewals: closedlost", "lost")
    assert [(each.id, each.meaning) for each in options["types"]] == [("swap", None)]
    assert [(each.id, each.meaning) for each in options["fields"]] == [("promised_goal", "promise: goal")]
    assert {"tenure_ltv", "cancels_on", "promised_note"} <= {each.id for each in options["missing"]}


def test_who_answers_is_the_account_and_the_apps_user(stage: HubspotStage) -> None:
    about = stage.client.ask_about()
    assert (about.name, about.user, about.currency) == ("HubSpot account 4242", "user 7, app 99", "USD")
