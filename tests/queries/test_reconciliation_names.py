"""Whose a charge is: equal ids match, all that only looks alike is a guess, and what fits two accounts fits none."""

from pathlib import Path

import pytest
from sqlalchemy import Engine

from app.db import reading, transaction
from app.models.accounts import ExternalId
from app.queries.reconciliation import list_differences
from app.services.changes import recording, utc_now
from app.services.versions import record_versions
from integrations.files.mapping import MappingError, load_mapping
from jobs.import_files import import_files
from jobs.import_run import Options
from jobs.reconcile import Asked, reconcile_billing
from tests.billed_company import ACCOUNTS, AS_OF, Books, charge, write


def checks(engine: Engine, run_id: int) -> dict[str, list[str]]:
    with reading(engine) as session:
        found = list_differences(session, run_id, limit=500).differences
    return {each.account_name or each.external_id or "": [part.check for part in each.parts] for each in found}


def test_each_way_in_which_an_id_can_look_like_an_accounts(engine: Engine, tmp_path: Path) -> None:
    """By another system's id, by spelling, by the name; a name of two accounts, and one too short, are nobody's."""
    books = Books()
    customers = {1: ("cus_1", ""), 120: (" c 120", ""), 3: ("x3", "COMPANY 3"), 4: ("x4", "Twin"), 5: ("x5", "5")}
    for number, (customer, name) in customers.items():
        books.charges[number] = [charge(number, customer=customer, name=name)]
    files = books.record(engine, tmp_path)
    twins = [{"id": f"C-{n}", "name": "Twin" if n in {4, 6} else f"Company {n}"} for n in ACCOUNTS]
    write(tmp_path / "accounts.csv", twins[0], twins)
    import_files(engine, load_mapping(tmp_path / "ledger.toml"), paths=[tmp_path / "accounts.csv"], options=Options())
    with transaction(engine) as session, recording(session, "test") as change:
        account_id = session.query(ExternalId.account_id).filter_by(external_id="C-1").scalar()
        row = {"system": "stripe", "kind": "billing", "external_id": "cus_1", "account_id": account_id}
        rows = [row | {"available_at": utc_now()}]
        record_versions(session, change, table=ExternalId, key=["system", "kind", "external_id"], rows=rows)
    assert checks(engine, reconcile_billing(engine, files, asked=Asked(AS_OF))) == {
        "Company 1": ["other_id"],
        "cus_1": ["other_id"],
        "Company 3": ["other_id"],
        "x3": ["other_id"],
        "Twin": ["nothing_billed"],
        "x4": ["nothing_sold"],
        "Company 5": ["nothing_billed"],
        "x5": ["nothing_sold"],
    } | {"Company 120": ["other_id"], "c 120": ["other_id"]}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_an_export_of_charges_is_not_imported(engine: Engine, tmp_path: Path) -> None:
    files = Books().record(engine, tmp_path)
    with pytest.raises(MappingError, match="tenure reconcile"):
        import_files(engine, load_mapping(files.mapping), paths=[files.export], options=Options())
