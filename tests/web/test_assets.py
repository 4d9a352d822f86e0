import hashlib
import re

import pytest
from flask.testing import FlaskClient

from app.web.assets import FOLDER

pytestmark = pytest.mark.parametrize("company_url", ["sqlite"], indirect=True)

VENDOR = FOLDER / "static" / "vendor"
PAGES = ("/login", "/accounts", "/accounts/1", "/retention", "/no-such-page")
WIRE_LIMIT_BYTES = 200_000


def listed() -> dict[str, str]:
    rows = re.findall(r"^\| (\S+) \|.*\| ([0-9a-f]{64}) \|$", (VENDOR / "README.md").read_text(), re.MULTILINE)
    return dict(rows)


@pytest.mark.usefixtures("company_url")
def test_every_file_of_others_is_listed_with_its_digest() -> None:
    found = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in VENDOR.iterdir()
        if path.name != "README.md"
    }
    assert found == listed()


@pytest.mark.parametrize("path", PAGES)
def test_no_page_holds_a_script_or_a_style_of_its_own(client: FlaskClient, path: str) -> None:
    page = client.get(path).text
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", page)
    assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", page))


@pytest.mark.parametrize("path", PAGES)
def test_every_answer_carries_the_policy_that_forbids_them(client: FlaskClient, path: str) -> None:
    policy = client.get(path).headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy


def kept(client: FlaskClient, address: str) -> str:
    with client.get(address) as answer:
        return answer.headers["Cache-Control"]


def size(client: FlaskClient, address: str) -> int:
    with client.get(address) as answer:
        return len(answer.data)


def test_a_file_asked_for_by_its_digest_may_be_kept_and_otherwise_not(visitor: FlaskClient) -> None:
    named = re.findall(r'(?:href|src)="(/static/[^"]+)"', visitor.get("/login").text)
    assert len(named) == 4
    for address in named:
        assert kept(visitor, address) == "public, max-age=31536000, immutable"
        assert kept(visitor, address.partition("?")[0]) == "no-cache"
        assert kept(visitor, address.partition("?")[0] + "?v=0") == "no-cache"


@pytest.mark.parametrize("path", ["/accounts", "/accounts/1"])
def test_a_page_with_all_it_loads_but_charts_is_light(client: FlaskClient, path: str) -> None:
    files = re.findall(r'(?:href|src)="(/static/[^"]+)"', client.get(path).text)
    loaded = [path, *(address for address in files if "uplot" not in address and "charts" not in address)]
    assert sum(size(client, address) for address in loaded) < WIRE_LIMIT_BYTES


def test_figures_are_never_kept_by_a_browser(client: FlaskClient) -> None:
    assert client.get("/accounts").headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ["/static/../blueprint.py", "/static/..%2fblueprint.py", "/static//etc/passwd"])
def test_nothing_outside_the_folder_is_served(visitor: FlaskClient, path: str) -> None:
    assert visitor.get(path, follow_redirects=True).status_code == 404
