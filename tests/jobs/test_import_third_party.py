"""The four third-party data sets come in whole, with the figures they are known to have."""

from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select

from app.db import reading
from app.domain.contracts import spells
from app.domain.revenue import LineRevenue, arr_by_group
from app.models.accounts import AccountVersion, MatchProposal
from app.models.contracts import ChurnNotice, ContractLineVersion
from app.models.deals import DealVersion
from app.models.products import Product, ProductPrice
from app.models.success import SurveyAnswer, Ticket
from app.models.usage import UsageDay
from app.models.versions import Change
from app.queries.contract_lines import load_recurring_lines
from app.queries.known import last_recorded_at
from integrations.files.mapping import SHIPPED, load_mapping
from jobs.import_files import import_files
from jobs.import_report import ImportReport
from jobs.import_run import Options

pytestmark = pytest.mark.data

TELCO = ("telco/Telco-Customer-Churn.csv",)
ADVENTUREWORKS = tuple(f"adventureworks_reseller/{name}.csv" for name in ("deal_lines", "accounts", "products"))
MAVEN = tuple(f"crm_sales/{name}.csv" for name in ("sales_pipeline", "products", "accounts", "sales_teams"))
RAVENSTACK = tuple(
    f"ravenstack/ravenstack_{name}.csv"
    for name in ("feature_usage", "support_tickets", "churn_events", "subscriptions", "accounts")
)


@pytest.fixture
def run(engine: Engine, third_party_data, tmp_path: Path):
    def run(mapping: Path, files: tuple[str, ...], *, is_check: bool = False) -> ImportReport:
        paths = [third_party_data(name) for name in files]
        options = Options(is_check, tmp_path / "rejected")
        return import_files(engine, load_mapping(mapping), paths=paths, options=options)

    return run


def count(session, *what):
    return session.scalar(select(func.count()).select_from(what[0]).where(*what[1:]))


@pytest.mark.one_database
def test_telco_has_7043_accounts_of_which_1869_churned_on_the_day_it_was_taken(engine: Engine, run) -> None:
    report = run(Path("telco"), TELCO)
    assert report.rejected == 0
    assert report.amounts["USD"].lines_at_source == report.amounts["USD"].booked
    assert format(report.amounts["USD"].lines_at_source, "f") == "456116.60"
    as_of = date(2020, 1, 1)
    with reading(engine) as session:
        known_at = last_recorded_at(session)
        assert known_at is not None
        lines = load_recurring_lines(session, known_at=known_at, grace_days=30)
        assert count(session, AccountVersion, AccountVersion.superseded_change_id.is_(None)) == 7043
    found = [spells([line.life for line in own], as_of) for own in lines.values()]
    assert len(found) == 7043
    assert all(len(own) == 1 for own in found)
    assert sum(own[0].is_churned for own in found) == 1869
    assert {own[0].ended_on for own in found} == {None, as_of}
    assert sum(own[0].started_on == as_of for own in found) == 11  # tenure 0
    assert min(own[0].started_on for own in found) == date(2014, 1, 1)  # tenure 72
    revenue = [
        LineRevenue("all", account, line.currency, line.booked_on, line.life)
        for account, own in lines.items()
        for line in own
    ]
    assert [total.amount.text for total in arr_by_group(revenue, as_of=as_of)] == ["3803829.00"]


@pytest.mark.slow
def test_adventureworks_deals_are_rounded_once_each_and_the_difference_is_listed(engine: Engine, run) -> None:
    report = run(Path("adventureworks"), ADVENTUREWORKS)
    usd = report.amounts["USD"]
    assert report.rejected == 0
    assert (usd.deals, usd.lines) == (3796, 60855)
    assert format(usd.at_source, "f") == "80450596.9823"
    assert format(usd.booked, "f") == "80450596.99"
    assert format(usd.rounding, "f") == "0.0077"
    assert report.figures["buying_accounts"] == 635
    assert report.figures["products_sold"] == 250
    assert report.products == {"named": 334, "described": 334}
    with reading(engine) as session:
        line = ContractLineVersion
        assert session.scalar(select(func.sum(DealVersion.amount_minor))) == 8_045_059_699
        assert session.scalar(select(func.sum(line.amount_minor))) == 8_045_059_699
        assert count(session, line, line.arr_minor.is_not(None)) == 0
        assert count(session, Product) == 504
        prices = ProductPrice.superseded_change_id.is_(None)
        assert count(session, ProductPrice, prices, ProductPrice.valid_to < ProductPrice.valid_from) == 0


