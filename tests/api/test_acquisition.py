"""What winning accounts costs and what new ones are worth, through the API and by pencil."""

import csv
import io
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient

from app.db import transaction
from app.http import Application
from app.models.scores import NewCustomers
from app.services.tokens import WantedToken, create_token
from tests.api.conftest import Ask

MONEY = 100.0 * 0.6 ** np.arange(1, 61)  # cents a month of an account that pays 1.00: .60, .36, ...
UNDISCOUNTED = "horizon_months=2&annual_discount_rate=0&gross_margin=1"


def new_customers(group_by: str, group: str, *, accounts: int, began: dict[str, int]) -> NewCustomers:
    months = 100 * MONEY
    factors = np.linspace(0.9, 1.1, 201)[:, None]
    return NewCustomers(
        run_id=1,
        group_by=group_by,
        group=group,
        accounts=accounts,
        mrr_minor=10_000.0,
        began=began,
        months=60,
        expected=months.astype("<f8").tobytes(),
        expected_expansion=(months / 10).astype("<f8").tobytes(),
        extrapolated=np.where(np.arange(1, 61) > 1, months, 0.0).astype("<f8").tobytes(),
        draws=(factors * months).astype("<f4").tobytes(),
    )


@pytest.fixture
def beginners(company: Application) -> Application:
    """Web won 10 in June, 13 in February and 4 in July; an event won 3."""
    began = {"2025-06": 10, "2025-07": 4, "2026-02": 13, "2026-03": 1}
    with transaction(company.engine) as session:
        session.add(new_customers("channel", "web", accounts=27, began=began))
        session.add(new_customers("channel", "event", accounts=3, began={"2025-06": 3}))
        session.add(new_customers("all", "all", accounts=30, began={**began, "2025-06": 13}))
    return company


def post(app: Application, client: FlaskClient, *costs: dict[str, Any], scope: str = "finance:write") -> Any:
    with transaction(app.engine) as session:
        token = create_token(session, WantedToken("costs", [scope]), actor="command", now=app.clock()).token
    headers = {"Authorization": f"Bearer {token}"}
    return client.post("/api/v1/acquisition-costs", json={"data": list(costs)}, headers=headers)


def cost(channel: str, month: str, amount: str, currency: str = "USD") -> dict[str, Any]:
    return {"channel": channel, "month": month, "cost": {"amount": amount, "currency": currency}}


def amount(money: Any) -> Decimal:
    assert money["currency"] == "USD"
    return Decimal(money["amount"])


def by_channel(found: Any) -> dict[str, Any]:
    return {each["channel"]: each for each in found["data"]}


def test_ltv_to_cac_by_pencil(beginners: Application, client: FlaskClient, ask: Ask) -> None:
    """1,200 USD in June and 1,000 EUR (1,100 USD) in February for 23 accounts: 100.00 each."""
    answer = post(beginners, client, cost("web", "2025-06", "1200.00"), cost("web", "2026-02", "1000", "EUR"))
    assert answer.json == {"added": 2, "changed": 0, "unchanged": 0}
    web = by_channel(ask(f"/ltv/acquisition?{UNDISCOUNTED}").json)["web"]
    assert (web["months"], web["won"], amount(web["spent"])) == (2, 23, Decimal("2300.00"))
    assert amount(web["cac"]["value"]) == Decimal("100.00")
    assert amount(web["ltv_new"]) == Decimal("96.00")
    assert web["ltv_to_cac"]["value"] == pytest.approx(0.96)
    assert web["ltv_to_cac"]["lower"] < 0.96 < web["ltv_to_cac"]["upper"]
    assert web["cac_payback_months"]["value"] == 3.0  # 60 + 36 + 21.60
    assert web["note"] is None


def test_costs_of_months_outside_the_twelve_and_beginnings_without_a_cost_do_not_count(
    beginners: Application, client: FlaskClient, ask: Ask
) -> None:
    post(beginners, client, cost("web", "2025-02", "9"), cost("web", "2026-03", "9"), cost("web", "2025-07", "400"))
    web = by_channel(ask("/ltv/acquisition").json)["web"]
    assert (web["months"], web["won"], amount(web["cac"]["value"])) == (1, 4, Decimal("100.00"))


def test_all_spend_is_set_against_all_accounts(beginners: Application, client: FlaskClient, ask: Ask) -> None:
    post(beginners, client, cost("web", "2025-06", "1300"), cost("print", "2025-06", "650"))
    found = ask("/ltv/acquisition").json
    assert found["total"]["channel"] is None
    assert (found["total"]["won"], amount(found["total"]["cac"]["value"])) == (13, Decimal("150.00"))
    nobody = by_channel(found)["print"]
    assert (nobody["won"], nobody["cac"]["value"], nobody["ltv_to_cac"]) == (0, None, None)
    assert "Nobody began" in nobody["note"]


