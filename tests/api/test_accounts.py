"""Accounts through the API: filters, sorts, pages, and what the model says of one."""

import csv
import io
import math
from datetime import UTC, date, datetime
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask.testing import FlaskClient
from sqlalchemy import update

from app.db import transaction
from app.http import Application
from app.models.health import HealthOverride
from app.models.persons import FreeText
from app.models.scores import Score
from app.models.settings import SettingVersion
from app.services.changes import recording
from tests.api.conftest import Ask, ask_with
from tests.small_company import NOW, SCORES, publish_small_run, write_small_company

ALL_SORTS = ("name", "arr", "health", "churn_probability", "ltv", "renewal", "tenure")


def ids(answer: Any) -> list[int]:
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json["data"]]


def test_the_list_names_every_account_that_is_not_merged_away(ask: Ask) -> None:
    answer = ask("/accounts")
    assert set(ids(answer)) == {1, 2, 3, 4, 5, 6}
    cedar = next(item for item in answer.json["data"] if item["id"] == 3)
    assert cedar == {
        "id": 3,
        "name": "Cedar Inc",
        "segment": "smb",
        "industry": None,
        "country": "US",
        "employees": None,
        "channel": "web",
        "campaign": None,
        "parent_id": None,
        "status": "live",
        "basis": "account",
        "started_on": "2026-01-01",
        "tenure_months": 2,
        "renewal_on": None,
        "arr": {"amount": "1200.00", "currency": "USD"},
        "health": None,
        "band": None,
        "coverage": 0.2,
        "override": None,
        "churn_probability": pytest.approx(1 - 0.9**12),
        "leaving": None,
        "ltv_residual": {"amount": "2400.00", "currency": "USD"},
    }


def test_an_answer_says_what_its_figures_rest_on(ask: Ask) -> None:
    assert ask("/accounts").json["meta"] == {
        "definitions": ["arr@1", "churn@2", "health@3", "ltv_residual@1"],
        "as_of": "2026-03-01",
        "known_at": "2026-02-28T20:00:00Z",
        "currency": "USD",
        "freshness": {
            "facts_recorded_at": "2026-02-28T20:00:00Z",
            "scored_at": "2026-03-01T02:00:00Z",
            "stale_feeds": [],
        },
        "model_run_id": 1,
        "basis": "account",
        "basis_reason": "Learned from 9 churns.",
    }


FILTERS: dict[str, set[int]] = {
    "segment=smb": {2, 3, 4, 6},
    "segment=smb&segment=enterprise": {1, 2, 3, 4, 6},
    "segment=smb&country=DE": {2},
    "channel=partner": {1},
    "plan=basic": {2, 3},
    "plan=premium": {1},
    "product=CORE": {2, 3},
    "product=CORE&plan=premium": set(),
    "band=watch": {2},
    "band=watch&band=healthy": {1, 2},
    "status=live": {1, 2, 3},
    "status=churned&status=not_applicable": {4, 5},
    "q=cedar": {3},
    "q=青葉": {1},
    "q=%25": set(),
    "q=_": set(),
    "min_arr=1200": {1, 2, 3},
    "min_arr=1200.01": {1, 2},
    "max_arr=1200&status=live": {3},
    "min_arr=1200&max_arr=6600": {2, 3},
    "renewal_before=2026-07-02": {2},
    "renewal_before=2026-07-01": set(),
}


def test_filters_narrow_the_list(ask: Ask) -> None:
    for query, found in FILTERS.items():
        assert set(ids(ask(f"/accounts?{query}"))) == found, query


def test_sorting_puts_accounts_without_the_value_last_either_way(ask: Ask) -> None:
    assert ids(ask("/accounts?sort=health")) == [2, 1, 3, 4, 5, 6]
    assert ids(ask("/accounts?sort=-health")) == [1, 2, 3, 4, 5, 6]
    assert ids(ask("/accounts?sort=-arr")) == [1, 2, 3, 4, 5, 6]
    assert ids(ask("/accounts?sort=renewal"))[0] == 2
    assert ids(ask("/accounts?sort=-churn_probability"))[:3] == [3, 2, 1]


def test_pages_give_every_account_once_in_the_order_of_the_whole(ask: Ask) -> None:
    for sort in (*ALL_SORTS, *(f"-{name}" for name in ALL_SORTS)):
        whole = ids(ask(f"/accounts?sort={sort}"))
        for limit in (1, 2, 4):
            path, found = f"/accounts?sort={sort}&limit={limit}", []
            while path:
                answer = ask(path)
                found += ids(answer)
                path = next_path(answer)
            assert found == whole, (sort, limit)


def next_path(answer: Any) -> str:
    if "Link" not in answer.headers:
        return ""
    address, _, relation = answer.headers["Link"].partition("; ")
    assert relation == 'rel="next"'
    parts = urlsplit(address.strip("<>"))
    return f"{parts.path.removeprefix('/api/v1')}?{parts.query}"


def test_a_page_keeps_its_filters(ask: Ask) -> None:
    first = ask("/accounts?segment=smb&status=live&limit=1")
    second = ask(next_path(first))
    assert ids(first) + ids(second) == [2, 3]
    assert "Link" not in second.headers


