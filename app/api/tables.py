"""Answers that are files: CSV and XLSX, written whole before the first byte is sent, in constant memory.

A file that was begun and not ended would be taken for the whole. So a table goes to a temporary file first; an error
on the way is an error's answer, and the length and the checksum are known.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from tempfile import SpooledTemporaryFile
from typing import IO, Any

from flask import Response, request
from werkzeug.wsgi import FileWrapper

from app.api.media import CSV, JSON, TABLES, XLSX
from app.domain.definitions import DEFINITIONS
from app.schemas.spreadsheet import MARK, csv_line
from app.schemas.workbook import Cover, write_workbook

IN_MEMORY = 1_000_000  # bytes; what is larger goes to a file
CHECKSUM = "Figures-Checksum"
COVERED = ("as_of", "known_at", "currency", "model_run_id")
WORDS = {each.id: (each.id, each.formula, each.words) for each in DEFINITIONS}


def asked_form(parameters: Mapping[str, Any]) -> str:
    """`json`, `csv` or `xlsx`: `?format=` decides, else the Accept header."""
    asked = parameters.get("format")
    if asked is not None:
        return str(asked)
    best = request.accept_mimetypes.best_match([JSON, CSV, XLSX], JSON)
    return next((form for form, media in TABLES.items() if media == best), "json")


def wants_table(parameters: Mapping[str, Any]) -> bool:
    """Whether the answer is to be a table, for which rows are needed."""
    return asked_form(parameters) in TABLES


def send_table(
    form: str, table: tuple[Sequence[str], Iterable[Sequence[Any]]], *, name: str, meta: Mapping[str, Any]
) -> Response:
    """The table, as (header, rows), as a file to keep, with the checksum of its figures: the same in either form."""
    header, rows = table
    figures = Figures(rows)
    with ExitStack() as on_error:
        file: IO[bytes] = on_error.enter_context(SpooledTemporaryFile(max_size=IN_MEMORY))
        if form == "csv":
            file.write(MARK + csv_line(header))
            file.writelines(figures.lines())
        else:
            facts = {"address": request.full_path.rstrip("?"), **{each: meta[each] for each in COVERED if each in meta}}
            words = tuple(WORDS[each] for each in meta.get("definitions", ()) if each in WORDS)
            write_workbook(file, (header, figures), cover=Cover(facts, words))
        on_error.pop_all()
    response = _response_of(file, mimetype=TABLES[form])
    response.headers["Content-Disposition"] = f'attachment; filename="{name}.{form}"'
    response.headers[CHECKSUM] = f"sha-256={figures.checksum}"
    response.set_etag(f"{form}-{figures.checksum}")
    return response


def _response_of(file: IO[bytes], *, mimetype: str) -> Response:
    length = file.tell()
    file.seek(0)
    if length <= IN_MEMORY:
        with file:
            return Response(file.read(), mimetype=mimetype)
    response = Response(FileWrapper(file), mimetype=mimetype, direct_passthrough=True)
    response.content_length = length
    response.call_on_close(file.close)
    return response


class Figures:
    """Rows that pass by, and the SHA-256 over their lines as CSV, without the header."""

    def __init__(self, rows: Iterable[Sequence[Any]]) -> None:
        self._rows = rows
        self._digest = hashlib.sha256()

    def lines(self) -> Iterator[bytes]:
        for row in self._rows:
            line = csv_line(row)
            self._digest.update(line)
            yield line

    def __iter__(self) -> Iterator[Sequence[Any]]:
        for row in self._rows:
            self._digest.update(csv_line(row))
            yield row

    @property
    def checksum(self) -> str:
        return self._digest.hexdigest()
