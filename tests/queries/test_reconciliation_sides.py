"""The ledger's side of a reconciliation is the ledger: account by account what its movements sum to, on any day."""

from collections import defaultdict
from datetime import date, timedelta
from pathlib import Path

from sqlalchemy import Engine

from app.db import reading, transaction
from app.models.contracts import ContractLineVersion
from app.models.ledger import ContractPause
from app.queries.ids import find_accounts
from app.queries.moments import load_moment
from app.queries.movements import load_arr_by_account
from app.queries.reconciliation_names import IdsOf
from app.queries.reconciliation_sides import Export, compare_billing
from app.services.changes import recording, utc_now
from app.services.merges import merge_accounts
from app.services.sources import Source
from app.services.versions import record_versions
from integrations.files.charges import ChargeBook
from tests.billed_company import Books, deal

DAYS = [date(2025, 6, 30), date(2025, 7, 1), date(2026, 3, 31), date(2026, 5, 31), date(2026, 6, 30)]
DAYS += [date(2026, 7, 15), date(2026, 7, 31), date(2026, 9, 30)]  # in grace, past it, and long past it


def awkward() -> Books:
    """A rebate as a line, another currency, a sale of no recurrence, a renewal, and a line to come."""
    books = Books()
    books.deals[1].append(deal(1, key="2", amount="-84"))
    books.deals[2] = [deal(2, currency="JPY", amount="1200000")]
    books.deals[3].append(deal(3, key="2", kind="one_time", product="setup", amount="500"))
    books.deals[4].append(deal(4, deal="D-4b", starts="2026-07-10", ends="2027-07-09", amount="1500"))
    books.deals[5].append(deal(5, deal="D-5b", product="plus", starts="2026-04-01", ends="2026-09-15", amount="333"))
    return books


def pause_and_merge(engine: Engine) -> None:
    """Account 6 pauses in March and April 2026; account 7 lives on in account 8."""
    source = Source("our_crm", utc_now())
    with transaction(engine) as session, recording(session, "test") as change:
        account_id = find_accounts(session, "our_crm", kind="crm", ids=["C-6"])["C-6"]
        line_id = session.query(ContractLineVersion.contract_line_id).filter_by(account_id=account_id).scalar()
        pause = {"system": "our_crm", "external_id": "P-6", "account_id": account_id, "contract_line_id": line_id}
        rows = [pause | {"pauses_on": date(2026, 3, 1), "resumes_on": date(2026, 5, 1), "available_at": utc_now()}]
        record_versions(session, change, table=ContractPause, key=["system", "external_id"], rows=rows)
        merge_accounts(session, change, source=source, merged=[("C-7", "C-8")])


def test_the_ledgers_side_is_what_the_movements_sum_to(engine: Engine, tmp_path: Path) -> None:
    awkward().record(engine, tmp_path)
    pause_and_merge(engine)
    with reading(engine) as session, ChargeBook() as book:
        book.close_reading()
        for day in DAYS:
            known = load_moment(session, as_of=day, known_at=None, now=utc_now() + timedelta(days=1))
            export = Export(book, IdsOf("our_crm", "crm"))
            found: dict[tuple[int, str], int] = defaultdict(int)
            for each in compare_billing(session, export, known=known, window_days=31):
                found[each.account or 0, each.currency] += each.ledger_minor
            moved = load_arr_by_account(session, known_at=known.known_at, as_of=day, through_merges=True)
            assert {key: minor for key, minor in found.items() if minor} == moved, day
            assert bool(moved) == (DAYS[0] < day <= date(2026, 9, 30))
