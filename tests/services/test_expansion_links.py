"""Signed links: one thing, for one opportunity, for two weeks, and nothing else."""

from datetime import UTC, datetime, timedelta

import pytest

from app.errors import Invalid
from app.services.expansion_links import GOOD_FOR, Linked, LinkExpired, read_link, sign_link

KEY = "a secret of the tests, longer than 32 characters"
NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)
LINKED = Linked(7, "accept", "msg_1", NOW + GOOD_FOR)


def test_a_link_says_what_was_signed() -> None:
    assert read_link(sign_link(LINKED, secret_key=KEY), secret_keys=[KEY], now=NOW) == LINKED


def test_a_link_is_good_for_fourteen_days_to_the_second() -> None:
    token = sign_link(LINKED, secret_key=KEY)
    last = NOW + timedelta(days=14)
    assert read_link(token, secret_keys=[KEY], now=last - timedelta(seconds=1)) == LINKED
    with pytest.raises(LinkExpired):
        read_link(token, secret_keys=[KEY], now=last)


def test_a_change_of_any_character_is_noticed() -> None:
    token = sign_link(LINKED, secret_key=KEY)
    for place, old in enumerate(token):
        for new in "A9":
            # The last character of the signature carries two bits that base64 does not use.
            if new != old and place < len(token) - 1:
                with pytest.raises(Invalid, match="damaged"):
                    read_link(token[:place] + new + token[place + 1 :], secret_keys=[KEY], now=NOW)


@pytest.mark.parametrize("token", ["", ".", "a.b", "€", "x" * 10_000, sign_link(LINKED, secret_key=KEY)[:-5]])
def test_what_is_no_link_is_refused(token: str) -> None:
    with pytest.raises(Invalid, match="damaged"):
        read_link(token, secret_keys=[KEY], now=NOW)


def test_another_installation_signs_otherwise() -> None:
    with pytest.raises(Invalid, match="damaged"):
        read_link(sign_link(LINKED, secret_key=KEY), secret_keys=[KEY + "!"], now=NOW)


def test_a_link_outlives_a_change_of_the_key_while_the_old_one_is_kept() -> None:
    token = sign_link(LINKED, secret_key=KEY)
    assert read_link(token, secret_keys=[KEY, "the new secret, as long as the old one was"], now=NOW) == LINKED


def test_links_differ_by_all_that_they_are_bound_to() -> None:
    others = [
        Linked(8, "accept", "msg_1", LINKED.expires_at),
        Linked(7, "reject", "msg_1", LINKED.expires_at),
        Linked(7, "accept", "msg_2", LINKED.expires_at),
        Linked(7, "accept", "msg_1", LINKED.expires_at + timedelta(days=1)),
    ]
    assert len({sign_link(each, secret_key=KEY) for each in [LINKED, *others]}) == 5