def test_a_new_night_does_not_move_the_pages_of_a_reader(ask: Ask, company: Application) -> None:
    first = ask("/accounts?sort=-arr&limit=2")
    publish_small_run(company.engine, run_id=2)
    with transaction(company.engine) as session:
        session.execute(update(Score).where(Score.run_id == 2).values(arr_minor=1))
    second = ask(next_path(first))
    assert ids(second) == [3, 4]
    assert second.json["meta"]["model_run_id"] == 1
    assert ask("/accounts").json["meta"]["model_run_id"] == 2


def test_a_bad_cursor_is_a_problem_in_words(ask: Ask) -> None:
    for cursor in ("x", "AAAA", "W10", "%00", "9" * 1999, "9" * 3000):
        answer = ask(f"/accounts?cursor={cursor}")
        assert answer.status_code == 400, cursor
        assert answer.mimetype == "application/problem+json"
        assert answer.json["detail"]


BAD_PARAMETERS = {
    "segmnt=smb": "did you mean segment?",
    "sort=arrr": "Must be one of",
    "limit=0": "limit",
    "limit=1001": "limit",
    "limit=ten": "limit",
    "band=green": "healthy",
    "min_arr=NaN": "min_arr",
    "min_arr=1e999": "min_arr",
    "min_arr=-1": "min_arr",
    "renewal_before=2026-02-30": "renewal_before",
    "q=": "q",
    "q=%00": "NUL",
    "format=pdf": "format",
    "sort=name&sort=arr": "twice",
}


def test_a_bad_parameter_is_named(ask: Ask) -> None:
    for query, words in BAD_PARAMETERS.items():
        answer = ask(f"/accounts?{query}")
        assert answer.status_code == 400, query
        assert words in answer.json["detail"]


def read_csv(answer: Any) -> list[dict[str, str]]:
    assert answer.mimetype == "text/csv"
    assert answer.data.startswith(b"\xef\xbb\xbf")
    return list(csv.DictReader(io.StringIO(answer.data.decode("utf-8-sig"), newline="")))


def test_csv_comes_by_format_or_accept_whole_and_safe(ask: Ask) -> None:
    rows = read_csv(ask("/accounts?format=csv&limit=1"))
    assert rows == read_csv(ask("/accounts", Accept="text/csv"))
    assert [row["id"] for row in rows] == [str(i) for i in ids(ask("/accounts"))]
    by_id = {row["id"]: row for row in rows}
    assert by_id["5"]["name"] == '\'=Evil("x")'
    assert by_id["1"]["name"] == "青葉商事"
    assert (by_id["2"]["arr"], by_id["2"]["currency"]) == ("6600.00", "USD")
    assert ask("/accounts?format=json", Accept="text/csv").mimetype == "application/json"


def test_one_account_has_its_ids_products_and_own_fields(ask: Ask) -> None:
    found = ask("/accounts/1").json
    assert found["name"] == "青葉商事"
    assert found["custom"] == {"tier": "gold"}
    assert found["external_ids"] == [{"system": "crm", "kind": "crm", "external_id": "A-1"}]
    assert found["products"] == [{"sku": "PLUS", "name": "Plus", "plan": "premium"}]
    assert found["note"] is None
    assert ask("/accounts/4").json["products"] == []  # its line is over


def test_an_account_that_was_merged_away_says_where_to(ask: Ask) -> None:
    assert ask("/accounts/99").status_code == 404
    answer = ask("/accounts/7")
    assert answer.status_code == 404
    assert "account 3" in answer.json["detail"]


def test_health_gives_probabilities_with_bounds_and_the_drivers_largest_first(ask: Ask) -> None:
    found = ask("/accounts/1/health").json
    assert (found["health"], found["band"], found["coverage"]) == (72.5, "healthy", 0.9)
    survival = {months: 0.99**months for months in (1, 3, 6, 12)}
    assert [each["months"] for each in found["churn_within"]] == list(survival)
    for each in found["churn_within"]:
        assert sum(each["by_cause"].values()) == pytest.approx(each["probability"], abs=2e-6)
        assert 0 < each["by_cause"]["payment_failure"] < each["by_cause"]["voluntary"]
        of = survival[each["months"]]
        assert each["probability"] == pytest.approx(1 - of, abs=1e-6)
        assert each["lower"] == pytest.approx(1 - math.sqrt(of), abs=1e-6)
        assert each["upper"] == pytest.approx(1 - of**2, abs=1e-6)
    assert found["arr_at_risk"] == {"amount": f"{8000 * (1 - 0.99**12):.2f}", "currency": "USD"}
    assert [driver["name"] for driver in found["drivers"]] == ["usage_level", "tickets_90d"]
    assert sum(driver["contribution"] for driver in found["drivers"]) == pytest.approx(
        sum(dimension["contribution"] for dimension in found["dimensions"])
    )