@pytest.mark.slow
def test_maven_products_match_after_the_mapping_mends_a_name_and_before_that_it_is_proposed(
    engine: Engine, run, tmp_path: Path
) -> None:
    shipped = SHIPPED / "maven.toml"
    plain = tmp_path / "maven.toml"
    plain.write_text(shipped.read_text().replace(', map = { GTXPro = "GTX Pro" }', ""))
    before = run(plain, MAVEN)
    assert before.products == {"named": 7, "described": 6}
    assert before.proposals == ["product 'GTXPro' may be 'GTX Pro': the same but for case, spaces and signs"]
    after = run(Path("maven"), MAVEN)
    assert after.products == {"named": 7, "described": 7}
    assert after.proposals == []
    with reading(engine) as session:
        changes = count(session, Change)
    again = run(Path("maven"), MAVEN)
    assert not again.has_changed_something
    assert list(again.lines())[-1] == "Nothing has changed: all of this was recorded before."
    for report in (before, after, again):
        usd = report.amounts["USD"]
        assert (usd.deals, format(usd.booked, "f")) == (4238, "10005534.00")
        assert report.rejected == 0
    assert after.figures["accounts_with_parent"] == 15
    assert after.figures["deals_without_account"] == 1425
    assert after.figures["products_sold"] == 7
    assert "Deals without an account: 1,425" in list(after.lines())
    with reading(engine) as session:
        in_force = DealVersion.superseded_change_id.is_(None)
        stages = select(DealVersion.stage, func.count()).where(in_force).group_by(DealVersion.stage)
        assert dict(session.execute(stages).all()) == {"won": 4238, "lost": 2473, "open": 2089}
        assert count(session, Change) == changes
        assert session.execute(select(MatchProposal.given, MatchProposal.candidate)).all() == [("GTXPro", "GTX Pro")]


@pytest.mark.slow
def test_ravenstack_is_told_as_dirty_as_it_is(engine: Engine, run, tmp_path: Path) -> None:
    checked = run(Path("ravenstack"), RAVENSTACK, is_check=True)
    assert checked.rejected == 0
    report = run(Path("ravenstack"), RAVENSTACK)
    usage = report.nouns["usage"]
    assert report.figures["accounts"] == 500
    assert report.nouns["deal"].added == 5000
    assert (usage.read, usage.added, usage.conflicts) == (25_000, 24_979, 21)
    assert report.usage_apart_read == {"before_contract": 19_142, "after_contract": 290}
    assert report.usage_apart_added == {"before_contract": 19_128, "after_contract": 289}
    assert report.churn["accounts_with_notices"] == report.churn["accounts_in_conflict"] == 352
    assert report.churn["notices"] == 600
    assert any("of 352 the contracts disagree, so the contracts stand" in line for line in report.lines())
    rejected = (tmp_path / "rejected").glob("ravenstack_feature_usage-rejected-*.csv")
    assert len(next(rejected).read_text().splitlines()) == 1 + 21
    with reading(engine) as session:
        apart = select(UsageDay.apart_reason, func.count()).group_by(UsageDay.apart_reason)
        kept = dict(session.execute(apart).all())
        assert kept == {"before_contract": 19_128, "after_contract": 289, None: 24_979 - 19_128 - 289}
        assert count(session, Ticket) == 2_000
        assert count(session, SurveyAnswer) == 1_175
        assert count(session, ChurnNotice) == 600 + 486
        ended = ContractLineVersion.superseded_change_id.is_(None) & ContractLineVersion.ends_on.is_not(None)
        assert count(session, ContractLineVersion, ended) == 486
    assert not run(Path("ravenstack"), RAVENSTACK).has_changed_something
