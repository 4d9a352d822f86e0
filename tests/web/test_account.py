import re
from datetime import date

import numpy as np
import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from app.db import make_engine, reading
from app.models.accounts import AccountVersion
from app.queries.scores import AccountScore, load_score
from tests.web.company import SPECIAL


def account_id(client: FlaskClient, name: str) -> int:
    found = re.search(r'href="/accounts/(\d+)"', client.get(f"/accounts?status=all&search={name}").text)
    assert found, name
    return int(found[1])


def page_of(client: FlaskClient, name: str, query: str = "") -> str:
    answer = client.get(f"/accounts/{account_id(client, name)}{query}")
    assert answer.status_code == 200
    return answer.text


def card(page: str, title: str) -> str:
    found = re.search(rf'<section[^>]*aria-labelledby="{title}-title".*?</section>', page, re.DOTALL)
    assert found, title
    return found[0]


def figures(section: str) -> list[list[float | None]]:
    """The values of the table behind a chart, a row each."""
    rows = re.findall(r"<tr><th[^>]*data-v=.*?</tr>", section)
    cells = [re.findall(r'<t[hd][^>]*?(?: data-v="([^"]*)")?>', row) for row in rows]
    return [[float(cell) if cell and "-" not in cell[1:5] else None for cell in row] for row in cells]


def score_of(url: str, name: str) -> AccountScore:
    engine = make_engine(url)
    with reading(engine) as session:
        found = load_score(session, session.scalars(select(AccountVersion.account_id).filter_by(name=name)).one())
    engine.dispose()
    return found


def test_the_curve_on_the_page_is_the_stored_one(client: FlaskClient, company_url: str) -> None:
    score = score_of(company_url, SPECIAL[0])
    assert score.survival is not None
    rows = figures(card(page_of(client, SPECIAL[0]), "retention"))
    assert [row[0] for row in rows] == list(range(61))
    for column, stored in ((1, score.survival.estimate), (2, score.survival.lower), (3, score.survival.upper)):
        shown = [row[column] for row in rows]
        assert shown == [1.0, *np.round(stored, 4).tolist()]


def test_the_segments_curve_begins_at_one_for_accounts_as_old_as_this_one(client: FlaskClient) -> None:
    peers = [row[5] for row in figures(card(page_of(client, "Juniper"), "retention"))]
    known = [value for value in peers if value is not None]
    assert known[0] == 1.0
    assert known == sorted(known, reverse=True)
    assert peers == known + [None] * (len(peers) - len(known))


def test_health_shows_probability_drivers_and_what_was_learned(client: FlaskClient, company_url: str) -> None:
    score = score_of(company_url, SPECIAL[0])
    assert score.explanation is not None
    assert score.churn_probability is not None
    assert score.health is not None
    section = card(page_of(client, SPECIAL[0]), "health")
    assert f'<p class="score">{score.health:.0f}<' in section
    assert f"{100 * score.churn_probability:.1f}%" in section
    assert score.by_cause is not None
    assert 0 < score.by_cause[12]["payment_failure"] < score.by_cause[12]["voluntary"]
    assert f"Of it by their own decision</dt><dd>{100 * score.by_cause[12]['voluntary']:.1f}%" in section
    strongest = max(score.explanation["drivers"], key=lambda driver: abs(driver["contribution"]))
    first = re.search(r'class="under">([^<]+)<', section.split("What moves it most")[1])
    assert first
    assert first[1].startswith("raises the risk" if strongest["contribution"] > 0 else "lowers the risk")
    learned = f"learned from {strongest['churns']} churns" if strongest["is_learned"] else "default weight"
    assert first[1].endswith(learned)


def test_a_dimension_without_data_is_unknown_not_green(client: FlaskClient, company_url: str) -> None:
    score = score_of(company_url, SPECIAL[0])
    assert score.explanation is not None
    unknown = [each["name"] for each in score.explanation["dimensions"] if not each["is_known"]]
    section = card(page_of(client, SPECIAL[0]), "health")
    assert section.count("unknown</span>") == len(unknown)


def test_lifetime_value_has_three_horizons_that_grow_with_their_intervals(
    client: FlaskClient, company_url: str
) -> None:
    score = score_of(company_url, SPECIAL[0])
    section = card(page_of(client, SPECIAL[0]), "ltv")
    assert re.findall(r'<th scope="row">(\d+)</th>', section) == ["12", "36", "60"]
    residual = [int(text.replace(",", "")) for text in re.findall(r'residual">\$([\d,]+)<', section)]
    assert residual == sorted(residual)
    assert residual[2] == round((score.ltv_residual_minor or 0) / 100)
    assert "beyond the tenure that was observed" in section
    assert "Formula LTV" in section


def test_usage_by_week_adds_up_what_is_shown_by_day(client: FlaskClient) -> None:
    by_week = figures(card(page_of(client, SPECIAL[0], "?by=week"), "usage"))
    by_day = figures(card(page_of(client, SPECIAL[0], "?by=day"), "usage"))
    assert len(by_day) == 91
    weeks = [row[1] for row in by_week[-13:]]
    assert weeks == [sum(row[1] or 0.0 for row in by_day[start : start + 7]) for start in range(0, 91, 7)]
    assert [row[2] for row in by_week[-13:]] == [
        max(row[2] or 0.0 for row in by_day[start : start + 7]) for start in range(0, 91, 7)
    ]
    assert {row[3] for row in by_day} == {20.0}


