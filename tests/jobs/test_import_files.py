"""Files come in whole or say why not; twice is once; what was recorded can be asked for as it was known."""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import csv as arrow_csv
from pyarrow import parquet
from sqlalchemy import Engine, func, select

from app.db import Base, reading
from app.errors import Invalid
from app.models.accounts import AccountVersion, MatchProposal
from app.models.contracts import ChurnNotice, ContractLineVersion, ContractVersion
from app.models.deals import DealVersion
from app.models.usage import UsageDay
from app.queries.known import in_force
from integrations.files.mapping import MappingError, load_mapping
from jobs.import_console import import_on_console
from jobs.import_files import import_files
from jobs.import_report import ImportReport
from jobs.import_run import Options

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
MAPPING = """
system = "crm"
currency = "USD"
[backfill]
lag_days = 3
[[files]]
name = "accounts*"
[files.account]
id = "id"
name = "name"
parent = "parent"
employees = "employees"
[[files]]
name = "deals*"
[files.deal]
id = "deal"
account = "account"
stage = "stage"
closed_on = "closed"
currency = "currency"
amount = "total"
[[files]]
name = "lines*"
[files.line]
deal = "deal"
key = "line"
product = "product"
amount = "amount"
starts_on = "starts"
ends_on = "ends"
[[files]]
name = "churn*"
[files.churn]
id = "id"
deal = "deal"
account = "account"
effective_on = "on"
[[files]]
name = "usage*"
[files.usage]
id = "id"
account = "account"
day = "day"
amount = "count"
"""
FILES = {
    "accounts.csv": "id,name,parent,employees\nA,Alpha,B,10\nB,Beta,,20\n",
    "deals.csv": "deal,account,stage,closed,currency,total\nD1,A,won,2024-01-01,USD,1200.005\nD2,B,open,,,\n",
    "lines.csv": "deal,line,product,amount,starts,ends\n"
    "D1,1,Gold,1000.0025,2024-01-01,2024-12-31\nD1,2,Seats,200.0025,2024-01-01,2024-12-31\n",
    "churn.csv": "id,deal,account,on\nN1,D1,,2024-07-01\n",
    "usage.csv": "id,account,day,count\nU1,A,2024-01-02,5\nU2,A,2024-01-03,7\n",
}


@pytest.fixture
def run(engine: Engine, tmp_path: Path) -> Callable[..., ImportReport]:
    (tmp_path / "crm.toml").write_text(MAPPING)

    def run(files: dict[str, str], *, is_check: bool = False, at: datetime = NOON) -> ImportReport:
        paths = []
        for name, content in files.items():
            path = tmp_path / name
            path.write_text(content, encoding="utf-8")
            paths.append(path)
        options = Options(is_check, tmp_path / "rejected", clock=lambda: at)
        return import_files(engine, load_mapping(tmp_path / "crm.toml"), paths=paths, options=options)

    return run


