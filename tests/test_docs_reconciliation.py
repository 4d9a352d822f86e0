"""The page on reconciling says what the code does: mapping, example and tables of checks."""

import re
import tomllib
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

from app.domain.reconciliation import LEFT_OVER, Reason
from app.domain.reconciliation_checks import CHECKS as BILLING
from app.domain.reconciliation_crm import CHECKS as CRM
from app.domain.reconciliation_crm import ROUNDED, ROUNDED_WORDS
from integrations.files.charges import ChargeBook, read_charges
from integrations.files.mapping import load_mapping
from tests.domain.reconciliation_cases import JUNE, charge, compare, line

PAGE = (Path(__file__).parent.parent / "docs" / "finance-reconciliation.md").read_text(encoding="utf-8")


def test_the_tables_are_the_checks_in_their_order() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \| (.+) \|$", PAGE, flags=re.MULTILINE)
    own = [(check.name, check.reason.value, check.words) for check in BILLING]
    left = [(name, name, words) for name, words in LEFT_OVER.items()]
    crm = [(check.name, check.reason.value, check.words) for check in CRM]
    rounded = [(ROUNDED, Reason.ROUNDING.value, ROUNDED_WORDS)]
    assert rows == [*dict.fromkeys(own), *left, *crm, *rounded]


def test_the_mapping_reads_an_export(tmp_path: Path) -> None:
    [block] = re.findall(r"```toml\n(.+?)```", PAGE, flags=re.DOTALL)
    assert tomllib.loads(block)
    (tmp_path / "m.toml").write_text(block)
    export = tmp_path / "charges-05.csv"
    export.write_text(
        "Customer,Customer Name,Plan,Invoice Item,Invoice,Period Start,Period End,Amount,Currency,Discount,Type\n"
        "C-1,Borealis,core,I-1,R-1,2026-05-01,2026-06-01,100.00,USD,10.00,subscription\n"
    )
    with ChargeBook() as book:
        read_charges(book, export, mapping=load_mapping(tmp_path / "m.toml"), zone=ZoneInfo("UTC"))
        [found] = book.charges_of("C-1")
    assert (found.minor, found.discount_minor, found.kind) == (9_000, 1_000, "recurring")
    assert (found.starts_on, found.ends_on) == (date(2026, 5, 1), date(2026, 5, 31))


def test_the_example_by_hand_comes_out() -> None:
    sold = [line(arr=144_000, starts_on=date(2026, 5, 1))]
    may, june = charge(), charge(row=3, minor=12_000, period=JUNE)
    [position] = compare(sold, [may, june])
    assert (position.ledger_minor, position.other_minor) == (144_000, 120_000)
    assert [(part.reason, part.minor) for part in position.parts] == [(Reason.TIMING, -24_000)]
    [position] = compare(sold, [may])
    assert [(part.reason, part.minor) for part in position.parts] == [(Reason.UNEXPLAINED, -24_000)]
    less = charge(minor=11_000, discount_minor=1_000)
    [position] = compare(sold, [less, june])
    assert position.other_minor == 132_000
    assert [(part.reason, part.minor) for part in position.parts] == [(Reason.DISCOUNT, -12_000)]
