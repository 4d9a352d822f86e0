"""Whose accounts a session sees: in every query, under every name of a table, for each person and day their own."""

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session, aliased

from app.db import Base, reading, transaction
from app.errors import NotFound
from app.models.accounts import Account, AccountVersion, Assignment
from app.models.persons import Person
from app.queries.accounts import AccountQuery, list_accounts, load_account
from app.queries.callers import SignedIn
from app.queries.sight import Sight, limit_sight, load_sight
from app.services.changes import recording
from app.services.settings import record_settings

TODAY = date(2026, 3, 1)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
# The account's manager: from when until when.
ASSIGNED: dict[str, list[tuple[str, date, date | None]]] = {
    "Amber": [("Mika", date(2025, 1, 1), None)],
    "Brisk": [("Mika", date(2025, 1, 1), TODAY), ("Omar", TODAY, None)],  # changes hands today
    "Coral": [("Omar", date(2025, 1, 1), None)],
    "Dawn": [],
}


@pytest.fixture
def ids(engine: Engine) -> dict[str, int]:
    """The ids of accounts and of persons, by name."""
    found = {}
    with transaction(engine) as session, recording(session, "test", clock=lambda: NOON) as change:
        for name, email in (("Mika", "mika@example.com"), ("Omar", "OMAR@example.com"), ("Twin", "omar@Example.com")):
            person = Person(kind="staff", system="crm", external_id=name, name=name, email=email, change_id=change.id)
            session.add(person)
            session.flush()
            found[name] = person.id
        for name, assigned in ASSIGNED.items():
            account = Account(change_id=change.id)
            session.add(account)
            session.flush()
            found[name] = account.id
            versions: list[Base] = [
                AccountVersion(account_id=account.id, name=name, valid_from=date(2025, 1, 1), custom={})
            ]
            versions += [
                Assignment(account_id=account.id, role="csm", person_id=found[csm], valid_from=since, valid_to=until)
                for csm, since, until in assigned
            ]
            for version in versions:
                version.change_id, version.available_at = change.id, NOON  # type: ignore[attr-defined]
            session.add_all(versions)
    return found


def names_seen(engine: Engine, sight: Sight) -> list[str]:
    with reading(engine) as session:
        limit_sight(session, sight)
        return [row.name for row in list_accounts(session, AccountQuery(), today=TODAY).rows]


def user(email: str, role: str = "csm") -> SignedIn:
    return SignedIn(b"", 1, "Somebody", email, role, None, "", NOON)


def set_sight(engine: Engine, value: str) -> None:
    with transaction(engine) as session, recording(session, "test", clock=lambda: NOON) as change:
        record_settings(session, change, values={"csm_sees": value})


def sight_of(engine: Engine, who: SignedIn) -> Sight | None:
    with reading(engine) as session:
        return load_sight(session, who, today=TODAY)


def test_each_sees_their_own_whoever_asked_before(engine: Engine, ids: dict[str, int]) -> None:
    mika, omar = Sight((ids["Mika"],), TODAY), Sight((ids["Omar"],), TODAY)
    nobody, both = Sight((), TODAY), Sight((ids["Mika"], ids["Omar"]), TODAY)
    for _ in range(2):
        assert names_seen(engine, mika) == ["Amber"]
        assert names_seen(engine, omar) == ["Brisk", "Coral"]
        assert names_seen(engine, nobody) == []
        assert names_seen(engine, both) == ["Amber", "Brisk", "Coral"]


def test_an_account_belongs_to_whoever_looks_after_it_on_the_day(engine: Engine, ids: dict[str, int]) -> None:
    assert names_seen(engine, Sight((ids["Mika"],), TODAY - timedelta(days=1))) == ["Amber", "Brisk"]
    assert names_seen(engine, Sight((ids["Mika"],), TODAY)) == ["Amber"]


def test_what_is_not_seen_is_as_if_it_were_not_there(engine: Engine, ids: dict[str, int]) -> None:
    with reading(engine) as session:
        limit_sight(session, Sight((ids["Mika"],), TODAY))
        assert load_account(session, ids["Amber"], today=TODAY).row.name == "Amber"
        with pytest.raises(NotFound):
            load_account(session, ids["Coral"], today=TODAY)
        assert session.get(Account, ids["Coral"]) is None
        assert session.get(Account, ids["Amber"]) is not None


def count_all(session: Session) -> list[int | None]:
    other, below = aliased(AccountVersion), select(AccountVersion.account_id).subquery()
    return [
        session.scalar(select(func.count()).select_from(AccountVersion)),
        session.scalar(select(func.count(Account.id))),
        session.scalar(select(func.count(other.id))),
        session.scalar(select(func.count()).select_from(below)),
        len(session.scalars(select(AccountVersion)).all()),
        len(session.scalars(select(AccountVersion).union_all(select(AccountVersion))).all()) // 2,
    ]


def test_no_way_of_asking_sees_more(engine: Engine, ids: dict[str, int]) -> None:
    with reading(engine) as session:
        assert count_all(session) == [4] * 6
    with reading(engine) as session:
        limit_sight(session, Sight((ids["Omar"],), TODAY))
        assert count_all(session) == [2] * 6


def test_a_row_for_update_is_limited_too(engine: Engine, ids: dict[str, int]) -> None:
    with transaction(engine) as session:
        limit_sight(session, Sight((ids["Omar"],), TODAY))
        statement = select(AccountVersion).where(AccountVersion.account_id == ids["Amber"]).with_for_update()
        assert session.scalar(statement) is None


def test_the_limit_is_of_one_session(engine: Engine, ids: dict[str, int]) -> None:
    with reading(engine) as limited, reading(engine) as other:
        limit_sight(limited, Sight((), TODAY))
        assert other.scalar(select(func.count()).select_from(AccountVersion)) == 4
        assert limited.scalar(select(func.count()).select_from(AccountVersion)) == 0


def test_a_manager_is_limited_by_the_setting_and_known_by_their_mail(engine: Engine, ids: dict[str, int]) -> None:
    assert sight_of(engine, user("mika@example.com")) is None
    set_sight(engine, "book")
    assert sight_of(engine, user("mika@example.com")) == Sight((ids["Mika"],), TODAY)
    # Two people of the CRM with one address: whoever is assigned is meant. Twin looks after nobody.
    assert sight_of(engine, user("omar@example.com")) == Sight((ids["Omar"],), TODAY)
    assert sight_of(engine, user("nobody@example.com")) == Sight((), TODAY)
    for role in ("admin", "sales", "finance"):
        assert sight_of(engine, user("mika@example.com", role)) is None
    set_sight(engine, "all")
    assert sight_of(engine, user("mika@example.com")) is None