def rows(engine: Engine, *columns: Any, where: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    with reading(engine) as session:
        return [tuple(row) for row in session.execute(select(*columns).where(*where).order_by(*columns))]


def counts(engine: Engine) -> dict[str, int]:
    with reading(engine) as session:
        return {
            table.name: session.scalar(select(func.count()).select_from(table)) or 0
            for table in Base.metadata.sorted_tables
            if table.name != "import_runs"
        }


def changed(name: str, old: str, new: str) -> dict[str, str]:
    assert old in FILES[name]
    return {**FILES, name: FILES[name].replace(old, new)}


def test_everything_comes_in_with_what_belongs_to_it(engine: Engine, run) -> None:
    report = run(FILES)
    assert report.rejected == 0
    assert report.problems == []
    current = AccountVersion.superseded_change_id.is_(None)
    assert rows(engine, AccountVersion.name, AccountVersion.employees, where=[current]) == [("Alpha", 10), ("Beta", 20)]
    assert report.figures["accounts_with_parent"] == 1
    deal = DealVersion
    assert rows(engine, deal.stage, deal.amount, deal.amount_minor) == [
        ("open", None, None),
        ("won", "1200.005", 120000),
    ]
    line = ContractLineVersion
    found = rows(engine, line.amount, line.amount_minor, line.arr_minor, where=[line.superseded_change_id.is_(None)])
    # 1200.005 is rounded to even, 1200.00; both lines round down to it already
    assert found == [("1000.0025", 100000, 100000), ("200.0025", 20000, 20000)]
    assert rows(engine, ContractVersion.starts_on, ContractVersion.ends_on, ContractVersion.term_months) == [
        (date(2024, 1, 1), date(2024, 12, 31), 12)
    ]
    assert format(report.amounts["USD"].rounding, "f") == "-0.005"


def test_a_notice_ends_lines_as_a_version_known_since_then(engine: Engine, run) -> None:
    run(FILES)
    line = ContractLineVersion
    known = rows(engine, line.ends_on, line.available_at, where=[line.amount_minor == 100000])
    assert known == [
        (date(2024, 6, 30), datetime(2024, 7, 4, tzinfo=UTC)),
        (date(2024, 12, 31), datetime(2024, 1, 4, tzinfo=UTC)),
    ]
    assert rows(engine, ChurnNotice.external_id, ChurnNotice.effective_on) == [
        ("N1", date(2024, 7, 1)),
        ("N1/2", date(2024, 7, 1)),
    ]


def test_an_earlier_end_can_move_with_its_notice(engine: Engine, run) -> None:
    run(FILES)
    run(changed("churn.csv", "2024-07-01", "2024-10-01"))
    line = ContractLineVersion
    assert {row[0] for row in rows(engine, line.ends_on, where=[line.superseded_change_id.is_(None)])} == {
        date(2024, 9, 30)
    }
    run(changed("churn.csv", "2024-07-01", "2026-10-01"))
    assert {row[0] for row in rows(engine, line.ends_on, where=[line.superseded_change_id.is_(None)])} == {
        date(2024, 12, 31)
    }


def test_the_same_files_twice_change_nothing_and_say_so(engine: Engine, run) -> None:
    run(FILES)
    before = counts(engine)
    report = run(FILES)
    assert counts(engine) == before
    assert list(report.lines())[-1] == "Nothing has changed: all of this was recorded before."


def test_a_check_says_the_same_and_records_nothing(engine: Engine, run) -> None:
    before = counts(engine)
    report = run(changed("deals.csv", "1200.005", "lots"), is_check=True)
    assert counts(engine) == before
    assert rows(engine, AccountVersion.name) == []
    assert "deals.csv line 2, total: 'lots' is not a plain decimal number such as 1234.50" in report.problems
    assert list(report.lines())[-1] == "Checked: 4 rows would be set aside. Nothing was recorded."


@pytest.mark.parametrize(
    ("name", "old", "new", "problem"),
    [
        ("accounts.csv", "Alpha,B,10", "Alpha,B,ten", "line 2, employees: 'ten' is not a plain decimal number"),
        (
            "accounts.csv",
            "Alpha,B,10",
            "Alpha,B",
            "line 2: has 3 cells where the header has 4, the last in column 'parent'",
        ),
        ("accounts.csv", "A,Alpha", ",Alpha", "line 2, id: is blank, and is needed"),
        ("accounts.csv", "Alpha", "Al\0pha", "line 2, name: holds a NUL character, which no database takes as text"),
        ("accounts.csv", "Alpha", "x" * 301, "line 2, name: has 301 characters; at most 300 are kept"),
        ("accounts.csv", "Alpha,B", "Alpha,A", "line 2, parent: an account cannot be its own parent"),
        ("deals.csv", "2024-01-01", "2024-13-01", "line 2, closed: '2024-13-01' is not a date"),
        ("deals.csv", ",USD,", ",EURO,", "line 2, currency: 'EURO' is not a currency; use an ISO 4217 code"),
        (
            "deals.csv",
            "won",
            "Closed Won",
            "line 2, stage: 'Closed Won' is not one of open, won, lost; add it to `map`",
        ),
        ("deals.csv", "D1,A,won", "D1,,won", "line 2, account: a won deal needs an account"),
        ("deals.csv", "D1,A", "D1,Z", "line 2, account: there is no account 'Z'; import the accounts first, or mend"),
        (
            "lines.csv",
            "2024-12-31",
            "2023-12-31",
            "line 2, ends: the term ends on 2023-12-31, before it begins on 2024",
        ),
        ("lines.csv", "1000.0025", "NaN", "line 2, amount: 'NaN' is not a plain decimal number"),
        ("lines.csv", "1000.0025", "9" * 30, "line 2, amount: "),
        ("churn.csv", "N1,D1", "N1,D9", "line 2, deal: there is no"),
        ("usage.csv", "U1,A", "U1,Z", "line 2, account: there is no account 'Z'"),
        ("usage.csv", "2024-01-02,5", "2024-01-02,1e400", "line 2, count: '1e400' is not a plain decimal number"),
    ],
)
def test_a_bad_row_is_named_with_its_place_and_the_rest_comes_in(engine: Engine, run, name, old, new, problem) -> None:
    for is_check in (True, False):
        report = run(changed(name, old, new), is_check=is_check)
        assert any(told.startswith(f"{name} {problem}") for told in report.problems), report.problems
    assert rows(engine, AccountVersion.name)[-1] == ("Beta",)
    rejected = Path(next(file.rejected_rows_in for file in report.files if file.rejected_rows_in) or "")
    assert rejected.parent.name == "rejected"
    assert rejected.read_text(encoding="utf-8-sig").startswith("rejected_line,rejected_column,rejected_reason,")


def test_a_deal_is_recorded_whole_or_not_at_all(engine: Engine, run) -> None:
    report = run(changed("lines.csv", "1000.0025", "much"))
    assert [file.rejected for file in report.files] == [0, 1, 2, 1, 0]
    assert rows(engine, DealVersion.stage) == [("open",)]
    because = "another row of the deal 'D1' was set aside: line 2 of lines.csv: 'much' is not a plain decimal number"
    assert f"deals.csv line 2: {because} such as 1234.50" in report.problems


def test_the_rows_set_aside_go_through_the_same_mapping_once_they_are_mended(engine: Engine, run) -> None:
    report = run(changed("accounts.csv", "Alpha,B,10", "Alpha,B,ten"))
    rejected = Path(report.files[0].rejected_rows_in or "")
    assert rejected.name == "accounts-rejected-1.csv"
    mended = rejected.read_text(encoding="utf-8-sig").replace(",ten", ",10")
    again = run({"accounts-mended.csv": mended, **{name: FILES[name] for name in FILES if name != "accounts.csv"}})
    assert again.rejected == 0
    assert again.figures["deals_won"] == 1


def test_rows_set_aside_from_files_of_one_name_and_of_a_long_one_are_all_kept(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "mapping.toml").write_text(MAPPING)
    names = ("a/accounts.csv", "b/accounts.csv", f"a/accounts{'x' * 240}.csv")
    paths = [tmp_path / name for name in names]
    for number, path in enumerate(paths):
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"id,name,parent,employees\nX{number},Xi,,many\n")
    options = Options(rejected_folder=tmp_path / "rejected", clock=lambda: NOON)
    report = import_files(engine, load_mapping(tmp_path / "mapping.toml"), paths=paths, options=options)
    kept = [Path(file.rejected_rows_in or "").read_text(encoding="utf-8-sig") for file in report.files]
    assert [f"X{number}" in text for number, text in enumerate(kept)] == [True] * 3


