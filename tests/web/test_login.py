import pytest
from flask.testing import FlaskClient

from tests.web.company import EMAIL, PASSWORD
from tests.web.conftest import csrf_token, log_in


def test_a_wrong_password_and_an_unknown_address_get_the_same_answer(visitor: FlaskClient) -> None:
    wrong = log_in(visitor, EMAIL, password="not the right words")
    unknown = log_in(visitor, "nobody@example.com", password="not the right words")
    assert wrong.status_code == unknown.status_code == 401
    assert wrong.text.replace(EMAIL, "X") == unknown.text.replace("nobody@example.com", "X")
    assert "Check both; an administrator can set a new one." in wrong.text


def test_the_address_stays_in_the_form_and_the_password_does_not(visitor: FlaskClient) -> None:
    answer = log_in(visitor, 'mika"><b>@example.com', password="hunter2hunter2")
    assert "mika&#34;&gt;&lt;b&gt;@example.com" in answer.text
    assert "hunter2" not in answer.text


def test_whoever_is_not_logged_in_comes_back_to_where_they_wanted_to_go(visitor: FlaskClient) -> None:
    asked = visitor.get("/accounts?segment=Small")
    assert (asked.status_code, asked.location) == (302, "/login?next=/accounts?segment%3DSmall")
    answer = log_in(visitor, EMAIL, password=PASSWORD, next_="/accounts?segment=Small")
    assert (answer.status_code, answer.location) == (303, "/accounts?segment=Small")


def test_a_part_of_a_page_asked_for_without_a_session_sends_the_whole_page_to_the_log_in(visitor: FlaskClient) -> None:
    answer = visitor.get("/accounts?search=x", headers={"HX-Request": "true"})
    assert answer.status_code == 401
    assert answer.headers["HX-Redirect"] == "/login?next=/accounts?search%3Dx"


@pytest.mark.parametrize("elsewhere", ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:x", ""])
def test_the_way_back_never_leads_to_another_site(visitor: FlaskClient, elsewhere: str) -> None:
    assert log_in(visitor, EMAIL, password=PASSWORD, next_=elsewhere).location == "/"


def test_logging_out_ends_the_session_on_the_server(client: FlaskClient) -> None:
    kept = client.get_cookie("tenure-session")
    assert kept is not None
    assert client.post("/logout", data={"csrf_token": csrf_token(client, "/accounts")}).location == "/login"
    client.set_cookie("tenure-session", kept.value)
    assert client.get("/accounts").status_code == 302


def test_a_form_without_its_token_is_refused_with_a_page_that_says_what_to_do(client: FlaskClient) -> None:
    answer = client.post("/logout")
    assert answer.status_code == 403
    assert "Load the page again" in answer.text
    assert client.get("/accounts").status_code == 200


def test_whoever_is_logged_in_is_not_asked_again(client: FlaskClient) -> None:
    assert client.get("/login").location == "/"


def test_a_host_that_is_not_ours_gets_no_page(visitor: FlaskClient) -> None:
    answer = visitor.get("/accounts", headers={"Host": "evil.example"})
    assert (answer.status_code, answer.mimetype) == (400, "text/plain")
    assert "href" not in answer.text
