"""What every CRM adapter keeps to, told as one story to each: integrations/crm/client.py says it in words."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from integrations.crm.client import (
    AccountFields,
    Fate,
    NewLine,
    NewNote,
    NewOpportunity,
    NewTask,
    Noun,
    Window,
    WriteBack,
)
from tests.integrations.crm.stories import Booked, NaiveReader, Stage, ToldDeal, ToldLine, booked

KINDS = sorted(path.name.removesuffix("_stage.py") for path in Path(__file__).parent.glob("*_stage.py"))
CLOSED = date(2026, 3, 10)
YEAR_END = date(2027, 3, 9)
SETUP = Decimal("249.99")


@pytest.fixture(params=KINDS)
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    module = import_module(f"tests.integrations.crm.{request.param}_stage")
    opened: AbstractContextManager[Stage] = module.open_stage(tmp_path)
    with opened as stage:
        yield stage


def needs(stage: Stage, *names: str) -> None:
    for name in names:
        if name in stage.cannot:
            pytest.skip(stage.cannot[name])


def product(stage: Stage, sku: str = "CORE") -> str:
    return stage.create_product(sku.title(), sku=sku)


def won(stage: Stage, /, **values: Any) -> ToldDeal:
    """A won deal of one yearly line of 1,200 at a company of its own, but for what is said."""
    told = {
        "company": values.pop("company", None) or stage.create_company("Borealis GmbH"),
        "name": "Core for a year",
        "stage": "won",
        "closed_on": CLOSED,
    }
    return ToldDeal(**({"lines": (ToldLine(product(stage), Decimal(1200)),)} | told | values))


def only(reader: NaiveReader, deal: str) -> tuple[Booked, ...]:
    return booked(reader.deals[deal])


def worth(stage: Stage, line: ToldLine, **values: Any) -> Booked:
    """What one line comes to, told in a won deal of its own."""
    deal = stage.create_deal(won(stage, lines=(line,), **values))
    (one,) = only(NaiveReader(stage).pull(), deal)
    return one


class TestWhatADealBecomes:
    def test_a_won_deal_comes_with_its_company_lines_owner_and_words(self, stage: Stage) -> None:
        owner, company = stage.create_owner("Kim Sato"), stage.create_company("青葉商事")
        deal = stage.create_deal(won(stage, company=company, name="コア 1年", owner=owner))
        reader = NaiveReader(stage).pull()
        row = reader.deals[deal].closed.deal
        assert (row.id, row.name, row.stage, row.closed_on, row.account) == (deal, "コア 1年", "won", CLOSED, company)
        assert reader.things[Noun.COMPANY][company].name == "青葉商事"
        assert row.owner == owner
        assert reader.things[Noun.OWNER][owner].name == "Kim Sato"
        (line,) = only(reader, deal)
        assert (line.kind, line.amount_minor, line.arr_minor, line.currency) == ("recurring", 120_000, 120_000, "USD")
        assert (line.starts_on, line.ends_on) == (CLOSED, YEAR_END)

    def test_what_is_read_first_names_nothing_that_is_read_later(self, stage: Stage) -> None:
        needs(stage, "create_contact")
        company = stage.create_company("Borealis GmbH")
        contact = stage.create_contact(company, "Ada Berg", email="ada@borealis.example")
        sold = product(stage)
        deal = stage.create_deal(won(stage, company=company, lines=(ToldLine(sold, Decimal(10)),)))
        nouns = list(stage.client.nouns())
        assert nouns == [noun for noun in Noun if noun in nouns]
        reader = NaiveReader(stage).pull()
        person = reader.things[Noun.CONTACT][contact]
        assert (person.account, person.name, person.email) == (company, "Ada Berg", "ada@borealis.example")
        assert only(reader, deal)[0].product == sold
        assert sold in {row.id for row in reader.things[Noun.PRODUCT].values()}

    @pytest.mark.parametrize("state", ["open", "lost"])
    def test_a_deal_that_is_not_won_is_given_too_without_lines(self, stage: Stage, state: str) -> None:
        deal = stage.create_deal(won(stage, stage=state))
        closed = NaiveReader(stage).pull().deals[deal].closed
        assert (closed.deal.stage, closed.lines) == (state, ())

    def test_recurring_and_one_time_lines_are_told_apart(self, stage: Stage) -> None:
        setup = ToldLine(product(stage, "SETUP"), SETUP, period_months=None, term_months=None)
        monthly = ToldLine(product(stage), Decimal(100), quantity=Decimal(3), period_months=1)
        deal = stage.create_deal(won(stage, lines=(monthly, setup)))
        lines = {line.kind: line for line in only(NaiveReader(stage).pull(), deal)}
        assert lines["recurring"].arr_minor == 3 * 100_00 * 12
        assert (lines["one_time"].arr_minor, lines["one_time"].amount_minor) == (None, 249_99)

    def test_a_line_until_notice_has_no_end(self, stage: Stage) -> None:
        needs(stage, "until_notice")
        line = worth(stage, ToldLine(product(stage), Decimal(90), period_months=1, term_months=None))
        assert (line.arr_minor, line.ends_on) == (90_00 * 12, None)

    def test_a_discount_is_taken_off(self, stage: Stage) -> None:
        needs(stage, "discount")
        line = worth(stage, ToldLine(product(stage), Decimal(100), quantity=Decimal(10), discount=Decimal("0.1")))
        assert (line.amount_minor, line.arr_minor) == (900_00, 900_00)

    def test_several_years_at_a_price_a_year_are_worth_that_price_a_year(self, stage: Stage) -> None:
        line = worth(stage, ToldLine(product(stage), Decimal(1000), term_months=36))
        assert (line.arr_minor, line.ends_on) == (1000_00, date(2029, 3, 9))

    def test_a_term_may_begin_after_the_day_of_closing(self, stage: Stage) -> None:
        needs(stage, "starts_on")
        line = worth(stage, ToldLine(product(stage), Decimal(1200), starts_on=date(2026, 5, 1)))
        assert (line.starts_on, line.ends_on) == (date(2026, 5, 1), date(2027, 4, 30))

    def test_an_add_on_may_end_with_what_it_is_added_to(self, stage: Stage) -> None:
        needs(stage, "starts_on", "ends_on")
        line = worth(
            stage,
            ToldLine(
                product(stage), Decimal(1200), term_months=None, starts_on=date(2026, 9, 10), ends_on=date(2027, 3, 9)
            ),
            type="expansion",
        )
        assert (line.starts_on, line.ends_on, line.arr_minor) == (date(2026, 9, 10), date(2027, 3, 9), 1200_00)

    @pytest.mark.parametrize("amount", [Decimal(0), Decimal("-50.25")])
    def test_zero_and_less_are_amounts(self, stage: Stage, amount: Decimal) -> None:
        if amount < 0:
            needs(stage, "negative_amount")
        line = worth(stage, ToldLine(product(stage), amount))
        assert line.amount_minor == int(amount * 100)

    def test_yen_have_no_decimals_and_fractions_are_exact(self, stage: Stage) -> None:
        line = worth(stage, ToldLine(product(stage), Decimal(1_200_000)), currency="JPY")
        assert (line.amount_minor, line.currency) == (1_200_000, "JPY")
        exact = worth(stage, ToldLine(product(stage, "PLUS"), Decimal("0.29"), quantity=Decimal(3)))
        assert exact.amount_minor == 87

    def test_a_deal_without_lines_keeps_its_amount(self, stage: Stage) -> None:
        needs(stage, "amount")
        deal = stage.create_deal(won(stage, lines=(), amount=Decimal("1234.50")))
        row = NaiveReader(stage).pull().deals[deal].closed.deal
        assert (row.amount, row.currency) == (Decimal("1234.50"), "USD")

    @pytest.mark.parametrize("type_", ["new", "renewal", "expansion", "contraction", "cancellation"])
    def test_the_type_of_a_deal_is_known(self, stage: Stage, type_: str) -> None:
        needs(stage, "type")
        deal = stage.create_deal(won(stage, type=type_))
        assert NaiveReader(stage).pull().deals[deal].closed.deal.type == type_

    def test_a_renewal_names_what_it_renews(self, stage: Stage) -> None:
        needs(stage, "type", "renewal_of")
        company = stage.create_company("Borealis GmbH")
        first = stage.create_deal(won(stage, company=company, closed_on=date(2025, 3, 10)))
        second = stage.create_deal(won(stage, company=company, type="renewal", renewal_of=first))
        assert NaiveReader(stage).pull().deals[second].closed.deal.renewal_of == first

    def test_a_cancellation_says_from_when_on(self, stage: Stage) -> None:
        needs(stage, "type", "cancels_on")
        deal = stage.create_deal(won(stage, type="cancellation", cancels_on=date(2026, 6, 1)))
        assert NaiveReader(stage).pull().deals[deal].cancels_on == date(2026, 6, 1)

    def test_where_it_came_from_is_kept(self, stage: Stage) -> None:
        needs(stage, "lead_source")
        deal = stage.create_deal(won(stage, lead_source="Partner"))
        assert NaiveReader(stage).pull().deals[deal].closed.deal.lead_source == "Partner"

    def test_the_campaign_is_kept(self, stage: Stage) -> None:
        needs(stage, "campaign")
        deal = stage.create_deal(won(stage, campaign="Spring fair"))
        assert NaiveReader(stage).pull().deals[deal].closed.deal.campaign == "Spring fair"

    def test_what_was_promised_comes_along(self, stage: Stage) -> None:
        needs(stage, "promises")
        promised = (("goal", "Halve the time to invoice"), ("note", "Asked for SSO"))
        deal = stage.create_deal(won(stage, promises=promised))
        found = NaiveReader(stage).pull().deals[deal].promises
        assert sorted((each.kind, each.text) for each in found) == sorted(promised)
        assert len({each.key for each in found}) == len(promised)


class TestWhatChanges:
    def test_only_what_changed_since_is_read_again(self, stage: Stage) -> None:
        needs(stage, "exact_windows")
        company, sold = stage.create_company("Borealis GmbH"), product(stage)
        lines = (ToldLine(sold, Decimal(1200)),)
        deals = [stage.create_deal(won(stage, company=company, lines=lines, name=f"Deal {n}")) for n in range(3)]
        before = stage.now()
        stage.edit_deal(deals[1], won(stage, company=company, lines=lines, name="Another name"))
        pages = list(stage.client.read(Noun.DEAL, Window(before, stage.now())))
        assert {item.id for page in pages for item in page.items} == {deals[1]}

    def test_where_nothing_changed_nothing_is_given(self, stage: Stage) -> None:
        stage.create_deal(won(stage))
        after = stage.now()
        assert [item for page in stage.client.read(Noun.DEAL, Window(after, stage.now())) for item in page.items] == []

    def test_a_deal_that_is_won_lost_and_opened_again_is_each_time_as_it_is(self, stage: Stage) -> None:
        company = stage.create_company("Borealis GmbH")
        told = {state: won(stage, company=company, stage=state) for state in ("open", "won", "lost")}
        deal, reader = stage.create_deal(told["open"]), NaiveReader(stage)
        for state in ("won", "open", "lost", "won"):
            stage.edit_deal(deal, told[state])
            assert reader.pull().deals[deal].closed.deal.stage == state
            assert bool(reader.deals[deal].closed.lines) == (state == "won")

    def test_lines_that_change_come_go_and_are_reordered_come_with_their_deal(self, stage: Stage) -> None:
        company = stage.create_company("Borealis GmbH")
        core, plus = (ToldLine(product(stage, sku), Decimal(price)) for sku, price in (("CORE", 1200), ("PLUS", 240)))
        deal, reader = stage.create_deal(won(stage, company=company, lines=(core,))), NaiveReader(stage)
        for lines, total in (((core,), 1200), ((core, plus), 1440), ((plus, core), 1440), ((plus,), 240)):
            stage.edit_deal(deal, won(stage, company=company, lines=lines))
            assert sum(line.arr_minor or 0 for line in only(reader.pull(), deal)) == total * 100

    def test_a_currency_that_is_corrected_is_the_currency(self, stage: Stage) -> None:
        company, sold = stage.create_company("Borealis GmbH"), product(stage)
        lines = (ToldLine(sold, Decimal(1200)),)
        deal, reader = stage.create_deal(won(stage, company=company, lines=lines)), NaiveReader(stage)
        assert only(reader.pull(), deal)[0].currency == "USD"
        stage.edit_deal(deal, won(stage, company=company, lines=lines, currency="JPY"))
        assert (only(reader.pull(), deal)[0].currency, only(reader, deal)[0].amount_minor) == ("JPY", 1200)

    def test_what_shows_late_is_found_by_the_overlap(self, stage: Stage) -> None:
        needs(stage, "hold_back")
        company = stage.create_company("Borealis GmbH")
        deal, reader = stage.create_deal(won(stage, company=company, stage="open")), NaiveReader(stage)
        reader.pull()
        stage.hold_back(deal)
        stage.edit_deal(deal, won(stage, company=company))
        assert reader.pull().deals[deal].closed.deal.stage == "open"
        stage.let_through(deal)
        assert reader.pull().deals[deal].closed.deal.stage == "won"


class TestWhatGoes:
    def test_a_deleted_deal_is_given_as_gone_or_is_listed_no_longer(self, stage: Stage) -> None:
        needs(stage, "delete_deal")
        kept, deleted = stage.create_deal(won(stage)), stage.create_deal(won(stage, name="By mistake"))
        reader = NaiveReader(stage).pull()
        assert set(reader.deals) == {kept, deleted}
        stage.delete_deal(deleted)
        assert set(reader.pull().reconcile().deals) == {kept}
        assert stage.client.find(Noun.DEAL, [deleted])[deleted].fate is Fate.GONE

    def test_a_restored_deal_is_there_again(self, stage: Stage) -> None:
        needs(stage, "delete_deal", "restore_deal")
        deal, reader = stage.create_deal(won(stage)), NaiveReader(stage)
        before = only(reader.pull(), deal)
        stage.delete_deal(deal)
        assert deal not in reader.pull().reconcile().deals
        stage.restore_deal(deal)
        there = {id_ for part in stage.client.list_ids(Noun.DEAL) for id_ in part}
        assert deal in there
        assert only(NaiveReader(stage).pull(), deal) == before

    def test_of_merged_deals_one_lives_on(self, stage: Stage) -> None:
        needs(stage, "merge_deals")
        company = stage.create_company("Borealis GmbH")
        pair = [stage.create_deal(won(stage, company=company, name=f"Twin {n}")) for n in (1, 2)]
        reader = NaiveReader(stage).pull()
        alive = stage.merge_deals(*pair)
        assert set(reader.pull().reconcile().deals) == {alive}
        assert {reader.merged[old] for old in pair if old != alive} == {alive}

    def test_the_deals_of_a_merged_company_are_those_of_the_other(self, stage: Stage) -> None:
        needs(stage, "merge_companies")
        kept, other = stage.create_company("Borealis GmbH"), stage.create_company("Borealis")
        deal, reader = stage.create_deal(won(stage, company=other)), NaiveReader(stage)
        reader.pull()
        alive = stage.merge_companies(kept, other)
        reader.pull().reconcile(Noun.COMPANY)
        assert set(reader.things[Noun.COMPANY]) == {alive}
        assert {reader.merged[old] for old in (kept, other) if old != alive} == {alive}
        account = reader.deals[deal].closed.deal.account
        assert account is not None
        assert reader.merged.get(account, account) == alive

    def test_all_that_is_there_is_listed_once(self, stage: Stage) -> None:
        company, sold = stage.create_company("Borealis GmbH"), product(stage)
        lines = (ToldLine(sold, Decimal(1)),)
        deals = [stage.create_deal(won(stage, company=company, lines=lines, name=f"Deal {n}")) for n in range(5)]
        listed = [id_ for part in stage.client.list_ids(Noun.DEAL) for id_ in part]
        assert sorted(listed) == sorted(deals)
        found = stage.client.find(Noun.DEAL, deals)
        assert {each.fate for each in found.values()} == {Fate.THERE}
        assert all(each.modified_at is not None and each.modified_at.tzinfo is not None for each in found.values())

    def test_what_never_was_is_gone(self, stage: Stage) -> None:
        known = stage.create_deal(won(stage))
        unknown = known[:-1] + ("1" if known[-1] != "1" else "2")
        assert stage.client.find(Noun.DEAL, [unknown])[unknown].fate is Fate.GONE


class TestPages:
    @pytest.fixture
    def deals(self, stage: Stage) -> list[str]:
        needs(stage, "create_at_once")
        company, lines = stage.create_company("Borealis GmbH"), (ToldLine(product(stage), Decimal(1)),)
        told = [won(stage, company=company, lines=lines, name=f"Deal {n}") for n in range(stage.many)]
        return stage.create_at_once(told)

    def test_many_of_one_instant_are_all_there(self, stage: Stage, deals: list[str]) -> None:
        pages = list(stage.client.read(Noun.DEAL, Window(None, stage.now())))
        assert len(pages) >= 3
        given = [item.id for page in pages for item in page.items]
        assert len(given) == len(set(given))
        assert set(given) == set(deals)
        assert len({item.modified_at for page in pages for item in page.items}) == 1

    def test_from_every_mark_the_rest_is_read(self, stage: Stage, deals: list[str]) -> None:
        window = Window(None, stage.now())
        pages = list(stage.client.read(Noun.DEAL, window))
        done: set[str] = set()
        for number, page in enumerate(pages, start=1):
            done |= {item.id for item in page.items}
            rest = {item.id for other in stage.client.read(Noun.DEAL, window, mark=page.mark) for item in other.items}
            assert done | rest == set(deals), f"after page {number}"
        assert rest == set() or rest <= {item.id for item in pages[-1].items}

    def test_windows_that_touch_miss_nothing(self, stage: Stage, deals: list[str]) -> None:
        between = stage.now()
        late = stage.create_deal(won(stage, name="One more"))
        parts = [
            {item.id for page in stage.client.read(Noun.DEAL, window) for item in page.items}
            for window in (Window(None, between), Window(between, stage.now()))
        ]
        assert parts[0] | parts[1] == {*deals, late}
        assert late not in parts[0]


class TestWritingBack:
    def test_whoever_answers_says_so(self, stage: Stage) -> None:
        about = stage.client.ask_about()
        assert about.name
        assert about.user

    @pytest.mark.parametrize("kind", ["note", "task", "opportunity"])
    def test_what_is_written_twice_is_there_once(self, stage: Stage, kind: str) -> None:
        needs(stage, f"write_{kind}")
        company, sold = stage.create_company("青葉商事"), product(stage)
        items = {
            "note": NewNote(company, "At risk: usage fell by half."),
            "task": NewTask(company, "Call them", "Usage fell by half.", due_on=date(2026, 4, 1)),
            "opportunity": NewOpportunity(
                company, "More seats", "USD", close_on=date(2026, 6, 1), lines=(NewLine(sold, Decimal(5), Decimal(20)),)
            ),
        }
        first = stage.client.write(WriteBack(f"tenure-{kind}-1", items[kind]))
        assert stage.client.write(WriteBack(f"tenure-{kind}-1", items[kind])) == first
        assert stage.count_written(kind) == 1
        assert stage.client.write(WriteBack(f"tenure-{kind}-2", items[kind])) != first
        assert stage.count_written(kind) == 2

    def test_a_written_opportunity_is_read_back(self, stage: Stage) -> None:
        needs(stage, "write_opportunity")
        company, sold = stage.create_company("青葉商事"), product(stage)
        line = NewLine(sold, Decimal(5), Decimal(20))
        new = NewOpportunity(company, "More seats", "USD", close_on=date(2026, 6, 1), lines=(line,))
        deal = stage.client.write(WriteBack("tenure-opportunity-1", new))
        read = NaiveReader(stage).pull().deals[deal].closed
        assert (read.deal.account, read.deal.stage, read.deal.name) == (company, "open", "More seats")

    def test_fields_of_an_account_may_be_written_again(self, stage: Stage) -> None:
        needs(stage, "write_account_fields")
        company = stage.create_company("Borealis GmbH")
        for band in ("healthy", "at risk", "at risk"):
            fields = AccountFields(company, {"health_band": band, "ltv": Decimal("1200.50")})
            stage.client.write(WriteBack(f"tenure-account-{company}", fields))


def test_every_instant_is_in_utc(stage: Stage) -> None:
    stage.create_deal(won(stage))
    for noun in stage.client.nouns():
        for page in stage.client.read(noun, Window(None, stage.now())):
            for item in page.items:
                assert item.modified_at.utcoffset() == datetime.now(UTC).utcoffset()
