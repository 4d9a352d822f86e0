"""Answers that are spoiled anywhere: an error that says so, or what was there, and never anything else."""

import contextlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.crm.client import (
    AccountFields,
    CrmClient,
    CrmError,
    CrmNonsense,
    NewLine,
    NewOpportunity,
    Noun,
    Window,
    WriteBack,
)
from tests.integrations.crm.hubspot.fake import FakeHubspot, serving
from tests.integrations.crm.hubspot_stage import HubspotStage, connect_to
from tests.integrations.crm.stories import ToldDeal, ToldLine

WINDOW = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))
INSTEAD = (None, 0, -1, True, "", "x", "9" * 50, "2026-13-45", [], {}, [None], [[]], {"id": None}, 1.5)


class Spoiling(FakeHubspot):
    """`spoil` is asked to change each answer."""

    spoil: Callable[[Any], Any] | None = None

    def answer(self, method: str, url: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        status, more, told = super().answer(method, url, headers, body)
        return status, more, json.dumps(self.spoil(json.loads(told))).encode() if self.spoil and told else told


@contextmanager
def small_account() -> Iterator[tuple[Spoiling, CrmClient, str, str]]:
    """Two deals with lines, one of them archived; an owner, a contact, a field."""
    fake = Spoiling()
    with serving(fake) as url:
        stage = HubspotStage(fake, connect_to(fake, url, tries=2), {})
        company, product = stage.create_company("Borealis"), stage.create_product("Core", sku="CORE")
        stage.create_owner("Kim Sato")
        stage.create_contact(company, "Ada Berg", email="ada@borealis.example")
        lines = (ToldLine(product, Decimal(100)), ToldLine(product, Decimal(3)))
        stage.create_deal(ToldDeal(company, "Core", lines, stage="won"))
        stage.delete_deal(stage.create_deal(ToldDeal(company, "Gone", lines, stage="won")))
        fake.fields["deals"] = [{"name": "dealtype", "label": "Type", "options": [{"value": "a", "label": "A"}]}]
        yield fake, stage.client, company, product


def acts(client: CrmClient, company: str, product: str) -> list[Callable[[], Any]]:
    new = NewOpportunity(company, "More", "USD", lines=(NewLine(product, Decimal(1)),))
    return [
        client.ask_about,
        client.list_options,
        *(lambda noun=noun: list(client.read(noun, WINDOW)) for noun in Noun),
        *(lambda noun=noun: list(client.list_ids(noun)) for noun in Noun),
        *(lambda noun=noun: client.find(noun, ["10000000001", "77"]) for noun in Noun),
        lambda: client.write(WriteBack("k-1", new)),
        lambda: client.write(WriteBack("k-2", AccountFields(company, {"ltv": Decimal(1)}))),
    ]


def places(answer: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield at
    inside = answer.items() if isinstance(answer, dict) else enumerate(answer) if isinstance(answer, list) else ()
    for key, value in inside:
        yield from places(value, (*at, key))


def changed(answer: Any, at: tuple[Any, ...], value: Any) -> Any:
    if not at:
        return value
    copy = dict(answer) if isinstance(answer, dict) else list(answer)
    copy[at[0]] = changed(answer[at[0]], at[1:], value)
    return copy


@settings(max_examples=120, deadline=None)
@given(data=st.data())
def test_whatever_is_spoiled_is_an_error_of_the_crm_or_is_not_needed(data: st.DataObject) -> None:
    with small_account() as (fake, client, company, product):
        all_acts = acts(client, company, product)
        act = all_acts[data.draw(st.integers(0, len(all_acts) - 1), label="act")]
        turn, value = data.draw(st.integers(0, 5), label="answer"), data.draw(st.sampled_from(INSTEAD), label="instead")
        share = data.draw(st.floats(0, 1), label="place")
        left = [turn]

        def spoil(answer: Any) -> Any:
            left[0] -= 1
            if left[0] != -1:
                return answer
            found = list(places(answer))
            return changed(answer, found[min(int(share * len(found)), len(found) - 1)], value)

        fake.spoil = spoil
        with contextlib.suppress(CrmError):
            act()


def test_a_line_that_is_left_out_without_a_word_is_no_smaller_contract() -> None:
    with small_account() as (fake, client, _, _):
        lines = {str(id_) for id_ in fake.records.kinds["line_items"]}

        def leave_out(answer: Any) -> Any:
            results = answer.get("results", [])
            is_of_lines = any(each.get("id") in lines for each in results)
            return answer | {"results": results[1:]} if is_of_lines and "startedAt" in answer else answer

        fake.spoil = leave_out
        with pytest.raises(CrmNonsense, match="left out 1 of 2 line_items"):
            list(client.read(Noun.DEAL, WINDOW))


@pytest.mark.parametrize("told", [{"status": "PENDING"}, {"errors": [{"category": "INTERNAL_ERROR"}]}])
def test_an_answer_for_some_only_is_an_error(told: dict[str, Any]) -> None:
    with small_account() as (fake, client, _, _):
        fake.spoil = lambda answer: answer | told if "startedAt" in answer else answer
        with pytest.raises(CrmError, match="some only"):
            list(client.read(Noun.DEAL, WINDOW))
