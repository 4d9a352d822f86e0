"""What is set by hand, and the pulse, on the pages: beside the calculated score wherever it is shown."""

import csv
import io
import re
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from app.db import make_engine, reading, transaction
from app.http import Application
from app.models.accounts import AccountVersion
from app.models.scores import Score
from app.services.changes import recording
from app.services.users import NewUser, add_user
from tests.web.company import AS_OF, NOW, PASSWORD, build_company
from tests.web.conftest import csrf_token, log_in, make_app

SALES = "sales@example.com"
REASON = "They look at <another> vendor."


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, _sqlite_template: Path) -> Path:
    path = tmp_path_factory.mktemp("said") / "tenure.db"
    shutil.copy(_sqlite_template, path)
    engine = make_engine(f"sqlite:///{path}")
    build_company(engine)
    with transaction(engine) as session, recording(session, "test", clock=lambda: NOW) as change:
        add_user(session, change, new=NewUser("Sal", SALES, PASSWORD, "sales"))
    engine.dispose()
    return path


@pytest.fixture
def app(built: Path, tmp_path: Path) -> Iterator[Application]:
    shutil.copy(built, tmp_path / "tenure.db")
    app = make_app(f"sqlite:///{tmp_path / 'tenure.db'}", tmp_path)
    yield app
    app.engine.dispose()


@pytest.fixture
def needy(app: Application) -> tuple[int, str]:
    """The account with the most ARR at risk: the first of Today."""
    with reading(app.engine) as session:
        row = session.execute(
            select(Score.account_id, AccountVersion.name)
            .join(AccountVersion, AccountVersion.account_id == Score.account_id)
            .where(Score.health.is_not(None), Score.status == "live")
            .order_by(Score.arr_at_risk_minor.desc())
            .limit(1)
        ).one()
    return row.account_id, row.name


def send(client: FlaskClient, account_id: int, **form: str):
    token = csrf_token(client, "/today")
    return client.post(f"/accounts/{account_id}", data={"csrf_token": token, **form})


def set_by_hand(client: FlaskClient, account_id: int, band: str = "healthy"):
    until = (AS_OF + timedelta(days=60)).isoformat()
    return send(client, account_id, action="set", band=band, reason=REASON, expires_on=until)


def card(client: FlaskClient, account_id: int, title: str) -> str:
    found = re.search(
        rf'<section[^>]*aria-labelledby="{title}-title".*?</section>',
        client.get(f"/accounts/{account_id}").text,
        re.DOTALL,
    )
    assert found
    return found[0]


def test_what_is_set_stands_beside_the_score_on_every_page(client: FlaskClient, needy: tuple[int, str]) -> None:
    account_id, name = needy
    page = client.get(f"/accounts?search={name}").text
    score = re.search(r'<td class="health">\s*<span class="pill pill-\w+">.*?</td>', page, re.DOTALL)
    assert score
    assert "by hand" not in page
    answer = set_by_hand(client, account_id)
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/accounts/{account_id}#by-hand")
    for path in (f"/accounts?search={name}", f"/accounts/{account_id}", "/today"):
        assert "set by hand: Healthy" in client.get(path).text, path
    listed = client.get(f"/accounts?search={name}").text
    assert re.sub(r"\s*</td>", "", score[0]).strip() in listed  # the calculated one is what it was
    [row] = csv.DictReader(io.StringIO(client.get(f"/accounts.csv?search={name}").text))
    assert (row["override_band"], row["override_score"]) == ("healthy", "85.0")
    assert row["health"]


def test_the_card_says_who_why_and_until_when(client: FlaskClient, needy: tuple[int, str]) -> None:
    account_id, _name = needy
    assert "the calculated one stands alone" in card(client, account_id, "by-hand")
    set_by_hand(client, account_id)
    shown = card(client, account_id, "by-hand")
    assert "Healthy (85)" in shown
    assert "They look at &lt;another&gt; vendor." in shown
    assert "was calculated" in shown
    assert "Mika Sato" in shown


def test_it_is_ended_and_that_is_undone_by_buttons(client: FlaskClient, needy: tuple[int, str]) -> None:
    account_id, _name = needy
    set_by_hand(client, account_id)
    assert send(client, account_id, action="end").status_code == 303
    assert "set by hand" not in client.get("/today").text
    assert "1 before" in card(client, account_id, "by-hand")
    assert send(client, account_id, action="undo").status_code == 303
    assert "set by hand: Healthy" in client.get("/today").text


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"action": "set", "band": "green", "reason": "x", "expires_on": "2027-01-01"}, 400),
        ({"action": "set", "band": "watch", "reason": "x", "expires_on": "soon"}, 400),
        ({"action": "end"}, 409),
        ({"action": "undo"}, 409),
        ({"action": "paint"}, 400),
        ({"action": "pulse", "value": "9"}, 400),
        ({"action": "pulse", "value": "many"}, 400),
    ],
)
def test_what_does_not_fit_shows_the_page_with_what_was_wrong(
    client: FlaskClient, needy: tuple[int, str], form: dict[str, str], status: int
) -> None:
    answer = send(client, needy[0], **form)
    assert answer.status_code == status
    assert 'role="alert"' in answer.text


def test_sales_see_the_band_and_neither_the_reason_nor_a_form(
    app: Application, client: FlaskClient, needy: tuple[int, str]
) -> None:
    account_id, _name = needy
    set_by_hand(client, account_id)
    send(client, account_id, action="pulse", value="2", note="Their champion is gone.")
    other = app.test_client()
    assert log_in(other, SALES, password=PASSWORD).status_code == 303
    page = other.get(f"/accounts/{account_id}").text
    assert "set by hand: Healthy" in page
    assert "another" not in page
    assert "champion is gone" not in page
    assert 'value="set"' not in page
    assert set_by_hand(other, account_id).status_code == 403


def test_a_pulse_is_shown_with_those_before(client: FlaskClient, needy: tuple[int, str]) -> None:
    account_id, _name = needy
    assert "Nobody has given a pulse yet." in card(client, account_id, "pulse")
    for value, note in (("1", "Their champion is gone."), ("2", ""), ("3", ""), ("5", "All is well.")):
        assert send(client, account_id, action="pulse", value=value, note=note).status_code == 303
    shown = card(client, account_id, "pulse")
    assert shown.index("5, very good") < shown.index("3, so-so") < shown.index("1 before") < shown.index("1, very bad")
    assert "Their champion is gone." in shown


def test_the_model_page_says_that_it_cannot_be_judged_yet(client: FlaskClient, needy: tuple[int, str]) -> None:
    assert "What people set by hand" not in client.get("/model").text
    set_by_hand(client, needy[0])
    page = client.get("/model").text
    assert "Not enough data: it takes overrides of 20 accounts" in page
    assert "for 1 the year is not over" in page
