"""CSV and Parquet give the same texts, and every broken row keeps its place."""

import resource
import subprocess
import sys
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from integrations.files.mapping import FileMap, MappingError
from integrations.files.reader import open_file

PLAIN = FileMap("*.csv", ())
ROOT = Path(__file__).parents[3]


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


READ = """
import re, sys
from pathlib import Path
from pyarrow import parquet
from integrations.files.mapping import FileMap
from integrations.files.reader import open_file

def peak_mib():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024

before = peak_mib()
rows = bad = 0
for batch in open_file(Path(sys.argv[1]), FileMap("*", ())).batches(20_000):
    rows, bad = rows + len(batch.rows), bad + len(batch.bad)
print(rows, bad, peak_mib() - before)
"""


def read_elsewhere(path: Path) -> list[int]:
    """Rows, bad rows, and by how many MiB the memory of a process grew that did nothing but read them."""
    command = [sys.executable, "-c", READ, str(path)]
    said = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [int(number) for number in said.split()]


def parquet_of(tmp_path: Path, columns: dict, **options) -> Path:
    path = tmp_path / "x.parquet"
    parquet.write_table(pa.table(columns), path, compression="zstd", **options)
    return path


def test_a_small_parquet_file_of_one_huge_text_is_not_unpacked_a_thousand_times(tmp_path):
    packed = pa.DictionaryArray.from_arrays(pa.array([1] + [0] * 1099, pa.int32()), ["x" * 1_000_000, "y"])
    path = parquet_of(tmp_path, {"id": list(map(str, range(1100))), "a": packed}, store_schema=False)
    assert path.stat().st_size < 20_000, "unpacked it would be a gigabyte"
    rows, bad, grown_mib = read_elsewhere(path)
    assert (rows, bad) == (1, 1099)
    assert grown_mib < 250
    header, lines, texts, told = read(path, FileMap("*", ()), size=20_000)
    assert (header, lines, texts) == (("id", "a"), [1], [["0", "y"]])
    assert told[:2] == [(2, "has more than 131072 characters"), (3, "has more than 131072 characters")]


def test_long_texts_that_many_rows_refer_to_make_batches_short(tmp_path):
    packed = pa.DictionaryArray.from_arrays(pa.array([1] * 9_999 + [0], pa.int32()), ["x" * 131_072, "y"])
    path = parquet_of(tmp_path, {"a": packed}, store_schema=False)
    sizes = [len(batch.rows) for batch in open_file(path, FileMap("*", ())).batches(20_000)]
    assert sum(sizes) == 10_000
    assert 60 < max(sizes) <= 128, "16 MiB of the longest"


def test_texts_that_each_begin_with_the_one_before_are_unpacked_a_few_at_a_time(tmp_path):
    packed = {"a": ["x" * 100_000 + f"{number:04}" for number in range(2000)]}
    encoding = {"a": "DELTA_BYTE_ARRAY"}
    path = parquet_of(tmp_path, packed, use_dictionary=False, column_encoding=encoding)
    assert path.stat().st_size < 20_000, "unpacked it is 191 MiB, and as much again as texts"
    rows, bad, grown_mib = read_elsewhere(path)
    assert (rows, bad) == (2000, 0)
    assert grown_mib < 250


def test_a_row_group_that_unpacks_to_too_much_is_refused_before_it_is_read(tmp_path):
    path = parquet_of(tmp_path, {"a": [f"{number:4}" + "x" * 1_000_000 for number in range(300)]}, use_dictionary=False)
    assert path.stat().st_size < 2_000_000
    with pytest.raises(MappingError, match=r"x\.parquet: a row group unpacks to 286 MiB.*smaller row groups"):
        open_file(path, FileMap("*", ()))


def test_the_same_in_smaller_row_groups_is_read_in_the_memory_of_one(tmp_path):
    texts = [f"{number:4}" + "x" * 100_000 for number in range(3000)]
    path = parquet_of(tmp_path, {"a": texts}, use_dictionary=False, row_group_size=300)
    rows, bad, grown_mib = read_elsewhere(path)
    assert (rows, bad) == (3000, 0)
    assert grown_mib < 250, "unpacked it is 286 MiB, and as much again as texts"


def test_more_rows_than_could_differ_are_refused(tmp_path):
    path = parquet_of(tmp_path, {"a": pa.array([1] * 1_000_000)})
    with pytest.raises(MappingError, match=r"1000000 rows in \d+ bytes cannot differ"):
        open_file(path, FileMap("*", ()))


def test_wide_values_make_batches_short(tmp_path):
    path = parquet_of(tmp_path, {"a": pa.array([b"x" * 100_000] * 2000, pa.binary(100_000))})
    batches = list(open_file(path, FileMap("*", ())).batches(20_000))
    assert sum(len(batch.rows) for batch in batches) == 2000
    assert max(len(batch.rows) for batch in batches) * 100_000 <= 16 * 2**20


def test_lists_and_records_are_left_out_and_categories_are_their_texts(tmp_path):
    columns = {
        "tags": pa.array([["x", "y"], []]),
        "plan": pa.array(["Gold", None]).dictionary_encode(),
        "at": pa.array([{"a": 1}, None]),
        "a.b": ["c", "c"],
    }
    path = parquet_of(tmp_path, columns)
    assert read(path, FileMap("*", ()))[::2] == (("plan", "a.b"), [["Gold", "c"], ["", "c"]])


def test_a_dictionary_that_changes_within_a_column_keeps_each_text_in_its_row(tmp_path):
    texts = [None if number % 7 == 0 else f"text {number % 5000}" for number in range(20_000)]
    path = parquet_of(tmp_path, {"a": texts}, row_group_size=6000, dictionary_pagesize_limit=20_000)
    for size in (1000, 20_000):
        _, lines, rows, bad = read(path, FileMap("*", ()), size=size)
        assert [row[0] or None for row in rows] == texts
        assert (lines, bad) == (list(range(1, 20_001)), [])


def test_a_large_file_is_read_in_the_memory_of_a_batch(tmp_path):
    path = tmp_path / "large.csv"
    with path.open("w") as file:
        file.write("a,b\n")
        file.writelines(f"{'x' * 90},{number}\n" for number in range(300_000))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert sum(len(batch.rows) for batch in open_file(path, PLAIN).batches(1000)) == 300_000
    grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kb < 15_000, "the file has 29 MB"
