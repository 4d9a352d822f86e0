"""The files: what a CRM would say, complete and exact, and nothing of the truth."""

import csv
from collections import Counter
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from integrations.files.mapping import load_mapping
from integrations.files.values import boolean
from jobs.example_company.files import account_code, write_files
from jobs.example_company.world import simulate


@pytest.fixture(scope="module")
def world():
    return simulate(3, accounts=60, months=30)


@pytest.fixture(scope="module")
def folder(world, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exports")
    write_files(world, folder)
    return folder


@pytest.fixture(scope="module")
def read(folder):
    def rows(name):
        with (folder / name).open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    return rows


def test_each_file_has_its_part_of_the_mapping_with_all_of_its_columns(folder, read):
    mapping = load_mapping(Path("example_company"))
    assert {file.name for file in mapping.files} == {path.name for path in folder.iterdir()}
    for file in mapping.files:
        columns = set(read(file.name)[0])
        for section in file.sections:
            assert section.columns <= columns, file.name
    assert mapping.lag_days == 0


def test_the_same_world_gives_the_same_bytes(world, folder, tmp_path):
    for path in write_files(world, tmp_path):
        assert path.read_bytes() == (folder / path.name).read_bytes()


def test_a_deal_is_worth_the_sum_of_its_lines(read):
    by_deal = Counter()
    for line in read("deal_lines.csv"):
        by_deal[line["deal_id"]] += Decimal(line["amount"])
        months = Decimal(line["price_months"])
        assert Decimal(line["amount"]) == Decimal(line["quantity"]) * Decimal(line["unit_price"]) * months
    won = {row["deal_id"]: Decimal(row["amount"]) for row in read("deals.csv") if row["stage"] == "won"}
    assert won == dict(by_deal)


def test_yen_have_no_decimals_and_other_money_has_two(read):
    currency = {row["deal_id"]: row["currency"] for row in read("deals.csv")}
    for line in read("deal_lines.csv"):
        assert ("." in line["amount"]) == (currency[line["deal_id"]] != "JPY")
    assert set(currency.values()) == {"USD", "EUR", "JPY"}


def test_every_reference_leads_somewhere(read):
    accounts = {row["account_id"] for row in read("accounts.csv")}
    deals = {row["deal_id"] for row in read("deals.csv")}
    skus = {row["sku"] for row in read("products.csv")}
    staff = {row["staff_id"] for row in read("staff.csv")}
    for name in (
        "contacts",
        "deals",
        "churn_notices",
        "usage",
        "tickets",
        "surveys",
        "touches",
        "trainings",
        "invoices",
    ):
        assert {row["account_id"] for row in read(f"{name}.csv")} <= accounts, name
    for name in ("deal_lines", "milestones"):
        assert {row["deal_id"] for row in read(f"{name}.csv")} <= deals, name
    assert {row["renewal_of"] for row in read("deals.csv")} - {""} <= deals
    assert {row["sku"] for row in read("deal_lines.csv")} <= skus
    assert {row["owner"] for row in read("deals.csv")} | {row["staff"] for row in read("touches.csv")} <= staff
    assert len(accounts) == 60


def test_what_runs_from_month_to_month_has_no_end_unless_it_was_left(read):
    for line in read("deal_lines.csv"):
        is_open = line["ends_on"] == ""
        assert boolean(line["auto_renew"]) == (line["term_months"] == "1")
        assert not is_open or line["term_months"] == "1"


def test_the_files_tell_of_the_past_alone(world, read):
    as_of = world.as_of.isoformat()
    dated = {
        "accounts": ["created_on"],
        "deals": ["opened_on", "closed_on"],
        "churn_notices": ["given_on"],
        "milestones": ["planned_on", "done_on"],
        "usage": ["day"],
        "tickets": ["opened_on", "closed_on"],
        "surveys": ["answered_on"],
        "touches": ["occurred_on"],
        "trainings": ["held_on"],
        "invoices": ["issued_on", "paid_on"],
    }
    for name, columns in dated.items():
        for row in read(f"{name}.csv"):
            assert all(row[column] < as_of for column in columns), (name, row)
    rates = read("fx_rates.csv")
    assert min(row["day"] for row in rates) < min(row["closed_on"] for row in read("deals.csv"))
    assert max(row["day"] for row in rates) == as_of


def test_no_column_names_what_only_the_simulator_knows(folder, read):
    columns = {column for path in folder.iterdir() for column in read(path.name)[0]}
    assert not columns & {"quality", "engagement", "decision", "people", "probability", "churn_probability", "late"}


def test_usage_rows_are_those_of_the_world(world, read):
    rows = read("usage.csv")
    people = [row for row in rows if row["metric"] == "active_people"]
    assert len(rows) == len(world.usage.day)
    assert sum(int(row["amount"]) for row in people) == world.usage.amount[world.usage.feature < 0].sum()
    assert {row["feature"] for row in people} == {""}
    assert {row["feature"] for row in rows if row["metric"] == "activity"} == {"reports", "approvals", "imports", "api"}
    first = (rows[0]["account_id"], date.fromisoformat(rows[0]["day"]), int(rows[0]["amount"]))
    assert first == (account_code(world.usage.account[0]), world.usage.day[0].item(), world.usage.amount[0])
