from datetime import date

import pytest
from sqlalchemy import Engine

from app.db import reading, transaction
from app.domain.contracts import LineState
from app.queries.contracts import load_contracts
from app.services.changes import recording
from tests.web.company import NOW, Company

START = date(2026, 1, 1)


@pytest.fixture
def account_id(engine: Engine) -> int:
    with transaction(engine) as session, recording(session, "test", clock=lambda: NOW) as change:
        company = Company(session, change)
        account_id = company.account("Ana", segment=None, channel="Web", on=START)
        company.contract(account_id, plan="Team", starts_on=START, months=12)
        company.contract(account_id, plan="Business", starts_on=date(2027, 1, 1), months=12, type_="renewal")
        return account_id


@pytest.mark.parametrize(
    ("as_of", "states"),
    [
        (date(2026, 6, 1), [LineState.NOT_STARTED, LineState.LIVE]),
        (date(2027, 1, 1), [LineState.LIVE, LineState.ENDED]),
        (date(2028, 1, 15), [LineState.IN_GRACE, LineState.ENDED]),
        (date(2028, 3, 1), [LineState.ENDED, LineState.ENDED]),
    ],
)
def test_contracts_come_newest_first_in_the_state_of_the_day(
    engine: Engine, account_id: int, as_of: date, states: list[LineState]
) -> None:
    with reading(engine) as session:
        contracts = load_contracts(session, account_id, known_at=NOW, as_of=as_of, grace_days=30)
    assert [contract.deal_name for contract in contracts] == ["Business 2027", "Team 2026"]
    assert [contract.state for contract in contracts] == states


def test_a_line_carries_what_was_agreed_and_its_first_unpaid_day(engine: Engine, account_id: int) -> None:
    with reading(engine) as session:
        contracts = load_contracts(session, account_id, known_at=NOW, as_of=START, grace_days=30)
    (line,) = contracts[1].lines
    assert (line.product, line.quantity, line.arr_minor, line.currency) == ("Team plan", 20, 480_000, "USD")
    assert line.stops_on == date(2027, 1, 1)
