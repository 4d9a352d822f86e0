"""The fake is not merely what we believe: simple-salesforce, which others use with Salesforce, works with it."""

import json
import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.integrations.crm.salesforce.org import Org
from tests.integrations.crm.salesforce.server import Server, serving

CLIENT = "simple-salesforce==1.12.10"
pytestmark = pytest.mark.slow  # it is installed first
SCRIPT = Path(__file__).with_name("outside_client.py")


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
def got(python: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the client gets of 45 deals with a line each, of which one is deleted, at 20 a page."""
    now = datetime.now(UTC).replace(microsecond=0)  # the client dates its assertion by the machine's clock
    server = Server(Org(clock=now), rows_a_page=20)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    server.clients["outside"] = key.public_key()
    account, product = server.org.create("Account", Name="青葉商事"), server.org.create("Product2", Name="Core")
    fair = server.org.create("Campaign", Name="Fair")
    told = {"AccountId": account, "StageName": "Closed Won", "CloseDate": date(2026, 3, 10), "CampaignId": fair}
    for number in range(45):
        deal = server.org.create("Opportunity", Name=f"Deal {number}", **told)
        line = {"Product2Id": product, "Quantity": Decimal(2), "UnitPrice": Decimal("0.29")}
        server.org.create("OpportunityLineItem", OpportunityId=deal, **line)
    server.org.delete("Opportunity", deal)
    file = tmp_path_factory.mktemp("key") / "key.pem"
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(key.private_bytes(*form))
    with serving(server) as url:
        asked = [python, SCRIPT, url, "outside", "tenure@example.com", file, account]
        done = subprocess.run(asked, check=False, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr.decode()
    return dict(json.loads(done.stdout))


def test_it_signs_in_by_a_key_and_reads_every_page(got: dict[str, Any]) -> None:
    deals = got["deals"]
    assert [deal["Name"] for deal in deals] == [f"Deal {n}" for n in range(44)]
    assert {deal["Campaign"]["Name"] for deal in deals} == {"Fair"}
    assert {(deal["Amount"], deal["IsWon"]) for deal in deals} == {(0.58, True)}
    lines = [deal["OpportunityLineItems"] for deal in deals]
    assert {(each["totalSize"], each["records"][0]["TotalPrice"]) for each in lines} == {(1, 0.58)}


def test_it_tells_the_deleted_from_the_living(got: dict[str, Any]) -> None:
    assert got["deleted too"] - got["living"] == 1


def test_it_creates_changes_upserts_and_deletes(got: dict[str, Any]) -> None:
    created = got["created"]
    assert (created["Name"], created["IsClosed"], created["CloseDate"]) == ("By another", False, "2026-06-01")
    assert (got["updated"], got["upserted"], got["removed"]) == (204, [201, 200], 204)
    assert [task["Subject"] for task in got["tasks"]] == ["y"]
    assert {"Id", "StageName", "Tenure_Key__c", "CurrencyIsoCode"} <= set(got["fields"])


def test_it_understands_each_refusal(got: dict[str, Any]) -> None:
    malformed, missing = "SalesforceMalformedRequest", "SalesforceResourceNotFound"
    assert got["no such field"] == f"{malformed} INVALID_FIELD"
    assert got["no such object"] == f"{malformed} INVALID_TYPE"
    assert got["no query"] == f"{malformed} MALFORMED_QUERY"
    assert got["both without parentheses"] == f"{malformed} MALFORMED_QUERY"
    assert got["an instant in quotes"] == f"{malformed} INVALID_FIELD"
    assert got["a long text asked for"] == f"{malformed} INVALID_FIELD"
    assert got["not there"] == f"{missing} NOT_FOUND"


def test_it_reads_the_usage_and_renews_its_token(got: dict[str, Any]) -> None:
    assert got["usage"][1] == 15_000
    assert got["after its token was lost"] == 1
