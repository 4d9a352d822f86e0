"""What a published definition says is never changed: whoever must change it makes a new version."""

import hashlib
from dataclasses import asdict

import pytest

from app.domain.definitions import DEFINITIONS, UnknownDefinition, find_definition

PUBLISHED = {
    "bookings@1": "959e6b15569e51a3",
    "arr@1": "ed49414fd4027da6",
    "churn@1": "a3102ae1e826dca7",
    "churn@2": "d346f47beb7d1ac1",
    "account_retention@1": "8469fb047ec3b91d",
    "account_retention@2": "8cee954e21f80228",
    "retention_km@1": "946946a8ff6598c7",
    "health@1": "b395b0239dc03385",
    "health@2": "d4a21ebef382d391",
    "health@3": "fc03eef9fa3b33a1",
    "health_change@1": "9867a87fa8319fb4",
    "ltv_residual@1": "34e9b7622d425e17",
    "ltv_expansion@1": "4ef10ad3fb7bc32d",
    "ltv_total@1": "8a0c2b46d639de58",
    "ltv_formula@1": "9fa3d42654a42003",
    "ltv_new@1": "ab91ced06a742e28",
    "ltv_historical@1": "ef843663b4d74dda",
    "ltv_to_cac@1": "f837d9658b4f6dbd",
    "cac_payback@1": "010f02757b95a0d3",
    "reconciliation@1": "028b25e992d044ef",
    "movements@1": "4d60f0d4afa6a59f",
    "nrr@1": "341f7b198adbd3d7",
    "nrr_with_reactivation@1": "b4f862d3815f3359",
    "nrr_aggregate@1": "34ff6ad630d69cfa",
    "grr@1": "a9719dda81ff4608",
    "grr_aggregate@1": "b4af9ef26fc102bd",
    "logo_retention@1": "6344fde77858bdee",
    "movements_net@1": "94dd735ee0a1556f",
    "renewal_rate@1": "00e68dcbbef5136d",
    "quick_ratio@1": "ce943f75c8b876c5",
    "carr@1": "417a96978ddc31b5",
    "annual_churn@1": "ae4ba9cdc2dec6ce",
    "closed_period@1": "96517cc64de9a23c",
    "restatement@1": "2ecd4a2ed5dbbeaa",
}


def digest(name: str) -> str:
    found = next(each for each in DEFINITIONS if each.id == name)
    return hashlib.sha256(repr(sorted(asdict(found).items())).encode()).hexdigest()[:16]


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_definition_still_says_what_it_said(name: str) -> None:
    assert digest(name) == PUBLISHED[name]


def test_every_definition_is_published_under_its_own_version() -> None:
    names = [each.id for each in DEFINITIONS]
    assert len(names) == len(set(names))
    assert set(names) == set(PUBLISHED)
    for each in DEFINITIONS:
        name, _, version = each.id.partition("@")
        assert name
        assert version.isdecimal()


def test_a_definition_is_found_by_its_version_and_an_unknown_one_says_which_there_are() -> None:
    assert find_definition("churn@1").id == "churn@1"
    with pytest.raises(UnknownDefinition, match="churn@1, churn@2"):
        find_definition("churn@9")
    with pytest.raises(UnknownDefinition, match="arr@1"):
        find_definition("mrr")
