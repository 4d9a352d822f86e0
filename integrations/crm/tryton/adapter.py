"""Tryton as a CRM: opportunities, the sales that won them, and the parties that they are with."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from integrations.crm.client import (
    About,
    Changed,
    CrmError,
    CrmRefused,
    Fate,
    Found,
    Keep,
    Noun,
    Option,
    Page,
    Push,
    Window,
    WriteBack,
    keep_nowhere,
)
from integrations.crm.mapping import CrmMapping
from integrations.crm.transport import Transport
from integrations.crm.tryton.deals import deal_fields, deal_of
from integrations.crm.tryton.domains import EVEN_INACTIVE, after, changed
from integrations.crm.tryton.options import list_options
from integrations.crm.tryton.rows import (
    OF_A_COMPANY,
    OF_A_CONTACT,
    account_row,
    contact_row,
    fields_of,
    product_row,
    staff_row,
)
from integrations.crm.tryton.values import modified_at, text_at, value_at
from integrations.crm.tryton.wire import Domain, Record, Rest
from integrations.crm.tryton.writing import write

IDS_A_PAGE = 1_000
LONGEST_CHAIN = 20
_DATES = ("create_date", "write_date")


def connect(
    transport: Transport,
    mapping: CrmMapping,
    *,
    secret: Mapping[str, str],
    keep: Keep = keep_nowhere,  # noqa: ARG001  its key stays as it is
) -> "Tryton":
    """`secret` has the token: the key of a user application of the kind REST."""
    if not secret.get("token"):
        raise CrmRefused("Tryton needs the key of a user application for REST.")
    rest = Rest(transport, database=str(mapping.options["database"]), key=secret["token"])
    return Tryton(rest, mapping)


@dataclass(frozen=True, slots=True)
class _Source:
    """Where a noun comes from. `through` leads to what changes it; `party` is where it names its party, if it does."""

    model: str
    fields: Sequence[str]
    through: tuple[str, ...] = ()
    party: str | None = None
    has_inactive: bool = False

    @property
    def filter(self) -> Domain:
        return [EVEN_INACTIVE] if self.has_inactive else []


class Tryton:
    """A transaction of Tryton's is dated by its beginning and seen at its end: hence the overlap."""

    overlap_seconds = 900
    lag_seconds = 60

    def __init__(self, rest: Rest, mapping: CrmMapping) -> None:
        self._rest, self._mapping = rest, mapping
        self._size = int(mapping.options["page_size"])
        self._sources = _sources(mapping)
        self._readers: Mapping[Noun, Callable[[Sequence[Record]], tuple[Changed[Any], ...]]] = {
            Noun.OWNER: self._owners,
            Noun.COMPANY: self._companies,
            Noun.CONTACT: self._contacts,
            Noun.PRODUCT: self._products,
            Noun.DEAL: self._deals,
        }

    def ask_about(self) -> About:
        company = str(self._rest.context["company"])
        user = self._rest.call("res.user", "get_preferences", body={"context_only": False})
        (found,) = self._rest.search(
            "company.company", [["id", "=", int(company)]], fields=("party.name", "currency.code")
        )
        name = text_at(found, "party.name") or company
        login = text_at(user, "name") or text_at(user, "email") or ""
        return About(name, login, version=self._rest.ask_version(), currency=text_at(found, "currency.code"))

    def nouns(self) -> Sequence[Noun]:
        return tuple(Noun)

    def read(self, noun: Noun, window: Window, *, mark: str | None = None) -> Iterator[Page[Any]]:
        """By id within the window. Only parties that an opportunity is with are companies: they are reached by what
        changed of themselves, and then by the deals that changed; the mark says which."""
        if self._sources[noun].party is None:
            yield from self._read_changed(noun, window, last=int(mark or 0), prefix="")
            return
        way, _, last = (mark or "changed:0").partition(":")
        if way == "changed" and window.since is not None:
            yield from self._read_changed(noun, window, last=int(last), prefix="changed:")
        yield from self._read_by_deals(noun, window, last=int(last) if way == "deals" else 0)

    def list_ids(self, noun: Noun) -> Iterator[Sequence[str]]:
        source, last = self._sources[noun], 0
        filter_ = [*source.filter, *([["replaced_by", "=", None]] if noun is Noun.COMPANY else [])]
        while found := self._rest.search(source.model, after(filter_, last), fields=(), size=IDS_A_PAGE):
            last = found[-1]["id"]
            yield [str(each["id"]) for each in found]

    def find(self, noun: Noun, ids: Sequence[str]) -> Mapping[str, Found]:
        source = self._sources[noun]
        fields = (*_DATES, "replaced_by") if noun is Noun.COMPANY else _DATES
        found = {each["id"]: each for each in self._by_id(noun, _numbers(ids), fields=fields)}
        return {id_: self._fate(found.get(int(id_) if id_.isdecimal() else -1), source) for id_ in ids}

    def list_options(self) -> Mapping[str, Sequence[Option]]:
        return list_options(self._rest, self._mapping)

    def write(self, what: WriteBack) -> str:
        return write(self._rest, self._mapping, what=what)

    def is_genuine(self, push: Push, *, secret: str, now: datetime) -> bool:  # noqa: ARG002
        """Tryton does not push."""
        return False

    def _read_changed(self, noun: Noun, window: Window, *, last: int, prefix: str) -> Iterator[Page[Any]]:
        source = self._sources[noun]
        domain = [changed(window, through=source.through), *source.filter]
        total = None if last or prefix else self._rest.count(source.model, domain)
        while found := self._rest.search(source.model, after(domain, last), fields=source.fields, size=self._size):
            last = found[-1]["id"]
            items = self._readers[noun](self._of_customers(source, found))
            yield Page(items, f"{prefix}{last}", total=total)

    def _read_by_deals(self, noun: Noun, window: Window, *, last: int) -> Iterator[Page[Any]]:
        """The companies and contacts of the deals that changed."""
        source, deals = self._sources[noun], self._sources[Noun.DEAL]
        domain = changed(window, through=deals.through)
        while found := self._rest.search(deals.model, after(domain, last), fields=("party",), size=self._size):
            last = found[-1]["id"]
            parties = sorted({each["party"] for each in found if each["party"] is not None})
            records = self._rest.search(
                source.model, [[source.party, "in", parties], *source.filter], fields=source.fields
            )
            yield Page(self._readers[noun](records), f"deals:{last}")

    def _of_customers(self, source: _Source, found: Sequence[Record]) -> Sequence[Record]:
        """Those whose party an opportunity is with, and parties that another took the place of."""
        if source.party is None:
            return found
        parties = sorted({value_at(each, source.party) for each in found})
        deals = self._rest.search("sale.opportunity", [["party", "in", parties]], fields=("party",))
        customers = {each["party"] for each in deals}
        return [each for each in found if value_at(each, source.party) in customers or each.get("replaced_by")]

    def _by_id(self, noun: Noun, ids: Sequence[int], *, fields: Sequence[str]) -> Iterator[Record]:
        source = self._sources[noun]
        for start in range(0, len(ids), self._size):
            part = list(ids[start : start + self._size])
            yield from self._rest.search(source.model, [["id", "in", part], *source.filter], fields=fields)

    def _fate(self, found: Record | None, source: _Source) -> Found:
        if found is None:
            return Found(Fate.GONE)
        if source.model == "party.party" and found["replaced_by"] is not None:
            return Found(Fate.MERGED, str(self._heir_of(found)))
        return Found(Fate.THERE, modified_at=modified_at(found))

    def _heir_of(self, party: Record) -> int:
        """Who took the place of a party, and of whoever took it, to the end."""
        heir: int = party["replaced_by"]
        for _ in range(LONGEST_CHAIN):
            (found,) = self._by_id(Noun.COMPANY, [heir], fields=("replaced_by",))
            if found["replaced_by"] is None:
                return heir
            heir = found["replaced_by"]
        raise CrmError(f"In Tryton, party {party['id']} was replaced in a circle.")

    def _owners(self, found: Sequence[Record]) -> tuple[Changed[Any], ...]:
        paths = ("party", "party.contact_mechanisms")
        return tuple(Changed(str(each["id"]), modified_at(each, *paths), staff_row(each)) for each in found)

    def _companies(self, found: Sequence[Record]) -> tuple[Changed[Any], ...]:
        """A party that was replaced comes as the one that took its place."""
        heirs = {each["id"]: self._heir_of(each) for each in found if each["replaced_by"] is not None}
        fields = self._sources[Noun.COMPANY].fields
        living = {each["id"]: each for each in found if each["id"] not in heirs}
        missing = sorted(set(heirs.values()) - set(living))
        living |= {each["id"]: each for each in self._by_id(Noun.COMPANY, missing, fields=fields)}
        return tuple(
            Changed(
                str(id_),
                modified_at(each, "addresses"),
                account_row(each, self._mapping),
                merged=tuple(str(old) for old, heir in heirs.items() if heir == id_),
            )
            for id_, each in living.items()
        )

    def _contacts(self, found: Sequence[Record]) -> tuple[Changed[Any], ...]:
        return tuple(
            Changed(
                str(each["id"]),
                modified_at(each),
                contact_row(each, self._mapping) if each["active"] else None,
            )
            for each in found
        )

    def _products(self, found: Sequence[Record]) -> tuple[Changed[Any], ...]:
        currency = self.ask_about().currency if found else None
        return tuple(
            Changed(
                str(each["id"]),
                modified_at(each, "template"),
                product_row(each, self._mapping, currency=currency),
            )
            for each in found
        )

    def _deals(self, found: Sequence[Record]) -> tuple[Changed[Any], ...]:
        return tuple(
            Changed(str(each["id"]), modified_at(each, "sales", "sales.lines"), deal_of(each, self._mapping))
            for each in found
        )