def test_retention_starts_at_one_and_spares_revenue_inside_a_committed_term(ask: Ask) -> None:
    found = ask("/accounts/2/retention").json
    assert found["months"] == list(range(61))
    account, revenue = found["account_retention"]["estimate"], found["revenue_retention"]["estimate"]
    assert account[:3] == pytest.approx([1, 0.97, 0.97**2], abs=1e-6)
    assert revenue[:6] == pytest.approx([1, 1, 1, 1, 1, 0.97], abs=1e-6)
    for series in (found["account_retention"], found["revenue_retention"]):
        assert all(before >= after for before, after in pairwise(series["estimate"]))
        for lower, middle, upper in zip(series["lower"], series["estimate"], series["upper"], strict=True):
            assert lower <= middle <= upper
    assert found["supported_months"] == 24
    short = ask("/accounts/2/retention?horizon_months=3").json
    assert short["account_retention"]["estimate"] == account[:4]
    assert short["months"] == [0, 1, 2, 3]


def test_where_both_curves_are_one_they_are_equal(ask: Ask) -> None:
    found = ask("/accounts/1/retention").json
    assert found["account_retention"] == found["revenue_retention"]


@pytest.mark.parametrize("path", ["health", "retention"])
def test_accounts_without_a_forecast_answer_in_words(ask: Ask, path: str) -> None:
    assert "has left" in ask(f"/accounts/4/{path}").json["note"]
    assert "no recurring line" in ask(f"/accounts/5/{path}").json["note"]
    newcomer = ask(f"/accounts/6/{path}")
    assert newcomer.status_code == 503
    assert "tenure nightly" in newcomer.json["detail"]
    assert ask(f"/accounts/99/{path}").status_code == 404
    assert "came after the last night" in ask("/accounts/6").json["note"]


def test_a_score_that_is_withheld_says_why(ask: Ask) -> None:
    found = ask("/accounts/3/health").json
    assert found["health"] is None
    assert found["note"] == "Withheld: only 20% of what health rests on is known of this account."


def test_an_account_that_began_on_the_day_of_the_run_says_so(ask: Ask, company: Application) -> None:
    with transaction(company.engine) as session:
        session.execute(update(Score).where(Score.account_id == 3).values(survival=None, churn_probability=None))
    for path in ("", "/health", "/retention", "/ltv"):
        assert "begins on 2026-03-01" in ask(f"/accounts/3{path}").json["note"]


def test_with_too_little_data_every_answer_says_so(app: Application, client: FlaskClient) -> None:
    app.clock = lambda: NOW
    write_small_company(app.engine)
    publish_small_run(app.engine, basis="prior")
    ask = ask_with(app, client, "accounts:read", "finance:read")
    for path in ("", "/health", "/retention", "/ltv"):
        found = ask(f"/accounts/1{path}").json
        assert found["note"] == "Not enough data: 1 churn so far."
        assert found["meta"]["basis"] == "prior"


def test_before_the_first_night_accounts_are_listed_and_forecasts_ask_for_it(
    app: Application, client: FlaskClient
) -> None:
    app.clock = lambda: NOW
    write_small_company(app.engine)
    ask = ask_with(app, client, "accounts:read", "finance:read")
    answer = ask("/accounts?sort=-arr")
    assert set(ids(answer)) == {1, 2, 3, 4, 5, 6}
    assert all(item["arr"] is None for item in answer.json["data"])
    assert "tenure nightly" in answer.json["meta"]["basis_reason"]
    assert "tenure nightly" in ask("/accounts/1").json["note"]
    paths = ("/accounts/1/health", "/accounts/1/retention", "/accounts/1/ltv", "/retention", "/ltv/summary")
    for path in (*paths, "/models/current"):
        answer = ask(path)
        assert answer.status_code == 503
        assert "tenure nightly" in answer.json["detail"]
        assert answer.headers["Retry-After"]


def test_every_account_of_the_run_is_in_the_list(ask: Ask) -> None:
    assert set(SCORES) <= set(ids(ask("/accounts")))


def test_an_override_ends_with_the_companys_day(company: Application, ask: Ask) -> None:
    """At 20:00 UTC on March 1 it is the 2nd in Tokyo: what expires on the 2nd is over there, and not yet in UTC."""
    with transaction(company.engine) as session:
        session.add(FreeText(id=1, body="They said so.", change_id=1))
        session.flush()
        session.add(
            HealthOverride(
                account_id=1, band="at_risk", score=20.0, reason_id=1, actor="user:1", begins_at=NOW,
                expires_on=date(2026, 3, 2),
            )
        )  # fmt: skip
    company.clock = lambda: datetime(2026, 3, 1, 20, tzinfo=UTC)
    paths = ("/accounts/1", "/accounts/1/health")

    def overrides() -> list[Any]:
        listed = next(row for row in ask("/accounts").json["data"] if row["id"] == 1)
        return [listed["override"], *(ask(path).json["override"] for path in paths)]

    assert [each["band"] for each in overrides()] == ["at_risk"] * 3
    with transaction(company.engine) as session, recording(session, "test", clock=lambda: NOW) as change:
        row = SettingVersion(name="reporting_timezone", value="Asia/Tokyo", valid_from=date(2025, 1, 1))
        row.available_at, row.change_id = NOW, change.id
        session.add(row)
    assert overrides() == [None, None, None]
