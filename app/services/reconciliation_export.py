"""What is held against the ledger: a billing export with its mapping, or the deals of a CRM."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.orm import Session

from app.errors import Invalid
from app.queries.facts import Known
from app.queries.reconciliation_names import IdsOf
from app.queries.reconciliation_sides import Export, count_won_deals
from app.services.reconciliation import Source
from integrations.files.charges import ChargeBook, read_charges
from integrations.files.mapping import SHIPPED, ImportMapping, MappingError, load_mapping
from integrations.files.reader import sha256_of

BILLING, CRM = "billing", "crm"
WINDOW_DAYS = 31  # how far apart the two sides may say the same thing: a month
MOST_WINDOW_DAYS = 92


@dataclass(frozen=True, slots=True)
class Files:
    mapping: Path
    export: Path
    window_days: int = WINDOW_DAYS


def describe_export(files: Files, *, known: Known) -> tuple[ImportMapping, Source]:
    """The mapping, and what a comparison of the export would rest on; its rows are not read yet.

    Raises Invalid, with what to do, for a file that is not there and a mapping that cannot be used.
    """
    if not 0 <= files.window_days <= MOST_WINDOW_DAYS:
        text = f"The two sides may be 0 to {MOST_WINDOW_DAYS} days apart."
        raise Invalid(text, {"window_days": ["is out of range"]})
    with _in_our_words(files):
        mapping = load_mapping(files.mapping, as_of=known.as_of)
        if not files.export.is_file():
            raise MappingError(f"{files.export}: no such file")
        own, ready = files.mapping, SHIPPED / f"{files.mapping}.toml"
    source = Source(
        kind=BILLING,
        system=mapping.system,
        as_of=known.as_of,
        known_at=known.known_at,
        window_days=files.window_days,
        file_name=files.export.name[-200:],
        file_sha256=sha256_of(files.export),
        mapping_sha256=sha256_of(own if own.is_file() else ready),
    )
    return mapping, source


def describe_crm(session: Session, known: Known, *, system: str | None) -> Source:
    """What a comparison with a CRM (None: all of them) would rest on."""
    deals = count_won_deals(session, known=known, system=system)
    return Source(CRM, system or "", known.as_of, known.known_at, rows=deals)


@contextmanager
def opened_export(files: Files, mapping: ImportMapping, *, known: Known) -> Iterator[Export]:
    """The export, read whole. Raises Invalid where any row of it cannot be read, and then nothing is compared."""
    with ChargeBook() as book:
        with _in_our_words(files):
            read_charges(book, files.export, mapping=mapping, zone=known.zone)
        yield Export(book, IdsOf(mapping.system, mapping.kind))


@contextmanager
def _in_our_words(files: Files) -> Iterator[None]:
    """What is wrong with a file, by its name alone: where it lies is nobody's business."""
    try:
        yield
    except MappingError as error:
        text = str(error)
        for folder in {files.mapping.parent, files.export.parent} - {Path()}:
            text = text.replace(f"{folder}/", "")
        raise Invalid(text) from None
