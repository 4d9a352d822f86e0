"""CSV and Parquet give the same texts, and every broken row keeps its place."""

import resource
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from integrations.files.mapping import FileMap, MappingError
from integrations.files.reader import open_file

PLAIN = FileMap("*.csv", ())


def write(tmp_path: Path, content: str | bytes, name: str = "f.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def read(path: Path, file_map: FileMap = PLAIN, size: int = 100):
    reader = open_file(path, file_map)
    lines, rows, bad = [], [], []
    for batch in reader.batches(size):
        lines += batch.lines
        rows += batch.rows
        bad += [(row.line, row.reason) for row, _ in batch.bad]
    return reader.header, lines, rows, bad


def test_rows_keep_their_lines_through_blank_ones_and_quoted_breaks(tmp_path):
    path = write(tmp_path, '\ufeffa, b \r\n1,2\r\n\r\n"x\ny",3\r\n4,5')
    assert read(path) == (("a", "b"), [2, 4, 6], [["1", "2"], ["x\ny", "3"], ["4", "5"]], [])


def test_batches_are_no_larger_than_asked(tmp_path):
    path = write(tmp_path, "a\n" + "1\n" * 25)
    assert [len(batch.rows) for batch in open_file(path, PLAIN).batches(10)] == [10, 10, 5]


def test_half_a_line_is_set_aside_with_where_it_ends(tmp_path):
    _, lines, _, bad = read(write(tmp_path, "a,b,c\n1,2,3\n4,5\n6,7,8,9\n10,11,12\n"))
    assert lines == [2, 5]
    assert bad == [
        (3, "has 2 cells where the header has 3, the last in column 'b'"),
        (4, "has 4 cells where the header has 3"),
    ]


def test_a_stray_quote_spoils_its_own_row_only(tmp_path):
    _, lines, _, bad = read(write(tmp_path, 'a,b\n1,2\n"x"y,3\n4,5\n'))
    assert lines == [2, 4]
    assert bad[0][0] == 3
    assert "is not CSV" in bad[0][1]


def test_a_quote_that_is_never_closed_is_told_at_its_beginning(tmp_path):
    _, lines, _, bad = read(write(tmp_path, 'a,b\n1,2\n"x,3\n4,5\n'))
    assert (lines, [line for line, _ in bad]) == ([2], [3])


def test_a_huge_field_is_set_aside_and_reading_goes_on(tmp_path):
    _, lines, _, bad = read(write(tmp_path, "a,b\n" + "x" * 200_000 + ",1\n2,3\n"))
    assert [line for line, _ in bad][:1] == [2]
    assert lines[-1] == 3


def test_other_encodings_and_delimiters(tmp_path):
    path = write(tmp_path, "名前;額\r\n株式会社;１\r\n".encode("cp932"))
    assert read(path, FileMap("*", (), encoding="cp932", delimiter=";"))[2] == [["株式会社", "１"]]
    utf16 = write(tmp_path, "a,b\n1,é\n".encode("utf-16"))
    assert read(utf16, FileMap("*", (), encoding="utf-16"))[2] == [["1", "é"]]


def test_bytes_of_another_encoding_are_carried_not_fatal(tmp_path):
    assert read(write(tmp_path, b"a\nok\ncaf\xe9\n"))[2] == [["ok"], ["caf\udce9"]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the file is empty"),
        ("\na\n", "it must name the columns"),
        ("a,b,a\n1,2,3\n", "two columns are called 'a'"),
        ('"a"b\n', "line 1 is not CSV"),
    ],
)
def test_a_file_without_a_usable_header_is_refused(tmp_path, content, message):
    with pytest.raises(MappingError, match=message):
        open_file(write(tmp_path, content), PLAIN)


def test_a_hundred_thousand_columns_are_a_header(tmp_path):
    names = [f"c{number}" for number in range(100_000)]
    assert open_file(write(tmp_path, ",".join(names) + "\n"), PLAIN).header == tuple(names)


def test_a_parquet_file_damaged_in_its_middle_says_so(tmp_path):
    path = tmp_path / "f.parquet"
    parquet.write_table(pa.table({"a": [str(number) for number in range(10_000)]}), path)
    content = path.read_bytes()
    path.write_bytes(content[:4] + b"\xff" * 2000 + content[2004:])
    with pytest.raises(MappingError, match=r"f\.parquet: the file is damaged"):
        read(path)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(MappingError, match="no such file"):
        open_file(tmp_path / "none.csv", PLAIN)
    with pytest.raises(MappingError, match="not a Parquet file"):
        open_file(write(tmp_path, "PAR?", "x.parquet"), FileMap("*", ()))


def test_parquet_gives_the_texts_that_csv_would(tmp_path):
    table = pa.table(
        {
            "text": ["é", None],
            "day": [date(2024, 2, 29), None],
            "at": [datetime.fromisoformat("2024-02-29T01:02:00"), None],
            "exact": pa.array([Decimal("1.10"), None], pa.decimal128(10, 2)),
            "real": [1e16, float("nan")],
            "small": [0.1, 1e-7],
            "whole": [7, None],
            "flag": [True, False],
        }
    )
    path = tmp_path / "x.parquet"
    parquet.write_table(table, path)
    header, lines, rows, bad = read(path, FileMap("*", ()), size=1)
    assert header == ("text", "day", "at", "exact", "real", "small", "whole", "flag")
    assert (lines, bad) == ([1, 2], [])
    assert rows[0] == ["é", "2024-02-29", "2024-02-29T01:02:00", "1.10", "10000000000000000", "0.1", "7", "true"]
    assert rows[1] == ["", "", "", "", "", "0.0000001", "", "false"]


def test_a_large_file_is_read_in_the_memory_of_a_batch(tmp_path):
    path = tmp_path / "large.csv"
    with path.open("w") as file:
        file.write("a,b\n")
        file.writelines(f"{'x' * 90},{number}\n" for number in range(300_000))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert sum(len(batch.rows) for batch in open_file(path, PLAIN).batches(1000)) == 300_000
    grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kb < 15_000, "the file has 29 MB"