def test_an_account_without_usage_says_so_and_its_score_has_less_cover(client: FlaskClient) -> None:
    page = page_of(client, "Quiet Harbour")
    assert "No usage was recorded for this account." in card(page, "usage")
    assert "Inputs known" in card(page, "health")


def test_onboarding_tells_done_late_and_overdue_apart(client: FlaskClient) -> None:
    section = card(page_of(client, SPECIAL[0]), "onboarding")
    assert "2 of 4 steps done" in section
    states = re.findall(r'class="pill is-(\w+)">([^<]+)<', section)
    assert states == [
        ("done", "Done"),
        ("done_late", "Done late · 7 days"),
        ("overdue", "Overdue · 30 days"),
        ("overdue", "Overdue · 16 days"),
    ]


def test_contracts_show_lines_money_and_the_last_paid_day(client: FlaskClient) -> None:
    section = card(page_of(client, SPECIAL[0]), "contracts")
    assert "2 earlier contracts" in section
    assert "20 seats × $240.00" in section
    assert "10% discount" in section
    assert "$4,800.00 a year" in section
    assert "last paid day Jul 29, 2027" in section


def test_the_timeline_runs_from_the_newest_through_every_page_without_a_repeat(client: FlaskClient) -> None:
    page = page_of(client, SPECIAL[0])
    days, pages = [], 0
    while True:
        section = card(page, "timeline")
        days += re.findall(r'datetime="([^"]+)"', section)
        pages += 1
        older = re.search(r'id="older" href="([^"#]+)', section)
        if not older:
            break
        page = client.get(older[1].replace("&amp;", "&")).text
    assert days == sorted(days, reverse=True)
    assert len(days) == 40 + 1 + 1 + 2 + 1 + 3
    assert pages == 4


@pytest.mark.parametrize(
    ("kind", "title", "number"),
    [("ticket", "Ticket, escalated", 1), ("survey", "NPS: 8 of 10", 2), ("deal", "Expansion, open", 4)],
)
def test_the_timeline_can_be_narrowed_to_one_kind(client: FlaskClient, kind: str, title: str, number: int) -> None:
    section = card(page_of(client, SPECIAL[0], f"?kind={kind}"), "timeline")
    assert title in section
    assert section.count('class="entry"') == number


def test_a_churned_account_says_why_nothing_is_foretold(client: FlaskClient) -> None:
    found = re.search(r'<td class="name"><a href="([^"]+)"', client.get("/accounts?status=churned").text)
    assert found
    page = client.get(found[1]).text
    for title in ("health", "retention", "ltv"):
        assert "The account has left, so there is nothing to foretell until it comes back." in card(page, title)
    assert "Notice to leave" in card(page, "timeline")


def test_an_account_without_a_subscription_is_not_applicable_in_words(client: FlaskClient) -> None:
    page = page_of(client, "Zephyr")
    assert "Not applicable: the account has no recurring revenue" in card(page, "health")
    assert "Not applicable: the account has no recurring revenue" in card(page, "ltv")
    assert "There is no contract" in card(page, "contracts")
    assert "There is no onboarding plan" in card(page, "onboarding")


def test_an_account_that_starts_later_says_so(client: FlaskClient) -> None:
    page = page_of(client, "Yonder")
    assert "The contract has not begun" in card(page, "health")
    assert "Not started" in card(page, "contracts")


@pytest.mark.parametrize("number", ["999999", "0", "x", "99999999999999999999"])
def test_an_account_that_does_not_exist_is_a_page_in_the_same_design(client: FlaskClient, number: str) -> None:
    answer = client.get(f"/accounts/{number}")
    assert answer.status_code == 404
    assert "There is nothing here" in answer.text
    assert 'href="/accounts"' in answer.text


def test_a_damaged_place_in_the_timeline_is_refused(client: FlaskClient) -> None:
    day = "2026-01-01"
    for place in (
        "x",
        f"{day}~touch",
        "2026-13-01~touch~1",
        f"{day}~nothing~1",
        f"{day}~touch~x",
        f"{day}~touch~{2**70}",
    ):
        assert client.get(f"/accounts/1?before={place}").status_code == 400


def test_every_page_with_figures_says_from_when_they_are(client: FlaskClient) -> None:
    for path in ("/accounts", "/accounts/1", "/retention"):
        page = client.get(path).text
        assert "As of Sep 30, 2026" in page
        assert "known at Sep 30, 2026 9:00 AM UTC" in page
        assert "model run 1 (churn@2)" in page


def test_dates_and_money_follow_the_language(client: FlaskClient) -> None:
    client.set_cookie("tenure-language", "ja")
    page = client.get("/accounts/1").text
    assert '<html lang="ja"' in page
    assert "基準日 2026/09/30" in page
    assert "2年2か月" in page
    assert date(2026, 9, 30).strftime("%b") not in card(page, "timeline")
