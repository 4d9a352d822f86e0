"""What the address of the list of accounts asks for."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from flask import request

from app.auth import may
from app.domain.texts import is_one_line
from app.queries.accounts import SORT_COLUMNS, AccountFilter
from app.queries.cursors import Sort
from app.web.health import TONES
from app.web.lists import address_of, is_id, read_sort
from app.web.moment import Moment

LONGEST_SEARCH = 100
STATUSES = {
    "current": ("live", "in_grace", "upcoming"),
    "churned": ("churned",),
    "none": ("not_applicable",),
    "all": (),
}
RENEWAL_DAYS = (30, 60, 90, 180)
FILTERS = ("search", "segment", "plan", "channel", "band", "csm", "renewal", "status")
DEFAULT_SORT = Sort("churn_probability", is_descending=True)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the address asks for, as far as it makes sense; the rest is left out."""

    search: str
    segment: str
    plan: str
    channel: str
    band: str
    csm: str
    renewal: str
    status: str
    sort: Sort
    cursor: str | None

    def as_filter(self, moment: Moment) -> AccountFilter:
        def one(value: str) -> tuple[str, ...]:
            return (value,) if value else ()

        days = int(self.renewal) if self.renewal else None
        return AccountFilter(
            segment=one(self.segment),
            plan=one(self.plan),
            channel=one(self.channel),
            band=one(self.band),
            csm=(int(self.csm),) if self.csm else (),
            status=STATUSES[self.status],
            search=self.search or None,
            renewal_before=moment.as_of + timedelta(days=days + 1) if days else None,
        )

    def address(self, endpoint: str, **changed: Any) -> str:
        """The address of the same question, with something changed."""
        given = {name: getattr(self, name) for name in FILTERS} | {"sort": self.sort.text} | changed
        return address_of(endpoint, given)


def read_asked(moment: Moment) -> Asked:
    given = {name: _printable(request.args.get(name, "")) for name in (*FILTERS, "cursor")}
    sort = read_sort()
    is_subscription = moment.run is not None and moment.run.basis != "not_applicable"
    return Asked(
        search=given["search"].strip()[:LONGEST_SEARCH],
        segment=given["segment"],
        plan=given["plan"],
        channel=given["channel"],
        band=given["band"] if given["band"] in TONES else "",
        csm=given["csm"] if is_id(given["csm"]) else "",
        renewal=given["renewal"] if given["renewal"] in {str(days) for days in RENEWAL_DAYS} else "",
        status=given["status"] if given["status"] in STATUSES else ("current" if is_subscription else "all"),
        sort=sort if _may_sort_by(sort.name) else (DEFAULT_SORT if moment.run else Sort("name")),
        cursor=given["cursor"] or None,
    )


def _may_sort_by(name: str) -> bool:
    """An order by what one may not see would tell it."""
    return name in SORT_COLUMNS and (name != "ltv" or may("ltv:read"))


def _printable(text: str) -> str:
    return "".join(character for character in text if is_one_line(character))