def test_names_out_of_a_file_do_not_steer_the_terminal(engine: Engine, tmp_path: Path, capsys) -> None:
    (tmp_path / "mapping.toml").write_text(MAPPING)
    path = tmp_path / "accounts\x1b[2J.csv"
    path.write_bytes(b"id,name,parent,employees,\x1b]0;title\x07\xff\n,Xi,,,\n")
    import_on_console(engine, tmp_path / "mapping.toml", files=[path], as_of=None, options=Options(clock=lambda: NOON))
    told = capsys.readouterr().out
    assert r"columns not used: \x1b]0;title\x07\udcff" in told
    assert not any(character in told for character in "\x1b\x07")


def test_the_second_row_of_an_id_is_a_conflict_and_the_first_is_kept(engine: Engine, run) -> None:
    files = {
        "accounts.csv": FILES["accounts.csv"] + "A,Other,,1\nB,Beta,,20\n",
        "usage.csv": FILES["usage.csv"] + "U1,A,2024-01-02,6\nU1,A,2024-01-02,5\n",
    }
    report = run(files)
    assert report.conflicts == [
        "accounts.csv line 4: the id 'A' has other content in line 2 of accounts.csv, which is kept",
        "usage.csv line 4: the id 'U1' has other content in an earlier row, which is kept",
    ]
    assert report.nouns["account"].repeated == 1
    current = AccountVersion.superseded_change_id.is_(None)
    assert rows(engine, AccountVersion.name, where=[current]) == [("Alpha",), ("Beta",)]
    assert rows(engine, UsageDay.amount) == [(5.0,), (7.0,)]
    assert run(files).conflicts == report.conflicts