def _numbers(ids: Sequence[str]) -> list[int]:
    return [int(id_) for id_ in ids if id_.isdecimal()]


def _dates(*paths: str) -> tuple[str, ...]:
    return tuple(f"{path}.{name}" for path in paths for name in _DATES)


def _sources(mapping: CrmMapping) -> Mapping[Noun, _Source]:
    company = ("name", "code", "replaced_by", "addresses.country.code", *_DATES, *_dates("addresses"))
    person = ("type", "value", "name", "active", "party.name", *_DATES)
    employee = (
        *("party.name", "party.email", "party.phone", "end_date", *_DATES),
        *_dates("party", "party.contact_mechanisms"),
    )
    product = ("code", "list_price_used", "template.name", "template.default_uom.name", *_DATES, *_dates("template"))
    return {
        Noun.OWNER: _Source(
            "company.employee", employee, through=("party", "party.contact_mechanisms"), has_inactive=True
        ),
        Noun.COMPANY: _Source(
            "party.party",
            (*company, *fields_of(mapping, OF_A_COMPANY)),
            through=("addresses",),
            party="id",
            has_inactive=True,
        ),
        Noun.CONTACT: _Source(
            "party.contact_mechanism",
            (*person, *fields_of(mapping, OF_A_CONTACT)),
            party="party",
            has_inactive=True,
        ),
        Noun.PRODUCT: _Source(
            "product.product", (*product, *fields_of(mapping, ("sku",))), through=("template",), has_inactive=True
        ),
        Noun.DEAL: _Source("sale.opportunity", deal_fields(mapping), through=("sales", "sales.lines")),
    }
