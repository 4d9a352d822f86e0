"""Onboarding on the pages: steps ticked and taken back on the account, templates written in the settings."""

import re
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from app.db import reading
from app.http import Application
from app.queries.onboarding_templates import load_templates
from tests.web.company import EMAIL, PASSWORD, SPECIAL
from tests.web.conftest import log_in
from tests.web.own_company import client_of_role, copy_app, post

pytestmark = pytest.mark.parametrize("company_url", ["sqlite"], indirect=True)


@pytest.fixture
def app(company_url: str, tmp_path: Path) -> Application:
    return copy_app(company_url, tmp_path)


@pytest.fixture
def client(app: Application) -> FlaskClient:
    client = app.test_client()
    assert log_in(client, EMAIL, password=PASSWORD).status_code == 303
    return client


def steps_of(client: FlaskClient) -> tuple[str, list[tuple[str, str]]]:
    """The address of the first account, and its buttons: the step and what pressing does."""
    path = re.findall(r'href="(/accounts/\d+)"', client.get(f"/accounts?status=all&search={SPECIAL[0]}").text)[0]
    return path, re.findall(r'action="(/onboarding/steps/\d+)".*?value="(done|undo)"', client.get(path).text)


def test_a_step_is_ticked_on_the_page_of_its_account_and_taken_back(client: FlaskClient) -> None:
    path, buttons = steps_of(client)
    assert [action for _, action in buttons] == ["undo", "undo", "done", "done"]
    answer = post(client, buttons[2][0], action="done")
    assert (answer.status_code, answer.location) == (303, f"{path}#onboarding")
    _, after = steps_of(client)
    assert [action for _, action in after] == ["undo", "undo", "undo", "done"]
    assert "3 of 4 steps done" in client.get(path).text
    assert post(client, buttons[2][0], action="done").status_code == 409
    assert post(client, after[2][0], action="undo").status_code == 303
    assert [action for _, action in steps_of(client)[1]] == ["undo", "undo", "done", "done"]
    assert post(client, "/onboarding/steps/9999", action="done").status_code == 404


def test_sales_sees_the_plan_and_ticks_nothing(app: Application, client: FlaskClient) -> None:
    _, buttons = steps_of(client)
    sales = client_of_role(app, "sales")
    assert steps_of(sales)[1] == []
    assert post(sales, buttons[2][0], action="done").status_code == 403
    assert sales.get("/settings/onboarding").status_code == 403


def test_a_template_ships_as_a_start_and_is_used_once_it_is_saved(app: Application, client: FlaskClient) -> None:
    page = client.get("/settings/onboarding").text
    shipped = re.search(r'<textarea id="steps"[^>]*>([^<]+)</textarea>', page)
    assert shipped
    assert "No template is in use" in page
    answer = post(client, "/settings/onboarding", action="write", name="Ours", family="Platform", steps=shipped[1])
    assert answer.status_code == 303
    with reading(app.engine) as session:
        [template] = load_templates(session)
    assert (template.name, template.product_family, template.segment) == ("Ours", "Platform", None)
    assert [step.due_days for step in template.steps] == [7, 21, 35, 60, 90]
    assert "90 days after the start" in client.get("/settings/onboarding").text
    form = {"name": "Ours", "family": "Platform"}
    assert post(client, "/settings/onboarding", action="end", **form).status_code == 303
    assert post(client, "/settings/onboarding", action="end", **form).status_code == 409


@pytest.mark.parametrize("steps", ["", "Kick-off", "7", "9999 Kick-off", "7 Kick-off\nlater Review"])
def test_steps_that_cannot_be_read_are_shown_again_as_they_were_given(client: FlaskClient, steps: str) -> None:
    answer = post(client, "/settings/onboarding", action="write", name="Ours", steps=steps)
    assert answer.status_code == 400
    assert f">{steps}</textarea>" in answer.text
    assert "No template is in use" in answer.text