def test_usage_that_is_sent_again_with_other_content_is_kept_as_it_was(engine: Engine, run) -> None:
    run(FILES)
    report = run(changed("usage.csv", "2024-01-02,5", "2024-01-02,50"))
    assert report.nouns["usage"].conflicts == 1
    assert rows(engine, UsageDay.amount) == [(5.0,), (7.0,)]


def test_a_change_is_a_new_version_and_the_old_one_can_still_be_asked_for(engine: Engine, run) -> None:
    run(FILES)
    later = datetime(2026, 2, 1, tzinfo=UTC)
    run(changed("accounts.csv", "Alpha,B,10", "Alpha,B,11"), at=later)
    employees = AccountVersion.valid_from, AccountVersion.employees
    alpha = AccountVersion.name == "Alpha"
    now = rows(engine, *employees, where=[alpha, in_force(AccountVersion, later)])
    assert now == [(date(1900, 1, 1), 10), (date(2026, 2, 1), 11)]
    with reading(engine) as session:
        then = session.execute(select(*employees).where(alpha, in_force(AccountVersion, NOON.replace(hour=13)))).all()
    assert [tuple(row) for row in then] == [(date(1900, 1, 1), 10)]


def test_a_deal_that_is_no_longer_won_takes_its_contract_with_it(engine: Engine, run) -> None:
    run(FILES)
    report = run(changed("deals.csv", "won", "lost"))
    assert report.nouns["deal"].changed == 1
    for table in (ContractVersion, ContractLineVersion):
        assert rows(engine, table.id, where=[table.superseded_change_id.is_(None)]) == []
    run(FILES)
    assert len(rows(engine, ContractLineVersion.id, where=[ContractLineVersion.superseded_change_id.is_(None)])) == 2


def test_a_line_that_is_gone_from_its_deal_is_withdrawn(engine: Engine, run) -> None:
    run(FILES)
    one_line = FILES["lines.csv"].splitlines(keepends=True)[:2]
    run({**FILES, "lines.csv": "".join(one_line)})
    line = ContractLineVersion
    assert rows(engine, line.amount_minor, where=[line.superseded_change_id.is_(None)]) == [(100000,)]


def test_a_renewal_finds_the_contract_it_renews_wherever_that_is_read(engine: Engine, run, tmp_path: Path) -> None:
    mapping = MAPPING.replace('account = "account"\nstage', 'account = "account"\nrenewal_of = "renews"\nstage')
    (tmp_path / "crm.toml").write_text(mapping)
    deals = "deal,account,stage,closed,currency,total,renews\nR,A,won,2025-01-01,USD,,D0000\n"
    deals += "".join(f"D{number:04d},A,won,2024-01-01,USD,,\n" for number in range(600, -1, -1))
    lines = "deal,line,product,amount,starts,ends\nR,1,Gold,5,2025-01-01,2025-12-31\n"
    lines += "".join(f"D{number:04d},1,Gold,5,2024-01-01,2024-12-31\n" for number in range(601))
    files = {"accounts.csv": FILES["accounts.csv"], "deals.csv": deals, "lines.csv": lines}
    run(files)
    named = ContractVersion.renewal_of_id.is_not(None), ContractVersion.superseded_change_id.is_(None)
    assert len(rows(engine, ContractVersion.starts_on, where=named)) == 1
    assert not run(files).has_changed_something


