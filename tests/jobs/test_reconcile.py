"""Planted discrepancies in a company of 200 accounts are found, classified, and sum to the difference."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, func, select

from app.db import reading, transaction
from app.domain.money import Money
from app.errors import Invalid
from app.models.ledger import ContractPause
from app.models.reconciliation import Reconciliation, ReconciliationDifference
from app.queries.known import last_recorded_at
from app.queries.reconciliation import Difference, count_changes_since, find_run, list_differences, unexplained_of
from app.services.changes import recording
from app.services.reconciliation import Made, override_difference
from app.services.reconciliation_export import Files
from app.services.versions import record_versions
from jobs.reconcile import Asked, reconcile_billing, reconcile_crm
from tests.billed_company import ACCOUNTS, AS_OF, Books, charge, deal

LATER = datetime(2026, 6, 2, tzinfo=UTC)
ASKED = Asked(AS_OF)


def planted() -> Books:
    """The truth is in TRUTH, by hand."""
    books = Books()
    deals, charges = books.deals, books.charges
    charges[10] = []
    charges[201] = [charge(201)]
    charges[30] *= 2
    charges[40].append(charge(40, id="I-40b", invoice="R-40b"))
    charges[50] = [charge(50, amount="120", discount="30")]
    deals[60] = [deal(60, amount="1728", discount="0.1")]
    deals[70] = [deal(70, amount="1000", currency="EUR")]
    charges[70] = [charge(70, amount="1100", **{"from": "2025-07-01", "to": "2026-06-30"})]
    charges[80] = [charge(80, **{"from": "2026-06-01", "to": "2026-06-30"})]
    deals[90] = [deal(90, starts="2025-05-10", ends="2026-05-09")]
    charges[90] = []
    deals[100].append(deal(100, key="2", product="setup", kind="one_time", amount="500"))
    charges[100].append(charge(100, id="I-100b", amount="500", **{"from": "2025-07-01", "to": "2026-06-30"}))
    charges[110] = [charge(110, customer="c 110", name="")]
    deals[120] = [deal(120, amount="1000")]
    charges[120] = [charge(120, amount="83.33")]
    return books


# account (or the customer nobody knows): currency, ledger, other side, and (reason, check, minor units)
TRUTH: dict[int | str, tuple[str, int, int, list[tuple[str, str, int]]]] = {
    10: ("USD", 132_000, 0, [("missing_in_billing", "nothing_billed", -132_000)]),
    201: ("USD", 0, 361_200, [("missing_in_ledger", "nothing_sold", 361_200)]),
    30: ("USD", 156_000, 312_000, [("duplicate", "repeated_row", 156_000)]),
    40: ("USD", 168_000, 336_000, [("duplicate", "billed_twice", 168_000)]),
    50: ("USD", 180_000, 144_000, [("discount", "billing_discount", -36_000)]),  # 12 x 30 off 12 x 150
    60: ("USD", 172_800, 192_000, [("discount", "ledger_discount", 19_200)]),  # 10 % of 12 x 160
    70: ("EUR", 100_000, 91_667, [("fx", "other_rate", -8_333)]),  # 1,100 / 1.20
    80: ("USD", 216_000, 0, [("timing", "other_day", -216_000)]),
    90: ("USD", 228_000, 0, [("timing", "in_grace", -228_000)]),
    100: ("USD", 240_000, 290_000, [("one_time", "sold_once", 50_000)]),
    110: ("USD", 252_000, 0, [("id_mismatch", "other_id", -252_000)]),
    "c 110": ("USD", 0, 252_000, [("id_mismatch", "other_id", 252_000)]),
    120: ("USD", 100_000, 99_996, [("rounding", "rounding", -4)]),
}
KINDS = {reason for _, _, _, parts in TRUTH.values() for reason, _, _ in parts}


def found_in(engine: Engine, run_id: int) -> list[Difference]:
    with reading(engine) as session:
        return list_differences(session, run_id, limit=1_000).differences


def told(found: list[Difference]) -> dict[int | str, Any]:
    """As TRUTH has it; an account by the number in its name."""
    return {
        int((each.account_name or "").split()[1]) if each.account_name else each.external_id or "": (
            each.ledger.currency,
            each.ledger.minor,
            each.other.minor,
            [(part.reason.value, part.check, part.amount.minor) for part in each.parts],
        )
        for each in found
    }


def test_what_is_planted_is_found_classified_and_sums_to_the_difference(engine: Engine, tmp_path: Path) -> None:
    books = planted()
    files = books.record(engine, tmp_path)
    assert len(TRUTH) - 1 >= 12
    assert len(KINDS) == 9
    run_id = reconcile_billing(engine, files, asked=ASKED)
    found = found_in(engine, run_id)
    assert told(found) == TRUTH
    with reading(engine) as session:
        run = find_run(session, run_id)
        assert unexplained_of(session, month=AS_OF, known_at=LATER_THAN_ALL) == []
    assert (run.compared, run.differing, run.open_differences) == (len(ACCOUNTS) + 2, len(TRUTH), 0)
    assert run.rows == len(ACCOUNTS) + 2
    for total in run.totals:
        assert sum(each.minor for each in total.reasons.values()) == total.difference.minor
        own = [each for each in found if each.ledger.currency == total.ledger.currency]
        assert sum(each.difference.minor for each in own) == total.difference.minor
    usd = next(total for total in run.totals if total.ledger.currency == "USD")
    sold = sum(12 * (100 + n) for n in ACCOUNTS if n not in {60, 70, 120}) + 1_728 + 1_000
    assert usd.ledger.text == f"{sold}.00"


LATER_THAN_ALL = datetime(2100, 1, 1, tzinfo=UTC)


@pytest.mark.one_database
def test_the_evidence_is_the_rows_of_the_export_and_the_lines_of_the_contracts(engine: Engine, tmp_path: Path) -> None:
    books = planted()
    run_id = reconcile_billing(engine, books.record(engine, tmp_path), asked=ASKED)
    parts = {each.account_name: each.parts[0] for each in found_in(engine, run_id)}
    last = books.line_of("I-30")
    assert list(parts["Company 30"].rows) == [last - 1, last]
    assert list(parts["Company 50"].rows) == [books.line_of("I-50")]
    assert [(each.system, each.deal, each.line) for each in parts["Company 10"].lines] == [("our_crm", "D-10", "1")]
    assert parts["Company 10"].theirs_count == 0
    assert list(parts["Company 110"].rows) == [books.line_of("I-110")] == list(parts[None].rows)


def test_a_company_whose_sides_agree_has_no_difference(engine: Engine, tmp_path: Path) -> None:
    run_id = reconcile_billing(engine, Books().record(engine, tmp_path), asked=ASKED)
    with reading(engine) as session:
        run = find_run(session, run_id)
    assert (run.compared, run.agreed, run.differing) == (200, 200, 0)
    assert [total.difference for total in run.totals] == [Money(0, "USD")]
    assert found_in(engine, run_id) == []


def test_what_is_unexplained_is_open_until_somebody_lets_it_stand(engine: Engine, tmp_path: Path) -> None:
    books = Books()
    books.charges[7] = [charge(7, amount="100")]
    books.charges[8] = [charge(8, amount="115")]
    run_id = reconcile_billing(engine, books.record(engine, tmp_path), asked=ASKED)
    found = found_in(engine, run_id)
    assert [each.unexplained.text for each in found] == ["84.00", "84.00"]  # 12 x 7 below, and 12 x 7 above
    assert open_now(engine) == [Money(16_800, "USD")]
    with transaction(engine) as session, recording(session, "test") as change:
        made = Made("user:1", LATER)
        override_difference(session, change, difference_id=found[0].id, reason="agreed by telephone", made=made)
    assert open_now(engine) == [Money(8_400, "USD")]
    with reading(engine) as session:
        assert find_run(session, run_id).open_differences == 1
        [still] = list_differences(session, run_id, is_open_only=True).differences
        assert still.id == found[1].id
        [first, _] = list_differences(session, run_id).differences
    assert first.override is not None
    assert (first.override.reason, first.override.made_by, first.is_open) == ("agreed by telephone", "user:1", False)


def test_what_was_open_before_somebody_let_it_stand_can_still_be_asked(engine: Engine, tmp_path: Path) -> None:
    books = Books()
    books.charges[7] = [charge(7, amount="100")]
    files = books.record(engine, tmp_path)
    run_id = reconcile_billing(engine, files, asked=ASKED)
    with reading(engine) as session:
        before = last_recorded_at(session)
    assert before is not None
    [found] = found_in(engine, run_id)
    with transaction(engine) as session, recording(session, "test") as change:
        override_difference(session, change, difference_id=found.id, reason="so agreed", made=Made("command", LATER))
    with reading(engine) as session:
        assert unexplained_of(session, month=AS_OF, known_at=before) == [Money(8_400, "USD")]
        assert unexplained_of(session, month=AS_OF, known_at=LATER_THAN_ALL) == []
        assert unexplained_of(session, month=AS_OF.replace(month=4, day=1), known_at=LATER_THAN_ALL) == []


def open_now(engine: Engine) -> list[Money]:
    with reading(engine) as session:
        return unexplained_of(session, month=AS_OF, known_at=LATER_THAN_ALL)


def test_a_corrected_export_takes_the_place_of_the_one_before(engine: Engine, tmp_path: Path) -> None:
    books = Books()
    books.charges[7] = [charge(7, amount="100")]
    files = books.record(engine, tmp_path)
    reconcile_billing(engine, files, asked=ASKED)
    assert open_now(engine)
    text = files.export.read_text().replace("2026-05-31,100,", "2026-05-31,107,")
    files.export.write_text(text)
    reconcile_billing(engine, files, asked=ASKED)
    assert open_now(engine) == []


def test_the_same_again_is_the_same_reconciliation(engine: Engine, tmp_path: Path) -> None:
    files = planted().record(engine, tmp_path)
    with reading(engine) as session:
        known_at = last_recorded_at(session)
    asked = Asked(AS_OF, known_at)
    assert reconcile_billing(engine, files, asked=asked) == reconcile_billing(engine, files, asked=asked)
    renamed = files.export.rename(tmp_path / "copy.csv")
    again = Files(files.mapping, renamed)
    assert reconcile_billing(engine, again, asked=asked) == reconcile_billing(engine, again, asked=asked)
    with reading(engine) as session:
        assert session.scalar(select(func.count()).select_from(Reconciliation)) == 1


def test_what_changed_since_is_counted_so_that_it_is_reconciled_again(engine: Engine, tmp_path: Path) -> None:
    files = Books().record(engine, tmp_path)
    run_id = reconcile_billing(engine, files, asked=ASKED)
    assert changes_since(engine, run_id) == 0
    later = Books()
    later.deals[7] = [deal(7, amount="1300")]
    later.deals[8].append(deal(8, deal="D-8b", starts="2026-09-01", ends="2027-08-31"))
    (tmp_path / "again").mkdir()
    later.record(engine, tmp_path / "again")
    assert changes_since(engine, run_id) == 1  # what begins in September is of no interest in May
    reconcile_billing(engine, files, asked=ASKED)
    assert open_now(engine) == [Money(1_600, "USD")]  # 1,300 against 12 x 107


def changes_since(engine: Engine, run_id: int) -> int:
    with reading(engine) as session:
        return count_changes_since(session, find_run(session, run_id), known_at=LATER_THAN_ALL)


def test_a_discount_that_was_sold_as_a_line_below_zero_is_in_the_ledgers_side(engine: Engine, tmp_path: Path) -> None:
    """Account 7 pays 1,284 less 84 a year; it is charged 100 a month, and account 8 with the same rebate all of it."""
    books = Books()
    for number in (7, 8):
        books.deals[number].append(deal(number, key="2", amount="-84"))
    books.charges[7] = [charge(7, amount="100")]
    run_id = reconcile_billing(engine, books.record(engine, tmp_path), asked=ASKED)
    assert told(found_in(engine, run_id)) == {8: ("USD", 121_200, 129_600, [("discount", "credit", 8_400)])}


def test_a_pause_that_is_on_record_is_not_in_the_ledgers_side(engine: Engine, tmp_path: Path) -> None:
    books = Books()
    books.charges[7] = []
    files = books.record(engine, tmp_path)
    run_id = reconcile_billing(engine, files, asked=ASKED)
    [found] = found_in(engine, run_id)
    assert found.parts[0].check == "nothing_billed"
    pause = {"system": "our_crm", "external_id": "P-1", "account_id": found.account_id, "available_at": LATER}
    days = {"contract_line_id": found.parts[0].lines[0].id, "pauses_on": AS_OF.replace(month=3), "resumes_on": None}
    with transaction(engine) as session, recording(session, "test") as change:
        record_versions(session, change, table=ContractPause, key=["system", "external_id"], rows=[pause | days])
    assert changes_since(engine, run_id) == 1
    assert found_in(engine, reconcile_billing(engine, files, asked=ASKED)) == []


HOSTILE: dict[str, tuple[dict[str, str], str]] = {
    "not a number": ({"amount": "NaN"}, "'NaN' is not a plain decimal number"),
    "an exponent": ({"amount": "1e400"}, "'1e400' is not a plain decimal number"),
    "more than can be booked": ({"amount": "9" * 30}, "more than can be booked"),
    "more a year than can be booked": ({"amount": "9" * 13}, "more a year than can be booked"),
    "no amount": ({"amount": ""}, "is blank, and is needed"),
    "no currency that there is": ({"currency": "XXX"}, "'XXX' is not a currency"),
    "no currency": ({"currency": ""}, "an amount needs a currency"),
    "finer than the currency, and no number": ({"amount": "1,5"}, "not a plain decimal"),
    "a period that ends before it begins": ({"to": "2026-04-30"}, "before it begins"),
    "no end": ({"to": ""}, "needs the end of its period"),
    "no customer": ({"customer": ""}, "is blank, and is needed"),
    "a discount below zero": ({"discount": "-1"}, "is not a discount"),
    "an id again with other content": ({"id": "I-1"}, "the id 'I-1' has other content in line 2"),
    "a kind that there is not": ({"type": "lunar"}, "is not one of"),
    "a day that there is not": ({"from": "2026-02-30"}, "is not a date"),
}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_an_export_with_a_row_that_cannot_be_read_is_refused_whole(engine: Engine, tmp_path: Path) -> None:
    for name, (said, reason) in HOSTILE.items():
        books = Books()
        books.charges[2] = [charge(2, **said)]
        folder = tmp_path / name
        folder.mkdir()
        files = books.record(engine, folder)
        with pytest.raises(Invalid) as refused:
            reconcile_billing(engine, files, asked=ASKED)
        assert "charges.csv: 1 rows cannot be read" in str(refused.value), name
        assert "line 3" in str(refused.value), name
        assert reason in str(refused.value), name
        assert str(tmp_path) not in str(refused.value)
    with reading(engine) as session:
        assert session.scalar(select(func.count()).select_from(Reconciliation)) == 0
        assert session.scalar(select(func.count()).select_from(ReconciliationDifference)) == 0


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_file_that_is_not_the_mappings_is_refused_with_what_to_do(engine: Engine, tmp_path: Path) -> None:
    files = Books().record(engine, tmp_path)
    whole = files.export.read_text()
    files.export.write_text(whole.replace("amount", "sum", 1))
    with pytest.raises(Invalid, match="has no column 'amount'"):
        reconcile_billing(engine, files, asked=ASKED)
    files.export.write_text("")
    with pytest.raises(Invalid, match="the file is empty"):
        reconcile_billing(engine, files, asked=ASKED)
    with pytest.raises(Invalid, match=r"gone.csv: no such file"):
        reconcile_billing(engine, Files(files.mapping, tmp_path / "gone.csv"), asked=ASKED)
    files.mapping.write_text("system = ")
    with pytest.raises(Invalid, match=r"billing.toml: not valid TOML"):
        reconcile_billing(engine, files, asked=ASKED)
    with pytest.raises(Invalid, match="one `charge` each"):
        reconcile_billing(engine, Files(tmp_path / "ledger.toml", tmp_path / "accounts.csv"), asked=ASKED)
    with pytest.raises(Invalid, match="0 to 92 days"):
        reconcile_billing(engine, Files(files.mapping, files.export, -1), asked=ASKED)


def test_the_crms_amounts_beside_what_was_booked_of_them(engine: Engine, tmp_path: Path) -> None:
    run_id = reconcile_crm(engine, asked=ASKED)
    with reading(engine) as session:
        assert find_run(session, run_id).compared == 0
    Books().record(engine, tmp_path)
    run_id = reconcile_crm(engine, asked=ASKED)
    with reading(engine) as session:
        run = find_run(session, run_id)
    assert (run.kind, run.system, run.rows, run.compared, run.differing) == ("crm", None, 200, 200, 0)
    assert run.totals[0].ledger.text == f"{sum(12 * (100 + n) for n in ACCOUNTS)}.00"
