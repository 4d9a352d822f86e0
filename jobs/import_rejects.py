"""Rows that were set aside, written to files that a person mends and imports again."""

import csv
from pathlib import Path

from integrations.files.reader import RawBatch
from jobs.import_run import CHUNK, ImportUnderWay, InputFile

LONGEST_STEM = 50  # characters; a file name may have 255 bytes
OWN_COLUMNS = ("rejected_line", "rejected_column", "rejected_reason")


def write_rejected_rows(run: ImportUnderWay, run_id: int) -> None:
    """For each file with rows set aside, a file of those rows as they were, each with where and why.

    The columns stay as they are, so that a mended file goes through the same mapping.
    """
    folder = run.options.rejected_folder
    for file in run.files:
        report = run.report.files[file.number]
        if folder is not None and report.rejected:
            folder.mkdir(parents=True, exist_ok=True)
            name = f"{file.path.stem[:LONGEST_STEM]}-rejected-{run_id}"
            target = folder / f"{name}.csv"
            if target.exists():  # of another folder's file with the same name
                target = folder / f"{name}-{file.number}.csv"
            _write(run, file, target=target)
            report.rejected_rows_in = str(target)


def _write(run: ImportUnderWay, file: InputFile, *, target: Path) -> None:
    encoding = {"utf-8": "utf-8-sig"}.get(file.map.encoding, file.map.encoding)
    # Bytes that are no text in that encoding go out as they came in.
    with target.open("w", encoding=encoding, errors="surrogateescape", newline="") as out:
        writer = csv.writer(out, delimiter=file.map.delimiter)
        writer.writerow([*OWN_COLUMNS, *file.reader.header])
        for batch in file.reader.batches(CHUNK):
            for line, cells in _by_line(batch).items():
                bad = run.spool.rejected_lines(file.number, [line]).get(line)
                if bad is not None:
                    writer.writerow([bad.line, bad.column, bad.reason, *cells])


def _by_line(batch: RawBatch) -> dict[int, list[str]]:
    good = dict(zip(batch.lines, batch.rows, strict=True))
    return dict(sorted({**good, **{row.line: cells for row, cells in batch.bad}}.items()))
