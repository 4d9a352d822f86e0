"""The fake is not merely what we believe: hubspot-api-client, which HubSpot makes of its own API, works with it."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from integrations.crm.client import Push
from integrations.crm.hubspot.signature import sign
from tests.integrations.crm.hubspot.fake import TOKEN, FakeHubspot, serving

CLIENT = "hubspot-api-client==12.0.0"
pytestmark = pytest.mark.slow  # it is installed first
SCRIPT = Path(__file__).with_name("outside_client.py")


class Passing(FakeHubspot):
    """Time passes for whoever cannot move the clock: a little with each request."""

    def answer(self, method: str, url: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        self.wait(0.15)
        return super().answer(method, url, headers, body)


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment of its own with the client in it."""
    folder = tmp_path_factory.mktemp("outside")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    install = [folder / "bin/pip", "install", "--quiet", "--disable-pip-version-check", CLIENT]
    if subprocess.run(install, check=False, capture_output=True, timeout=240).returncode:
        pytest.skip(f"{CLIENT} cannot be installed here")
    return folder / "bin/python"


@pytest.fixture(scope="module")
def got(python: Path) -> dict[str, Any]:
    fake = Passing()
    fake.records.is_at_once = True  # `answer` moves the clock
    at = datetime(2026, 3, 1, tzinfo=UTC).isoformat()
    owner = {"id": "100", "email": "kim@example.com", "createdAt": at, "updatedAt": at, "archived": False}
    fake.owners.append(owner | {"type": "PERSON"})
    with serving(fake) as url:
        done = subprocess.run([python, SCRIPT, url, TOKEN], check=False, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr.decode()
    return dict(json.loads(done.stdout))


def test_it_creates_deals_and_finds_them_by_pages(got: dict[str, Any]) -> None:
    one, two, three, four, five = got["created"]
    assert got["pages"] == [[one, two], [three, four], [five]]
    assert got["line amount"] == "0.870"


def test_it_meets_the_limits_of_a_search(got: dict[str, Any]) -> None:
    assert got["hurried"] == [200, 429]
    assert (got["too many"], got["two sorts"], got["page too long"], got["body too long"]) == (400, 400, 400, 400)


def test_it_reads_associations_and_batches_and_is_told_what_is_missing(got: dict[str, Any]) -> None:
    one, two, three, _, _ = got["created"]
    assert set(got["lines"]) == {one}
    assert len(got["lines"][one]) == 1
    assert got["lines missing"] == 1  # the second has none
    assert got["batch"] == {three: "false"}
    assert two not in got["lines"]


def test_it_merges_and_archives(got: dict[str, Any]) -> None:
    one, two, three, four, five = got["created"]
    assert got["old answers as"] == got["merged"]
    assert got["merged ids"]["hs_merged_object_ids"] == f"{one};{two}"
    assert got["there"] == [three, four, got["merged"]]
    assert set(got["archived"]) == {one, two, five}
    assert (got["missing"], got["wrong token"]) == (404, 401)


def test_it_lists_owners_and_stages(got: dict[str, Any]) -> None:
    assert got["owners"] == [["100", "kim@example.com"]]
    assert got["stages"] == {"appointmentscheduled": "false", "closedwon": "true", "closedlost": "true"}


def test_it_signs_a_push_as_we_do(got: dict[str, Any]) -> None:
    push = Push("POST", "https://tenure.example.com/push?a=1", {}, b'[{"objectId": 7}]')
    assert sign(push, secret="client-secret", timestamp="1773144000000") == got["signature"]