def test_what_is_missing_is_said(beginners: Application, client: FlaskClient, ask: Ask) -> None:
    post(beginners, client, cost("event", "2025-06", "300"))
    found = by_channel(ask("/ltv/acquisition").json)
    assert amount(found["event"]["cac"]["value"]) == Decimal("100.00")
    assert found["event"]["ltv_to_cac"] is None
    assert "fewer than 5" in found["event"]["note"]
    assert "No cost" in found["web"]["note"]
    post(beginners, client, cost("web", "2025-06", "300", "GBP"))
    web = by_channel(ask("/ltv/acquisition").json)["web"]
    assert (web["spent"], web["cac"]["value"]) == (None, None)
    assert "exchange rate" in web["note"]


def test_told_again_a_cost_is_replaced_and_the_same_again_is_nothing(
    beginners: Application, client: FlaskClient, ask: Ask
) -> None:
    assert post(beginners, client, cost("web", "2025-06", "1200")).json["added"] == 1
    assert post(beginners, client, cost("web", "2025-06", "1200.00")).json == {"added": 0, "changed": 0, "unchanged": 1}
    assert post(beginners, client, cost("web", "2025-06", "1250")).json["changed"] == 1
    listed = ask("/acquisition-costs").json["data"]
    assert listed == [{"channel": "web", "month": "2025-06", "cost": {"amount": "1250.00", "currency": "USD"}}]


@pytest.mark.parametrize(
    ("bad", "word"),
    [
        (cost("web", "2025-13", "1"), "month"),
        (cost("web", "2025-06-01", "1"), "month"),
        (cost("", "2025-06", "1"), "channel"),
        (cost("web", "2025-06", "-1"), "amount"),
        (cost("web", "2025-06", "1.005"), "amount"),
        (cost("web", "2025-06", "NaN"), "amount"),
        (cost("web", "2025-06", "1", "XXX"), "currency"),
    ],
)
def test_what_is_no_cost_is_refused_by_name(
    company: Application, client: FlaskClient, bad: dict[str, Any], word: str
) -> None:
    answer = post(company, client, bad)
    assert answer.status_code == 400
    assert word in str(answer.json)


def test_two_costs_of_one_month_are_refused(company: Application, client: FlaskClient) -> None:
    answer = post(company, client, cost("web", "2025-06", "1"), cost("web", "2025-06", "2"))
    assert answer.status_code == 400
    assert "2025-06" in str(answer.json)


def test_reading_finance_does_not_let_one_write_costs(company: Application, client: FlaskClient) -> None:
    assert post(company, client, cost("web", "2025-06", "1"), scope="finance:read").status_code == 403


def test_a_new_account_is_worth_the_sum_of_its_months(beginners: Application, ask: Ask) -> None:
    """60.00 + 36.00; the draws lie within 10 %, 90 % of them within 9 %."""
    found = ask(f"/ltv/new?group_by=channel&{UNDISCOUNTED}").json
    event, web = found["data"]
    assert (event["group"], event["accounts"], event["ltv_new"]) == ("event", 3, None)
    assert "Not enough data: 3 began" in event["note"]
    assert amount(web["mrr"]) == Decimal("100.00")
    values = [amount(web[name]) for name in ("ltv_new", "ltv_new_lower", "ltv_new_upper", "ltv_expansion", "ltv_total")]
    assert values == [Decimal(text) for text in ("96.00", "87.36", "104.64", "9.60", "105.60")]
    assert web["extrapolated_share"] == pytest.approx(36 / 96)
    assert web["revenue_retention"]["estimate"][:3] == [1.0, 0.6, 0.36]
    assert found["terms"]["horizon_months"] == 2


def test_three_months_of_a_new_account_with_discount_and_margin_by_pencil(beginners: Application, ask: Ask) -> None:
    """.5 x (60 / 1.21^(1/12) + 36 / 1.21^(2/12) + 21.60 / 1.21^(3/12)) = .5 x (59.05 + 34.87 + 20.59)."""
    terms = "horizon_months=3&annual_discount_rate=0.21&gross_margin=0.5"
    web = ask(f"/ltv/new?group_by=channel&{terms}").json["data"][1]
    assert amount(web["ltv_new"]) == Decimal("57.26")


def test_both_can_be_had_as_csv(beginners: Application, client: FlaskClient, ask: Ask) -> None:
    post(beginners, client, cost("web", "2025-06", "1000"))
    rows = list(csv.DictReader(io.StringIO(ask("/ltv/acquisition?format=csv").get_data(as_text=True).lstrip("\ufeff"))))
    assert [row["channel"] for row in rows] == ["event", "web", "all"]
    assert rows[1]["cac"] == "100.00"
    new = list(csv.DictReader(io.StringIO(ask("/ltv/new?group_by=channel&format=csv").data.decode("utf-8-sig"))))
    assert [row["group"] for row in new] == ["event", "web"]
    assert new[0]["ltv_new"] == ""
