"""What the address of the list of opportunities asks for."""

from dataclasses import dataclass
from typing import Any

from flask import request

from app.domain.expansion_moves import LIKELIHOODS, MOTIONS, STATES
from app.queries.cursors import Sort
from app.queries.expansion import OpportunityFilter
from app.web.lists import address_of, is_id, read_sort

STATE_GROUPS = {
    "open": ("flagged", "snoozed", "accepted"),
    **{state: (state,) for state in STATES},
    "all": (),
}
FILTERS = ("state", "motion", "likelihood", "csm", "product")
SORTS = ("worth", "flagged")
DEFAULT_SORT = Sort("worth", is_descending=True)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the address asks for, as far as it makes sense; the rest is left out."""

    state: str
    motion: str
    likelihood: str
    csm: str
    product: str
    sort: Sort
    cursor: str | None

    @property
    def is_filtered(self) -> bool:
        return any(getattr(self, name) for name in FILTERS if name != "state") or self.state != "open"

    def as_filter(self) -> OpportunityFilter:
        return OpportunityFilter(
            state=STATE_GROUPS[self.state],
            motion=(self.motion,) if self.motion else (),
            likelihood=(self.likelihood,) if self.likelihood else (),
            csm=(int(self.csm),) if self.csm else (),
            product_id=int(self.product) if self.product else None,
        )

    def address(self, endpoint: str, **changed: Any) -> str:
        """The address of the same question, with something changed."""
        given = {name: getattr(self, name) for name in FILTERS} | {"sort": self.sort.text} | changed
        return address_of(endpoint, given)


def read_asked() -> Asked:
    def one_of(name: str, known: Any, *, otherwise: str = "") -> str:
        value = request.args.get(name, "")
        return value if value in known else otherwise

    def number(name: str) -> str:
        value = request.args.get(name, "")
        return value if is_id(value) else ""

    sort = read_sort()
    return Asked(
        state=one_of("state", STATE_GROUPS, otherwise="open"),
        motion=one_of("motion", MOTIONS),
        likelihood=one_of("likelihood", LIKELIHOODS),
        csm=number("csm"),
        product=number("product"),
        sort=sort if sort.name in SORTS else DEFAULT_SORT,
        cursor=request.args.get("cursor") or None,
    )
