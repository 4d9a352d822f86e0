"""The part of an account's page that says what moved its score."""

import html
import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, update

from app.db import make_engine, reading, transaction
from app.http import Application
from app.models.accounts import AccountVersion
from app.models.health import HealthOverride
from app.models.persons import FreeText
from app.models.scores import Score
from app.queries.health_change import HealthMove, load_health_move
from app.services.changes import recording
from app.services.users import NewUser, add_user
from app.web.formats import show_points
from app.web.health_change import PART_WORDS
from jobs.nightly import run_night
from tests.installation import work_on
from tests.web.company import AS_OF, EMAIL, NOW, PASSWORD, SPECIAL, write_company
from tests.web.conftest import log_in, make_app

EARLIER = AS_OF - timedelta(days=45)
SILENT = "Quiet Harbour"  # its score is withheld


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, _sqlite_template: Path) -> Application:
    """The company with two nights; somebody has set the first account's score in the second."""
    folder = tmp_path_factory.mktemp("nights")
    shutil.copy(_sqlite_template, folder / "tenure.db")
    engine = make_engine(f"sqlite:///{folder / 'tenure.db'}")
    with transaction(engine) as session, recording(session, "test", clock=lambda: NOW) as change:
        write_company(session, change)
        add_user(session, change, new=NewUser("Mika Sato", EMAIL, PASSWORD))
        reason = FreeText(body="They told us.", change_id=change.id)
        session.add(reason)
        session.flush()
        session.add(
            HealthOverride(
                account_id=1, band="at_risk", score=20.0, reason_id=reason.id, actor="Mika Sato",
                begins_at=datetime(2026, 9, 20, tzinfo=UTC), expires_on=AS_OF + timedelta(days=30),
            )
        )  # fmt: skip
    for day in (EARLIER, AS_OF):
        run_night(work_on(engine, clock=lambda: NOW), day)
    with transaction(engine) as session:
        silent = session.scalars(select(AccountVersion.account_id).filter_by(name=SILENT)).one()
        session.execute(update(Score).where(Score.account_id == silent).values(health=None, band=None))
    engine.dispose()
    return make_app(f"sqlite:///{folder / 'tenure.db'}", folder)


@pytest.fixture
def client(app: Application) -> FlaskClient:
    client = app.test_client()
    assert log_in(client, EMAIL, password=PASSWORD).status_code == 303
    return client


def account_id(app: Application, name: str) -> int:
    with reading(app.engine) as session:
        return int(session.scalars(select(AccountVersion.account_id).filter_by(name=name)).one())


def move_of(app: Application, name: str) -> HealthMove:
    with reading(app.engine) as session:
        return load_health_move(session, account_id(app, name), from_on=EARLIER, to_on=AS_OF)


def card(app: Application, client: FlaskClient, name: str, query: str = "") -> str:
    page = client.get(f"/accounts/{account_id(app, name)}{query}").get_data(as_text=True)
    found = re.search(r'<section class="card" aria-labelledby="change-title".*?</section>', page, re.DOTALL)
    assert found
    return html.unescape(found[0])


def test_the_six_parts_are_those_that_were_stored(app: Application, client: FlaskClient) -> None:
    move = move_of(app, "Brightwater Logistics")
    assert move.parts is not None
    section = card(app, client, "Brightwater Logistics", f"?since={EARLIER}")
    shown = dict(
        zip(re.findall(r"<div><p>([^<]+)</p>", section), re.findall(r'part-points">([^<]+)<', section), strict=True)
    )
    with app.test_request_context("/"):
        expected = {str(PART_WORDS[name][0]): show_points(points) for name, points in move.parts.items()}
        total = show_points(sum(move.parts.values()))
    assert shown == expected
    assert f"{total} points" in section
    bars = re.findall(r'fill-(up|down)" x="([\d.]+)" y="1" width="([\d.]+)"', section)
    assert 1 <= len(bars) <= 6
    assert max(float(width) for _, _, width in bars) == 72.0
    for direction, start, width in bars:
        assert float(start) == pytest.approx(72.0 - float(width) if direction == "up" else 72.0, abs=0.05)


