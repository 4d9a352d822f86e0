"""HubSpot's limits, refusals and faults, and what never gets out: tokens."""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest

from integrations.crm.client import CrmBusy, CrmClient, CrmError, CrmRefused, NewNote, Noun, Window, WriteBack
from tests.integrations.crm.hubspot.fake import SECRET, TOKEN, FakeHubspot, Fault
from tests.integrations.crm.hubspot_stage import HubspotStage, connect_to
from tests.integrations.crm.stories import ToldDeal


def deals_of(client: CrmClient, stage: HubspotStage) -> list[str]:
    return [item.id for page in client.read(Noun.DEAL, Window(None, stage.now())) for item in page.items]


def test_more_searches_than_a_second_allows_are_waited_for(stage: HubspotStage) -> None:
    deals = stage.create_at_once([ToldDeal(stage.create_company("Borealis"), str(n)) for n in range(1_250)])
    before = stage.now()
    assert sorted(deals_of(stage.client, stage)) == sorted(deals)
    searches = stage.fake.asked.count(("POST", "/crm/v3/objects/deals/search"))
    assert searches > 8  # seven pages, the one that is empty, and those that were refused
    assert stage.now() - before >= timedelta(seconds=0.5)  # so they were not all in one second


def test_more_requests_than_ten_seconds_allow_are_waited_for(
    stage: HubspotStage, connect_with: Callable[..., CrmClient]
) -> None:
    company = stage.create_company("Borealis")
    deals = stage.create_at_once([ToldDeal(company, str(n)) for n in range(1_500)])
    stage.fake.burst = 10
    client = connect_with(tries=9)
    assert sum(len(part) for part in client.list_ids(Noun.DEAL)) == len(deals)


def test_a_limit_that_stays_is_told_with_how_long_it_lasts(stage: HubspotStage) -> None:
    stage.fake.faults.append(Fault("/search", 429, headers={"Retry-After": "3600"}))
    with pytest.raises(CrmBusy) as busy:
        deals_of(stage.client, stage)
    assert busy.value.retry_after_seconds == 3600


def test_a_bad_gateway_is_asked_again(stage: HubspotStage) -> None:
    deal = stage.create_deal(ToldDeal(stage.create_company("Borealis"), "Core"))
    stage.fake.faults += [Fault("/search", 502), Fault("/batch/read", 502), Fault("/associations/", 503)]
    assert deals_of(stage.client, stage) == [deal]
    assert stage.fake.faults == []


def test_a_token_that_is_not_accepted_is_refused_at_once(stage: HubspotStage) -> None:
    stage.fake.tokens.clear()
    with pytest.raises(CrmRefused, match="token"):
        deals_of(stage.client, stage)
    assert len(stage.fake.asked) == 1


def test_a_scope_that_is_missing_is_named(stage: HubspotStage) -> None:
    body = b"""{"category": "MISSING_SCOPES", "message": "This app hasn't been granted all required scopes",
        "errors": [{"context": {"requiredGranularScopes": ["crm.objects.deals.read", "<b>no</b>"]}}]}"""
    stage.fake.faults.append(Fault("/search", 403, body))
    with pytest.raises(CrmRefused, match=r"lacks a scope \(crm\.objects\.deals\.read\)\.$"):
        deals_of(stage.client, stage)
    stage.fake.faults.append(Fault("/search", 403, b"<html>Forbidden</html>"))
    with pytest.raises(CrmRefused, match=r"lacks a scope\.$"):
        deals_of(stage.client, stage)


def test_another_error_is_told_by_its_category(stage: HubspotStage) -> None:
    stage.fake.faults.append(Fault("/search", 400, b'{"category": "VALIDATION_ERROR", "message": "a secret"}'))
    with pytest.raises(CrmError, match=r"^HubSpot answered 400 \(VALIDATION_ERROR\)\.$"):
        deals_of(stage.client, stage)


def test_ten_threads_whose_token_has_expired_renew_it_once(
    stage: HubspotStage, connect_with: Callable[..., CrmClient]
) -> None:
    client = connect_with(secret=SECRET)
    assert client.ask_about().user == "an OAuth app"
    assert stage.fake.renewals == 1
    stage.fake.wait(31 * 60)
    together = Barrier(10)

    def read(_: int) -> list[str]:
        together.wait(timeout=20)
        return [id_ for part in client.list_ids(Noun.DEAL) for id_ in part]

    with ThreadPoolExecutor(10) as threads:
        assert list(threads.map(read, range(10))) == [[]] * 10
    assert stage.fake.renewals == 2
    refused = sum("access-s3cret-canary-1" in each.get("authorization", "") for each in stage.fake.headers)
    assert refused >= 10


def test_a_renewal_that_is_refused_asks_for_the_app_to_be_connected_again(
    fake: FakeHubspot, connect_with: Callable[..., CrmClient]
) -> None:
    client = connect_with(secret=SECRET | {"refresh_token": "withdrawn"})
    with pytest.raises(CrmRefused, match="connect the app again"):
        client.ask_about()


def test_without_a_token_or_a_way_to_one_nothing_is_begun(stage: HubspotStage) -> None:
    with pytest.raises(CrmRefused, match="client_id"):
        connect_to(stage.fake, "http://127.0.0.1:9", secret={"client_id": "app"})


def test_no_token_gets_into_a_log_a_message_or_a_value(
    stage: HubspotStage, connect_with: Callable[..., CrmClient], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    company, told = stage.create_company("Borealis"), []
    clients = [stage.client, connect_with(secret=SECRET)]
    faults = [
        Fault("/", 502), Fault("/", 400, TOKEN.encode()), Fault("/", 403, TOKEN.encode()), Fault("/", 401),
        Fault("/", 200, f'"{TOKEN}"'.encode()), Fault("/", 200, b"{"), Fault("/", None),
        Fault("/", 302, headers={"Location": f"http://127.0.0.1:9/?{TOKEN}"}),
    ]  # fmt: skip
    for client in clients:
        for fault in faults:
            stage.fake.faults = [fault]
            for act in (client.ask_about, client.list_options, lambda c=client: list(c.list_ids(Noun.OWNER))):
                try:
                    told.append(repr(act()))
                except CrmError as error:
                    told.append(repr(error) + str(error) + repr(error.__cause__))
        stage.fake.faults = []
        told += [repr(client), client.write(WriteBack("k", NewNote(company, "Text")))]
        told += [repr(page) for page in client.read(Noun.COMPANY, Window(None, stage.now()))]
    assert any("HubSpot" in each for each in told)
    assert caplog.records  # urllib3 tells of its requests
    assert "s3cret" not in caplog.text + "".join(told)
