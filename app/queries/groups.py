"""Which groups each account belongs to: the standard ways of cutting figures."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.domain.features import Facts
from app.models.accounts import AccountVersion, Assignment
from app.models.products import ProductVersion
from app.queries.contract_lines import LinesByAccount
from app.queries.facts import Known
from app.queries.known import Between, in_force, of_accounts, valid_on

UNKNOWN = "(unknown)"
ALL = "all"
OWNER = "account_owner"
ATTRIBUTES = ("segment", "channel", "campaign")  # of the account


@dataclass(frozen=True, slots=True)
class Groups:
    """Labels of the accounts of `facts.account_ids`, in that order, by the name of the cut."""

    labels: Mapping[str, NDArray[Any]]


def load_groups(
    session: Session, known: Known, *, facts: Facts, lines: LinesByAccount, between: Between | None = None
) -> Groups:
    """Segment, plan, channel, campaign, owner (as they are on `as_of`), cohort (year of the first start), and all.

    An owner is named by the id of the person: names are kept with persons alone. `between` spares reading of others.
    """
    ids = facts.account_ids.tolist()
    attributes = _attributes(session, known, between=between)
    plans, owners = _plans(session, known, lines=lines), _owners(session, known, between=between)
    firsts = {int(a): on for a, on in zip(facts.spells.account[::-1], facts.spells.started_on[::-1], strict=True)}
    return Groups(
        {
            "all": np.array([ALL for _ in ids], dtype=object),
            **{
                name: np.array([attributes.get(i, {}).get(name) or UNKNOWN for i in ids], dtype=object)
                for name in ATTRIBUTES
            },
            "plan": np.array([plans.get(i) or UNKNOWN for i in ids], dtype=object),
            "owner": np.array([str(owners.get(i) or UNKNOWN) for i in ids], dtype=object),
            "cohort": np.array([str(firsts[n].astype("datetime64[Y]")) for n in range(len(ids))], dtype=object),
        }
    )


def _attributes(session: Session, known: Known, *, between: Between | None) -> dict[int, dict[str, str | None]]:
    version = AccountVersion
    rows = session.execute(
        select(version.account_id, *(getattr(version, name) for name in ATTRIBUTES)).where(
            in_force(version, known.known_at), valid_on(version, known.as_of), of_accounts(version.account_id, between)
        )
    )
    return {account_id: dict(zip(ATTRIBUTES, values, strict=True)) for account_id, *values in rows}


def _owners(session: Session, known: Known, *, between: Between | None) -> dict[int, int]:
    statement = select(Assignment.account_id, Assignment.person_id).where(
        Assignment.role == OWNER,
        in_force(Assignment, known.known_at),
        valid_on(Assignment, known.as_of),
        of_accounts(Assignment.account_id, between),
    )
    return dict(session.execute(statement.order_by(Assignment.id)).all())


def _plans(session: Session, known: Known, *, lines: LinesByAccount) -> dict[int, str | None]:
    """The plan of the line with the largest ARR, of those that are live or else of the last."""
    rows = session.execute(
        select(ProductVersion.product_id, ProductVersion.plan, ProductVersion.name)
        .where(in_force(ProductVersion, known.known_at))
        .order_by(ProductVersion.product_id, ProductVersion.valid_from)
    )
    plan_of = {product_id: plan or name for product_id, plan, name in rows}
    found = {}
    for account_id, own in lines.items():
        begun = [line for line in own if line.life.line.starts_on <= known.as_of]
        if begun:
            last = max(
                begun, key=lambda e: (e.life.stops_on is None, e.life.stops_on or known.as_of, e.life.line.arr_minor)
            )
            found[account_id] = plan_of.get(last.product_id)
    return found
