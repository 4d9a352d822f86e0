"""Deals and their lines, wherever they lie in the files, put together again and recorded whole."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from app.db import reading
from app.domain.money import Money
from app.queries.ids import find_contracts
from app.services.deal_terms import DealRefused, settle
from app.services.deals import WON, record_deals
from app.services.sources import Recorded, Refusal
from app.services.versions import Outcome
from integrations.files.reader import BadRow
from integrations.files.rows import ClosedDeal, DealRow, LineRow
from integrations.files.spool import DealPart, Place, Spool
from jobs.import_nouns import refused_references
from jobs.import_run import CHUNK, DEAL_PARTS, ImportUnderWay

DEAL_CHUNK = 500


@dataclass(frozen=True, slots=True)
class Assembled:
    """A deal that is whole, and where each part of it was read."""

    closed: ClosedDeal
    place: Place
    line_places: tuple[Place, ...]

    @property
    def places(self) -> set[Place]:
        return {self.place, *self.line_places}

    def place_of(self, part: int | None) -> Place:
        return self.place if part is None else self.line_places[part]


class Head(NamedTuple):
    """A row that says what the deal is, apart from its lines."""

    place: Place
    row: DealRow


@dataclass(frozen=True, slots=True)
class Spoilt:
    """Rows that cannot be recorded: of a deal that is not whole, or second of its id (`is_conflict`)."""

    deal: str
    problems: tuple[tuple[Place, str], ...]
    is_conflict: bool = False


def assemble_deals(spool: Spool) -> Iterator[Assembled | Spoilt]:
    """Every deal that was read, in the order of first appearance.

    Rows of one deal that repeat its head must agree on it; where the rows carry lines too, one that
    does not agree spoils the deal. A second head without lines is a conflict: the first is kept.
    """
    for deal, spoilt, parts in spool.deals():
        heads = [Head(part.place, part.row) for part in parts if isinstance(part.row, DealRow)]
        lines = [part for part in parts if isinstance(part.row, LineRow)]
        others = [part for part in heads if part.row != heads[0].row]
        if spoilt:
            yield _spoilt(deal, parts, reason=f"another row of the deal {deal!r} was set aside: {spoilt}")
        elif not heads:
            yield _spoilt(
                deal, parts, reason=f"there is no deal {deal!r} in the files; import it together with its lines"
            )
        elif any(part.place in {line.place for line in lines} for part in others):
            yield _spoilt(deal, parts, reason=f"the rows of the deal {deal!r} say different things of it")
        else:
            if others:
                reason = (
                    f"the deal {deal!r} was read before with other content (line {heads[0].place.line}), which is kept"
                )
                yield Spoilt(deal, tuple((part.place, reason) for part in others), is_conflict=True)
            yield _whole(heads[0], _once(lines))


def _spoilt(deal: str, parts: list[DealPart], *, reason: str) -> Spoilt:
    return Spoilt(deal, tuple((place, reason) for place in sorted({part.place for part in parts})))


def _once(lines: list[DealPart]) -> list[DealPart]:
    """Lines without the repetitions of one that has a key; a line without a key is known by its number."""
    kept: list[DealPart] = []
    known: dict[str, LineRow] = {}
    for part in lines:
        if isinstance(part.row, LineRow):
            if not part.row.key or known.get(part.row.key) != part.row:
                kept.append(part)
            known.setdefault(part.row.key, part.row)
    return kept


def _whole(head: Head, lines: list[DealPart]) -> Assembled:
    rows = [part.row for part in lines if isinstance(part.row, LineRow)]
    numbered = tuple(replace(row, key=row.key or str(number)) for number, row in enumerate(rows, start=1))
    return Assembled(ClosedDeal(head.row, numbered), head.place, tuple(part.place for part in lines))


def import_deals(run: ImportUnderWay) -> None:
    """Read the parts of all deals, then record the deals in chunks."""
    for file in run.files:
        if file.nouns & set(DEAL_PARTS):
            for batch in run.rows(file, DEAL_PARTS, size=CHUNK):
                run.report.noun("line").read += sum(len(lines) for noun, lines in batch if noun == "line")
                parts = [DealPart(Place(file.number, line), row) for _, lines in batch for line, row in lines]
                run.spool.add_parts(_without_repeated_heads(parts))
    chunk: list[Assembled] = []
    for deal in assemble_deals(run.spool):
        run.report.noun("deal").read += 1
        if isinstance(deal, Spoilt):
            _set_aside(run, deal)
            continue
        chunk.append(deal)
        if len(chunk) == DEAL_CHUNK:
            _import_chunk(run, chunk)
            chunk = []
    if chunk:
        _import_chunk(run, chunk)
    _name_later_ones(run)


def _without_repeated_heads(parts: list[DealPart]) -> Iterator[DealPart]:
    """Files of lines tell the deal again on each of them; once is enough while it stays the same."""
    last: DealRow | None = None
    for part in sorted(parts, key=lambda part: part.place):
        if isinstance(part.row, LineRow) or part.row != last:
            yield part
        if isinstance(part.row, DealRow):
            last = part.row


def _set_aside(run: ImportUnderWay, spoilt: Spoilt) -> None:
    for place, reason in spoilt.problems:
        if spoilt.is_conflict:
            run.conflict("deal", place, reason=reason)
        else:
            run.reject(place.file, BadRow(place.line, "", reason))
    run.report.noun("deal").rejected += not spoilt.is_conflict


def _import_chunk(run: ImportUnderWay, chunk: Sequence[Assembled]) -> None:
    deals = [each.closed for each in chunk]
    for each in chunk:
        run.spool.first_of("deal", each.closed.deal.id, row=each.closed.deal, place=each.place)
    if run.options.is_check:
        recorded = Recorded(Outcome(), _check(run, deals))
    else:
        recorded = _record(run, deals)
        run.deals_to_repeat += _naming_later_ones(run, deals)
    run.report.noun("deal").count(recorded)
    for refusal in recorded.refusals:
        _refuse(run, chunk[refusal.position], refusal=refusal)
    refused = {refusal.position for refusal in recorded.refusals}
    for position, closed in enumerate(deals):
        if position not in refused and closed.deal.stage == WON:
            _add_up(run, closed)
    run.deals_done += len(chunk)
    run.options.progress("deals", run.deals_done)


def _record(run: ImportUnderWay, deals: Sequence[ClosedDeal]) -> Recorded:
    return run.record(lambda session, change: record_deals(session, change, source=run.source, deals=deals))


def _naming_later_ones(run: ImportUnderWay, deals: Sequence[ClosedDeal]) -> list[ClosedDeal]:
    """The deals that renew or supersede one which has not been recorded yet."""
    names = [(each, {each.deal.renewal_of, each.deal.supersedes} - {None}) for each in deals]
    with reading(run.engine) as session:
        wanted = {name for _, named in names for name in named if name}
        known = set(find_contracts(session, run.source.system, deals=wanted))
    return [each for each, named in names if named - known]


def _name_later_ones(run: ImportUnderWay) -> None:
    """Record once more the deals that name one further on in the files: by now it has its contract."""
    for start in range(0, len(run.deals_to_repeat), DEAL_CHUNK):
        _record(run, run.deals_to_repeat[start : start + DEAL_CHUNK])


def _check(run: ImportUnderWay, deals: Sequence[ClosedDeal]) -> tuple[Refusal, ...]:
    with reading(run.engine) as session:
        refusals = list(refused_references(session, run, rows=[each.deal for each in deals]))
    for position, closed in enumerate(deals):
        try:
            settle(closed)
        except DealRefused as error:
            refusals.append(Refusal(position, error.field, str(error), part=error.line))
    return tuple(refusals)


def _refuse(run: ImportUnderWay, deal: Assembled, *, refusal: Refusal) -> None:
    """All rows of a deal that was refused: the one at fault with its reason, the others because of it."""
    at_fault = deal.place_of(refusal.part)
    run.reject(at_fault.file, BadRow(at_fault.line, refusal.field, refusal.reason))
    for place in sorted(deal.places - {at_fault}):
        reason = f"another row of its deal was set aside: line {at_fault.line}: {refusal.reason}"
        run.reject(place.file, BadRow(place.line, "", reason))
    if refusal.field == "account" and deal.closed.deal.account:
        run.note_unknown(deal.closed.deal.account)


def _add_up(run: ImportUnderWay, closed: ClosedDeal) -> None:
    terms = settle(closed)
    run.products_named |= {line.product for line in closed.lines}
    if terms.amount is not None and terms.exact is not None:
        booked: Money = terms.amount
        run.report.add_deal(
            booked.currency,
            at_source=terms.exact,
            booked=booked.amount,
            lines=[line.amount for line in closed.lines],
        )
