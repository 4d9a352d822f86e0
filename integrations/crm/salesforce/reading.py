"""What changed in a window, page by page; what there is; what became of the rest.

Deleted records stay to be read for fifteen days (queryAll), and each merged one names the one that it lives on in.
A line may change without its deal, where the sum stays the same: so the deals of lines that changed are read too.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from integrations.crm.client import Changed, CrmNonsense, Fate, Found, Noun, Page, Window
from integrations.crm.mapping import CrmMapping
from integrations.crm.salesforce import soql
from integrations.crm.salesforce.deals import read_deal
from integrations.crm.salesforce.rows import (
    LINES,
    TABLES,
    Table,
    account_row,
    contact_row,
    own_fields,
    product_row,
    staff_row,
)
from integrations.crm.salesforce.schema import Schema, text_at, value_at
from integrations.crm.salesforce.session import Record, SalesforceError, Session

MERGING = frozenset({Noun.COMPANY, Noun.CONTACT})
DEALS, LINES_OF_DEALS = 0, 1  # the parts of a reading of deals; others have the first alone
_ROWS: Mapping[Noun, Callable[[Record, CrmMapping], Any]] = {
    Noun.OWNER: staff_row,
    Noun.COMPANY: account_row,
    Noun.CONTACT: contact_row,
    Noun.PRODUCT: product_row,
}


@dataclass(frozen=True, slots=True)
class Reader:
    session: Session
    schema: Schema
    mapping: CrmMapping

    def read(self, noun: Noun, window: Window, *, mark: str | None) -> Iterator[Page[Any]]:
        place = soql.read_mark(mark)
        if place.part == DEALS:
            yield from self._changed(noun, window, place=place)
            place = soql.Place(LINES_OF_DEALS)
        if noun is Noun.DEAL and window.since is not None:
            yield from self._deals_of_changed_lines(window, place)

    def _changed(self, noun: Noun, window: Window, *, place: soql.Place) -> Iterator[Page[Any]]:
        table = TABLES[noun]
        total = None
        if place.at:
            conditions = [*table.where, *soql.within(window)]
            total = self._count(table.sobject, conditions)

        def ask(after: soql.Place) -> str:
            return self._query(noun, [*table.where, *soql.within(window, after)], order=soql.BY_CHANGE)

        for records, reached, size in self._pages(ask, window, place=place):
            total = size if total is None else total
            yield Page(self._items(noun, records), reached.mark(), total)

    def _deals_of_changed_lines(self, window: Window, place: soql.Place) -> Iterator[Page[Any]]:
        """Of lines that changed in the window while their deals did not."""
        since = soql.instant(window.since) if window.since else ""

        def ask(after: soql.Place) -> str:
            conditions = [*soql.within(window, after), f"Opportunity.SystemModstamp < {since}"]
            return soql.select(
                LINES.sobject, ("Id", "SystemModstamp", "OpportunityId"), where=conditions, order=soql.BY_CHANGE
            )

        for records, reached, _ in self._pages(ask, window, place=place):
            names = list(dict.fromkeys(str(record["OpportunityId"]) for record in records))
            yield Page(self._items(Noun.DEAL, self._records(Noun.DEAL, names)), reached.mark())

    def _pages(
        self, ask: Callable[[soql.Place], str], window: Window, *, place: soql.Place
    ) -> Iterator[tuple[list[Record], soql.Place, int]]:
        """The records of each page, the place after them, and how many the query has.

        A query that Salesforce has forgotten is asked anew from the place that was reached.
        """
        asked_from = None
        while asked_from != place:
            asked_from = place
            try:
                for page in self.session.pages(ask(place), with_deleted=True):
                    records = _settled(page.records, window, after=place)
                    if records:
                        place = soql.Place(place.part, _modified_at(records[-1]), str(records[-1]["Id"]))
                        yield records, place, page.total
            except SalesforceError as error:
                if error.code != "INVALID_QUERY_LOCATOR" or asked_from == place:
                    raise
            else:
                return

    def _items(self, noun: Noun, records: Sequence[Record]) -> tuple[Changed[Any], ...]:
        """What a page of records says; of one that was merged, the one that it lives on in."""
        merged = [str(record["Id"]) for record in records if value_at(record, "MasterRecordId")]
        lives_in: dict[str, list[str]] = defaultdict(list)
        for name, found in self.find(noun, merged).items() if merged else ():
            lives_in[found.into or name].append(name)
        living = [record for record in records if str(record["Id"]) not in merged]
        here = {str(record["Id"]) for record in living}
        living += self._records(noun, [name for name in lives_in if name not in here])
        return tuple(self._item(noun, record, merged=lives_in.get(str(record["Id"]), ())) for record in living)

    def _item(self, noun: Noun, record: Record, *, merged: Sequence[str]) -> Changed[Any]:
        lines = self._lines(record) if noun is Noun.DEAL else []
        modified_at = max(soql.read_instant(each["SystemModstamp"]) for each in (record, *lines))
        row = None
        if not value_at(record, "IsDeleted"):
            living = [line for line in lines if not value_at(line, "IsDeleted")]
            row = (
                read_deal(record, living, mapping=self.mapping)
                if noun is Noun.DEAL
                else _ROWS[noun](record, self.mapping)
            )
        return Changed(str(record["Id"]), modified_at, row, tuple(sorted(merged)))

    def _lines(self, record: Record) -> list[Record]:
        """A deal's lines, also those that come in a page of their own, in the order in which they were made."""
        below = record.get("OpportunityLineItems")
        if below is None:
            return []
        lines = [line for page in self.session.follow(below) for line in page.records]
        return sorted(lines, key=lambda line: str(line["Id"]))

    def _records(self, noun: Noun, names: Sequence[str]) -> list[Record]:
        return [
            record
            for part in soql.in_parts(names)
            for record in self.session.records(self._query(noun, [f"Id IN {soql.ids(part)}"]), with_deleted=True)
        ]

    def list_ids(self, noun: Noun) -> Iterator[Sequence[str]]:
        table = TABLES[noun]
        for page in self.session.pages(soql.select(table.sobject, ("Id",), where=table.where, order="Id")):
            if page.records:
                yield [str(record["Id"]) for record in page.records]

    def find(self, noun: Noun, names: Sequence[str]) -> dict[str, Found]:
        """What became of each; one merged twice over lives on in the last."""
        fates: dict[str, Found] = {}
        pending = list(dict.fromkeys(names))
        while pending:
            found = self._fates(noun, pending)
            fates |= found
            pending = [fate.into for fate in found.values() if fate.into and fate.into not in fates]
        return {name: Found(Fate.MERGED, _last(name, fates)) if fates[name].into else fates[name] for name in names}

    def _fates(self, noun: Noun, names: Sequence[str]) -> dict[str, Found]:
        table = TABLES[noun]
        columns = [name for name in ("Id", "IsDeleted", "MasterRecordId", "SystemModstamp") if name in table.needed]
        fates = {name: Found(Fate.GONE) for name in names}
        for part in soql.in_parts(names):
            query = soql.select(table.sobject, columns, where=[f"Id IN {soql.ids(part)}"])
            for record in self.session.records(query, with_deleted=True):
                into = text_at(record, "MasterRecordId")
                is_gone = bool(value_at(record, "IsDeleted"))
                fate = Fate.MERGED if into else Fate.GONE if is_gone else Fate.THERE
                at = soql.read_instant(str(record["SystemModstamp"])) if fate is Fate.THERE else None
                fates[str(record["Id"])] = Found(fate, into, modified_at=at)
        return fates

    def _count(self, sobject: str, conditions: Sequence[str]) -> int:
        query = soql.select(sobject, ("COUNT()",), where=conditions)
        return next(self.session.pages(query, with_deleted=True)).total

    def _query(self, noun: Noun, conditions: Sequence[str], *, order: str | None = None) -> str:
        table, columns = TABLES[noun], self._columns(TABLES[noun])
        if noun is Noun.DEAL:
            columns.append(f"({soql.select('OpportunityLineItems', self._columns(LINES))})")
        return soql.select(table.sobject, columns, where=conditions, order=order)

    def _columns(self, table: Table) -> list[str]:
        """What is asked for of a table: ours, what the mapping names, and the currency where there are several."""
        wanted = [*table.wanted, *own_fields(table, self.mapping)]
        if table is TABLES[Noun.DEAL]:
            wanted += [path for each in self.mapping.promises for path in (each.field, each.due_field) if path]
            wanted += ["CurrencyIsoCode"] if self.schema.has_currencies() else []
        return self.schema.columns(table.sobject, needed=table.needed, wanted=wanted)


def _modified_at(record: Record) -> str:
    return soql.instant(soql.read_instant(value_at(record, "SystemModstamp")))


def _settled(records: Sequence[Record], window: Window, *, after: soql.Place) -> list[Record]:
    """Those of the window: what was changed while its page was waited for belongs to the next.

    CrmNonsense where they are not in the order that was asked for: a mark in it would pass some by.
    """
    kept, last = [], after.at
    for record in records:
        at = _modified_at(record)
        if soql.read_instant(at) >= window.until:
            continue
        if at < last:
            raise CrmNonsense("Salesforce's records are not in the order that was asked for.")
        kept.append(record)
        last = at
    return kept


def _last(name: str, fates: Mapping[str, Found]) -> str:
    """The end of a chain of mergers, which may not lead back."""
    passed = {name}
    while (into := fates[name].into) is not None:
        if into in passed:
            raise CrmNonsense("Salesforce's records are merged in a circle.")
        passed.add(into)
        name = into
    return name