def test_what_is_behind_it_is_said_with_what_it_was_before(app: Application, client: FlaskClient) -> None:
    move = move_of(app, "Brightwater Logistics")
    changed = [each for each in move.drivers if each["earlier_value"] != each["later_value"]]
    assert changed
    section = card(app, client, "Brightwater Logistics", f"?since={EARLIER}")
    assert 1 <= section.count("before: ") <= 3


def test_an_override_is_a_part_and_the_calculated_score_is_said(app: Application, client: FlaskClient) -> None:
    move = move_of(app, SPECIAL[0])
    assert move.parts is not None
    section = card(app, client, SPECIAL[0], f"?since={EARLIER}")
    assert f"On Sep 30, 2026 somebody had set 20 (At risk); {move.later.health:.1f} was calculated." in section
    assert section.count("somebody had set") == 1, "the earlier day has none"
    with app.test_request_context("/"):
        assert f'part-points">{show_points(20.0 - (move.later.health or 0.0))}<' in section


def test_the_days_are_those_asked_for_and_nonsense_is_put_right(app: Application, client: FlaskClient) -> None:
    def days(query: str) -> list[str]:
        return re.findall(r'type="date" value="([^"]+)"', card(app, client, SPECIAL[0], query))

    assert days("") == [str(AS_OF - timedelta(days=30)), str(AS_OF)]
    assert days("?since=2026-09-01&until=2026-09-10") == ["2026-09-01", "2026-09-10"]
    assert days("?since=2001-01-01&until=2999-01-01") == [str(EARLIER), str(AS_OF)]
    assert days("?since=2026-09-20&until=2026-09-10") == ["2026-09-10", "2026-09-10"]
    assert days("?since=<script>&until=soon") == [str(AS_OF - timedelta(days=30)), str(AS_OF)]


def test_a_withheld_score_is_not_compared(app: Application, client: FlaskClient) -> None:
    section = card(app, client, SILENT, f"?since={EARLIER}")
    assert "was withheld on one of the days" in section
    assert "part-points" not in section


def test_an_account_that_left_had_no_score_to_compare(app: Application, client: FlaskClient) -> None:
    assert "had no score of its own" in card(app, client, "Zephyr One-off", f"?since={EARLIER}")


@pytest.mark.parametrize(
    ("points", "shown"), [(0.0, "0.0"), (-0.04, "0.0"), (1.25, "+1.2"), (-3.44, "\N{MINUS SIGN}3.4"), (12.0, "+12.0")]
)
def test_points_have_a_sign_unless_they_round_to_none(app: Application, points: float, shown: str) -> None:
    with app.test_request_context("/"):
        assert show_points(points) == shown


def test_a_withheld_score_is_neither_green_nor_a_number_on_any_page_or_file(
    app: Application, client: FlaskClient
) -> None:
    unknown = '<span class="pill pill-none">'
    page = client.get(f"/accounts/{account_id(app, SILENT)}").get_data(as_text=True)
    head = page[page.index("account-head") :]
    assert head[head.index('<span class="pill') :].startswith(unknown)
    section = page[page.index('aria-labelledby="health-title"') :].partition("</section>")[0]
    assert 'class="score"' not in section
    assert "pill-good" not in section
    rows = client.get(f"/accounts?search={SILENT.replace(' ', '+')}&status=all").get_data(as_text=True)
    row = rows[rows.index("<tbody") : rows.index("</tbody")]
    assert (row.count(unknown), row.count("pill-good")) == (1, 0)
    lines = client.get(f"/accounts.csv?search={SILENT.replace(' ', '+')}").get_data(as_text=True).splitlines()
    cells = dict(zip(lines[0].removeprefix("\ufeff").split(","), lines[1].split(","), strict=True))
    assert (cells["name"], cells["health"], cells["band"]) == (SILENT, "", "")
    assert float(cells["coverage"]) > 0.0
    assert float(cells["churn_probability_12_months"]) > 0.0, "the probability is said all the same"
