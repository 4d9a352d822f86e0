"""Revenue: bookings of periods and ARR as of a day, exact and as known at an instant."""

from typing import Any

from app.api.endpoint import Reply, endpoint
from app.api.meta import moment_meta
from app.api.tables import wants_table
from app.domain.periods import Grain
from app.domain.revenue import FxBasis
from app.http import database, now
from app.queries.facts import Known
from app.queries.moments import load_moment
from app.queries.revenue import BookingsQuestion, FxChoice, Revenue, load_arr, load_bookings
from app.schemas.parameters import ArrParameters, BookingsParameters
from app.schemas.revenue import ArrAnswer, BookingsAnswer

FX_HEADER = ("fx", "fx_on")
BOOKINGS_CSV_HEADER = (
    *("period", "first_on", "last_on", "group", "label", "amount", "currency", "accounts", "deals"),
    *FX_HEADER,
)
ARR_CSV_HEADER = ("group", "label", "arr", "in_grace", "currency", "accounts", "lines", *FX_HEADER)


@endpoint(
    "/revenue/bookings",
    scope="finance:read",
    parameters=BookingsParameters(),
    answer=BookingsAnswer(),
    csv_header=BOOKINGS_CSV_HEADER,
)
def show_bookings(parameters: dict[str, Any]) -> Reply:
    """Won deals by close date, up to as_of, by period and group.

    Other currencies are converted at the rate of the close date, unless fx says otherwise. Where a
    rate is missing and no conversion was asked for, each currency stands for itself.
    """
    known = _moment(parameters)
    grain = parameters.get("grain")
    question = BookingsQuestion(
        period=parameters.get("period"),
        grain=Grain(grain) if grain else None,
        group_by=parameters["group_by"],
        fx=_fx(parameters),
    )
    found = load_bookings(database(), question, known=known)
    items = [
        {
            "period": each.period.name if each.period else None,
            "first_on": each.period.first_on if each.period else None,
            "last_on": each.period.last_on if each.period else None,
            "group": each.total.group,
            "label": each.label,
            "amount": each.total.amount,
            "accounts": each.total.accounts,
            "deals": each.total.items,
        }
        for each in found.groups
    ]
    body = {
        "group_by": parameters["group_by"],
        "data": items,
        "fx": found.converted,
        "meta": moment_meta(known, "bookings@1", currency=found.converted.currency),
    }
    rows = [_csv_row(item | _fx_cells(found), BOOKINGS_CSV_HEADER, money="amount") for item in items]
    return Reply(body, rows=rows if wants_table(parameters) else None)


@endpoint(
    "/revenue/arr",
    scope="finance:read",
    parameters=ArrParameters(),
    answer=ArrAnswer(),
    csv_header=ARR_CSV_HEADER,
)
def show_arr(parameters: dict[str, Any]) -> Reply:
    """Annual recurring revenue as of a day, by group.

    Other currencies are converted at the rate of as_of, unless fx says otherwise. Where a rate is
    missing and no conversion was asked for, each currency stands for itself.
    """
    known = _moment(parameters)
    found = load_arr(database(), parameters["group_by"], known=known, fx=_fx(parameters))
    items = [
        {
            "group": each.total.group,
            "label": each.label,
            "arr": each.total.amount,
            "in_grace": each.total.in_grace,
            "accounts": each.total.accounts,
            "lines": each.total.items,
        }
        for each in found.groups
    ]
    body = {
        "group_by": parameters["group_by"],
        "data": items,
        "fx": found.converted,
        "meta": moment_meta(known, "arr@1", currency=found.converted.currency),
    }
    rows = [_csv_row(item | _fx_cells(found), ARR_CSV_HEADER, money="arr") for item in items]
    return Reply(body, rows=rows if wants_table(parameters) else None)


def _moment(parameters: dict[str, Any]) -> Known:
    return load_moment(database(), as_of=parameters.get("as_of"), known_at=parameters.get("known_at"), now=now())


def _fx(parameters: dict[str, Any]) -> FxChoice:
    chosen = parameters.get("fx")
    is_off = chosen == "none"
    return FxChoice(
        currency=parameters.get("currency"),
        basis=FxBasis(chosen) if chosen and not is_off else None,
        constant_on=parameters.get("fx_on"),
        is_off=is_off,
    )


def _fx_cells(found: Revenue) -> dict[str, Any]:
    return {"fx": found.converted.basis, "fx_on": found.converted.constant_on}


def _csv_row(item: dict[str, Any], header: tuple[str, ...], *, money: str) -> list[Any]:
    """Money as plain numbers, their currency in a column of its own."""
    amounts = {name: value.amount for name, value in item.items() if name in {"amount", "arr", "in_grace"}}
    cells = item | amounts | {"currency": item[money].currency}
    return [cells[name] for name in header]
