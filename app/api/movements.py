"""The bridge of recurring revenue: what moved it, exact to the minor unit."""

from typing import Any

from app.api.endpoint import Reply, endpoint
from app.api.meta import moment_meta
from app.api.tables import wants_table
from app.domain.money import Money
from app.domain.periods import Grain
from app.http import database, now
from app.queries.bridges import CATEGORIES, BridgeQuestion, GroupBridge, load_bridges
from app.queries.moments import load_moment
from app.schemas.movements import BridgeAnswer
from app.schemas.parameters import BridgeParameters

AMOUNTS = ("opening", *CATEGORIES, "closing")
CSV_HEADER = ("period", "first_on", "last_on", "group", "label", *AMOUNTS, "currency")


@endpoint(
    "/revenue/movements",
    scope="finance:read",
    parameters=BridgeParameters(),
    answer=BridgeAnswer(),
    csv_header=CSV_HEADER,
)
def show_movements(parameters: dict[str, Any]) -> Reply:
    """The bridge of ARR over a period, by its parts and by group: opening + movements = closing, to the minor unit.

    Each currency stands for itself. A movement is one change of one line on one day; its category is decided for the
    account on that day.
    """
    known = load_moment(database(), as_of=parameters.get("as_of"), known_at=parameters.get("known_at"), now=now())
    grain = parameters.get("grain")
    question = BridgeQuestion(parameters.get("period"), Grain(grain) if grain else None, parameters["group_by"])
    items = [_item(each) for each in load_bridges(database(), question, known=known)]
    body = {
        "group_by": parameters["group_by"],
        "data": items,
        "meta": moment_meta(known, "movements@1", "arr@1", currency=None),
    }
    rows = [
        [*(item[name].amount if name in AMOUNTS else item[name] for name in CSV_HEADER[:-1]), item["opening"].currency]
        for item in items
    ]
    return Reply(body, rows=rows if wants_table(parameters) else None)


def _item(bridge: GroupBridge) -> dict[str, Any]:
    minor = {"opening": bridge.opening, "closing": bridge.closing}
    minor |= {category: bridge.moved.get(category, 0) for category in CATEGORIES}
    return {
        "period": bridge.period.name,
        "first_on": bridge.period.first_on,
        "last_on": bridge.period.last_on,
        "group": bridge.group,
        "label": bridge.label,
        **{name: Money(amount, bridge.currency) for name, amount in minor.items()},
    }
