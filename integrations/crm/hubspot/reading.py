"""How a window is read, in parts that follow one another; a mark names the part and where in it to go on.

1. What was modified, found by HubSpot's search and read by id. The search is an index that lags; what is read is not.
2. Deals of which a line was modified: that alone does not touch the deal.
3. What was archived, by the list of all that is archived: that does not touch anything either.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from integrations.crm.client import Changed, CrmError, Fate, Found, Noun, Page, Window
from integrations.crm.hubspot.rows import Parts, Rows, merged_ids, wanted_properties
from integrations.crm.hubspot.wire import Thing, Wire
from integrations.crm.mapping import CrmMapping

KINDS = {Noun.COMPANY: "companies", Noun.CONTACT: "contacts", Noun.PRODUCT: "products", Noun.DEAL: "deals"}
MODIFIED = {"contacts": "lastmodifieddate"}  # the others: hs_lastmodifieddate
END = "end"  # in a mark: nothing of this part is left
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Pages = Iterator[Page[Any]]
Part = Callable[..., Pages]  # of a noun, a window, and the place in the part to go on from


@dataclass(frozen=True, slots=True)
class Reading:
    wire: Wire
    mapping: CrmMapping
    rows: Callable[[], Rows]  # asked for when the first thing is there to be read

    def read(self, noun: Noun, window: Window, *, mark: str | None) -> Pages:
        parts = self._parts(noun, window)
        name, _, place = (mark or next(iter(parts))).partition(":")
        if name not in parts:
            raise CrmError(f"The mark {mark!r} is none of HubSpot's; read the window from its beginning.")
        names = list(parts)
        for own in names[names.index(name) :]:
            if place != END:
                yield from parts[own](noun, window, place=place or None)
            place = ""

    def _parts(self, noun: Noun, window: Window) -> Mapping[str, Part]:
        if noun is Noun.OWNER:
            return {"active": self._read_owners, "left": partial(self._read_owners, is_archived=True)}
        parts: dict[str, Part] = {"modified": self._read_modified}
        if window.since is None:  # nothing is known that could have gone, and every deal is read with its lines
            return parts
        if noun is Noun.DEAL:
            parts["lines"] = self._read_of_lines
        return parts | {"archived": self._read_archived}

    def _read_modified(self, noun: Noun, window: Window, *, place: str | None) -> Pages:
        total = None
        for ids, left in self._search(KINDS[noun], window, after_id=place):
            total = left if place is None and total is None else total
            yield Page(tuple(self._changed(noun, self._things(noun, ids))), f"modified:{ids[-1]}", total=total)

    def _read_of_lines(self, noun: Noun, window: Window, *, place: str | None) -> Pages:
        """Deals modified in the window themselves were given already."""
        for line_ids, _ in self._search("line_items", window, after_id=place):
            links = self.wire.links(line_ids, of="line_items", to="deals")
            deal_ids = sorted({link.id for own in links.values() for link in own}, key=int)
            things = [thing for thing in self._things(noun, deal_ids) if not _is_within(thing.modified_at, window)]
            yield Page(tuple(self._changed(noun, things)), f"lines:{line_ids[-1]}")

    def _read_archived(self, noun: Noun, window: Window, *, place: str | None) -> Pages:
        """A merged thing is archived, too, but lives on."""
        while True:
            things, following = self.wire.list_page(KINDS[noun], after=place, is_archived=True)
            at = {thing.id: thing.archived_at or thing.modified_at for thing in things}
            recent = [id_ for id_ in at if _is_within(at[id_], window)]
            fates = self.find(noun, recent) if recent else {}
            gone: list[Changed[Any]] = [Changed(id_, at[id_], None) for id_ in recent if fates[id_].fate is Fate.GONE]
            if gone:
                yield Page(tuple(gone), f"archived:{following or END}")
            if following is None:
                return
            place = following

    def _read_owners(self, _noun: Noun, window: Window, *, place: str | None, is_archived: bool = False) -> Pages:
        """All are asked for, as there is no search of them; few are many."""
        name, rows = "left" if is_archived else "active", self.rows()
        while True:
            given, following = self.wire.list_owners(after=place, is_archived=is_archived)
            items = [rows.owner(each, is_archived=is_archived) for each in given]
            if within := tuple(item for item in items if _is_within(item.modified_at, window)):
                yield Page(within, f"{name}:{following or END}")
            if following is None:
                return
            place = following

    def _search(self, kind: str, window: Window, *, after_id: str | None) -> Iterator[tuple[Sequence[str], int]]:
        name = MODIFIED.get(kind, "hs_lastmodifieddate")
        filters = [{"propertyName": name, "operator": "LT", "value": _milliseconds(window.until)}]
        if window.since is not None:
            filters.append({"propertyName": name, "operator": "GTE", "value": _milliseconds(window.since)})
        while (found := self.wire.search(kind, filters, after_id=after_id)).ids:
            yield found.ids, found.total
            after_id = found.ids[-1]

    def _things(self, noun: Noun, ids: Sequence[str]) -> list[Thing]:
        return self.wire.read_all(KINDS[noun], ids, properties=wanted_properties(KINDS[noun], self.mapping))

    def _changed(self, noun: Noun, things: Sequence[Thing]) -> list[Changed[Any]]:
        if not things:
            return []
        rows = self.rows()
        if noun is Noun.DEAL:
            parts = self._parts_of_deals(things, won={thing.id for thing in things if rows.is_won(thing)})
            return [rows.deal(thing, parts[thing.id]) for thing in things]
        by_noun: dict[Noun, Callable[[Thing], Changed[Any]]] = {
            Noun.COMPANY: rows.company,
            Noun.CONTACT: rows.contact,
            Noun.PRODUCT: rows.product,
        }
        return [by_noun[noun](thing) for thing in things]

    def _parts_of_deals(self, things: Sequence[Thing], *, won: Collection[str]) -> dict[str, Parts]:
        """Companies of all, lines of those that are won."""
        ids = [thing.id for thing in things]
        companies = self.wire.links(ids, of="deals", to="companies")
        links = self.wire.links([id_ for id_ in ids if id_ in won], of="deals", to="line_items")
        line_ids = [link.id for own in links.values() for link in own]
        properties = wanted_properties("line_items", self.mapping)
        lines = {line.id: line for line in self.wire.read_all("line_items", line_ids, properties=properties)}
        return {
            id_: Parts([lines[link.id] for link in links.get(id_, ()) if link.id in lines], companies.get(id_, ()))
            for id_ in ids
        }

    def list_ids(self, noun: Noun) -> Iterator[Sequence[str]]:
        after: str | None = None
        while True:
            if noun is Noun.OWNER:
                owners, following = self.wire.list_owners(after=after, is_archived=False)
                yield [str(each.get("id")) for each in owners]
            else:
                things, following = self.wire.list_page(KINDS[noun], after=after, is_archived=False)
                yield [thing.id for thing in things]
            if following is None:
                return
            after = following

    def find(self, noun: Noun, ids: Sequence[str]) -> dict[str, Found]:
        """A merged thing answers with the one that it lives on in, which names the ids that were merged into it."""
        if noun is Noun.OWNER:
            there = {id_ for part in self.list_ids(noun) for id_ in part}
            return {id_: Found(Fate.THERE if id_ in there else Fate.GONE) for id_ in ids}
        kind, asked = KINDS[noun], set(ids)
        known = [id_ for id_ in ids if id_.isascii() and id_.isdecimal()]
        things = self.wire.read_batch(kind, known, properties=wanted_properties(kind, self.mapping))
        found = {thing.id: Found(Fate.THERE, modified_at=thing.modified_at) for thing in things if thing.id in asked}
        into = {old: thing.id for thing in things for old in merged_ids(thing)}
        found |= {id_: Found(Fate.MERGED, into[id_]) for id_ in asked if id_ in into and id_ not in found}
        is_explained = all(thing.id in asked or asked & set(merged_ids(thing)) for thing in things)
        for id_ in asked - found.keys():
            other = None if is_explained or id_ not in known else self.wire.read_one(kind, id_, properties=())
            found[id_] = Found(Fate.GONE) if other is None else Found(Fate.MERGED, other.id)
        return found


def _is_within(at: datetime, window: Window) -> bool:
    return (window.since is None or at >= window.since) and at < window.until


def _milliseconds(at: datetime) -> str:
    """Rounded up for both ends, so that windows that touch leave nothing between them."""
    microseconds = (at - EPOCH) // timedelta(microseconds=1)
    return str(-(-microseconds // 1000))
