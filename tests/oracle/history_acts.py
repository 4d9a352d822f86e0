"""What can happen in a CRM, at random: deals and what is done to them, as Hypothesis draws them."""

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from operator import add

from hypothesis import strategies as st

from tests.oracle.oracle import Sold, Told

PRODUCTS = ("CORE", "PLUS", "SETUP")
ACTS = (
    *(
        "create",
        "amend",
        "amend",
        "win",
        "reopen",
        "lose",
        "delete",
        "restore",
        "restore",
        "vanish",
        "appear",
        "appear",
    ),
    *("merge deals", "merge deals", "merge companies", "merge companies", "new company"),
    *("cancel", "cancel"),
)
FIRST_DAY = date(2025, 1, 28)

terms = st.one_of(
    st.fixed_dictionaries({"term_months": st.integers(1, 40), "auto_renew": st.booleans()}),
    st.fixed_dictionaries({"ends_on": st.integers(0, 800)}),
    st.fixed_dictionaries({"price_months": st.sampled_from((1, 3, 7, 12)), "auto_renew": st.just(True)}),
    st.fixed_dictionaries({"price_months": st.sampled_from((1, 5, 12)), "term_months": st.integers(1, 40)}),
    st.fixed_dictionaries({"price_months": st.sampled_from((1, 12)), "ends_on": st.integers(0, 800)}),
)


@st.composite
def sold_lines(draw: st.DrawFn, closed_on: date) -> tuple[Sold, ...]:
    keys = draw(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=4, unique=True))
    lines = []
    for key in keys:
        kind = draw(st.sampled_from(("recurring", "recurring", "one_time", "usage_based", "trial")))
        later = draw(st.none() | st.integers(-20, 70))
        starts_on = None if later is None else closed_on + timedelta(days=later)
        agreed = draw(terms) if kind == "recurring" else {}
        if "ends_on" in agreed:
            agreed["ends_on"] = (starts_on or closed_on) + timedelta(days=agreed["ends_on"])
        lines.append(
            Sold(
                key=key,
                product=draw(st.sampled_from(PRODUCTS)),
                kind=kind,
                quantity=draw(st.sampled_from((Decimal(1), Decimal("2.5"), Decimal(40)))),
                amount=draw(st.decimals(-500, 5000, places=draw(st.sampled_from((0, 2, 3, 4))))),
                starts_on=starts_on,
                **agreed,
            )
        )
    return tuple(lines)


@st.composite
def deals(draw: st.DrawFn) -> Told:
    closed_on = FIRST_DAY + timedelta(days=draw(st.integers(0, 390)))
    return Told(
        deal="",
        company="",
        stage=draw(st.sampled_from(("won", "won", "won", "open", "lost"))),
        closed_on=closed_on,
        currency=draw(st.sampled_from(("USD", "JPY", "KWD"))),
        lines=draw(sold_lines(closed_on)),
    )


@dataclass(frozen=True)
class Act:
    """`first` and `second` say which of the deals or companies there are; `is_read`: the CRM is synced afterwards."""

    name: str
    first: int
    second: int
    told: Told
    is_read: bool


acts = st.builds(Act, st.sampled_from(ACTS), st.integers(0, 99), st.integers(0, 99), deals(), st.booleans())

# Three deals are there to begin with: what is done to none at all shows nothing.
sales = st.builds(Act, st.just("create"), st.integers(0, 1), st.just(0), deals(), st.booleans())
histories = st.builds(add, st.lists(sales, min_size=3, max_size=4), st.lists(acts, min_size=6, max_size=12))