def test_a_parent_that_is_read_later_is_linked_and_a_circle_is_refused(engine: Engine, run) -> None:
    many = "".join(f"C{number:04d},C,,\n" for number in range(1100))
    report = run({"accounts.csv": "id,name,parent,employees\nA,Alpha,Z,1\nQ,Queer,NONE,1\n" + many + "Z,Zeta,,1\n"})
    assert report.figures["accounts_with_parent"] == 1
    assert report.problems == ["accounts.csv line 3: 'Q' is kept without a parent: the parent 'NONE' is not an account"]
    circle = run({"accounts.csv": "id,name,parent,employees\nZ,Zeta,A,1\n"})
    assert circle.problems == ["accounts.csv line 2, parent: 'Z' would lie above itself through its parent 'A'"]


def test_names_that_look_alike_are_proposed_and_never_joined(engine: Engine, run) -> None:
    run({"accounts.csv": "id,name,parent,employees\nacme-1,Acme Corporation,,\n"})
    report = run({"usage.csv": "id,account,day,count\nU1,ACME 1,2024-01-01,1\nU2,Acme Corporatoin,2024-01-01,1\n"})
    assert report.rejected == 2
    pair = MatchProposal.given, MatchProposal.candidate, MatchProposal.reason, MatchProposal.state
    assert rows(engine, *pair) == [
        ("ACME 1", "acme-1", "the same but for case, spaces and signs", "proposed"),
        ("Acme Corporatoin", "acme-1", "spelt alike", "proposed"),
    ]
    assert rows(engine, UsageDay.id) == []


def test_a_live_feed_is_known_when_it_is_recorded(engine: Engine, run, tmp_path: Path) -> None:
    (tmp_path / "crm.toml").write_text(MAPPING.replace("[backfill]\nlag_days = 3\n", ""))
    run(FILES)
    assert {row[0] for row in rows(engine, DealVersion.available_at)} == {NOON}
    assert {row[0] for row in rows(engine, UsageDay.available_on)} == {NOON.date()}


def test_a_backfill_without_a_day_of_creation_assumes_its_lag(engine: Engine, run) -> None:
    run(FILES)
    won = rows(engine, DealVersion.available_at, where=[DealVersion.stage == "won"])
    assert won == [(datetime(2024, 1, 4, tzinfo=UTC),)]
    assert rows(engine, UsageDay.available_on) == [(date(2024, 1, 5),), (date(2024, 1, 6),)]


def test_parquet_comes_in_as_csv_does(engine: Engine, run, tmp_path: Path) -> None:
    run({name: FILES[name] for name in ("accounts.csv", "deals.csv", "lines.csv", "churn.csv")})
    (tmp_path / "usage.csv").write_text(FILES["usage.csv"])
    table = arrow_csv.read_csv(tmp_path / "usage.csv")
    assert table.schema.field("day").type == pa.date32()
    parquet.write_table(table, tmp_path / "usage.parquet")
    report = import_files(
        engine, load_mapping(tmp_path / "crm.toml"), paths=[tmp_path / "usage.parquet"], options=Options()
    )
    assert (report.nouns["usage"].added, report.rejected) == (2, 0)
    assert run({"usage.csv": FILES["usage.csv"]}).nouns["usage"].unchanged == 2


def test_what_does_not_fit_is_refused_before_anything_is_recorded(engine: Engine, run, tmp_path: Path) -> None:
    before = counts(engine)
    with pytest.raises(MappingError, match=r"accounts\*: has no column 'name'; did you mean 'nmae'\?"):
        run({**FILES, "accounts.csv": "id,nmae,parent,employees\nA,Alpha,,1\n"})
    with pytest.raises(
        MappingError, match=r"people\.csv: the mapping crm knows no such file; it knows accounts\*, deals"
    ):
        run({**FILES, "people.csv": "id\n1\n"})
    missing = [tmp_path / "accounts-none.csv"]
    with pytest.raises(Invalid, match="no such file"):
        import_on_console(engine, tmp_path / "crm.toml", files=missing, as_of=None, options=Options())
    assert counts(engine) == before
