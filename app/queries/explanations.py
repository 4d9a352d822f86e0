"""Why an account's health is what it is: the contributions that the night stored, with the run's names of them."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from app.domain.features import Floats
from app.domain.health import NOTICE
from app.models.scores import FeatureSnapshot, ModelRun, Score

Driver = dict[str, Any]
Explanation = dict[str, Any]
DRIVERS = ModelRun.report["drivers"]


def load_explanations(session: Session, *, run_id: int, account_ids: Sequence[int]) -> dict[int, Explanation]:
    """By account, `explain` of those that the run has an explanation for."""
    named: Sequence[Driver] = session.scalar(select(DRIVERS).where(ModelRun.id == run_id)) or ()
    of_account = and_(FeatureSnapshot.run_id == Score.run_id, FeatureSnapshot.account_id == Score.account_id)
    rows = session.execute(
        select(Score.account_id, Score.contributions, FeatureSnapshot.values)
        .join(FeatureSnapshot, of_account)
        .where(Score.run_id == run_id, Score.account_id.in_(account_ids), Score.contributions.is_not(None))
    )
    return {i: explain(named, contributions, values=values) for i, contributions, values in rows if contributions}


def explain(named: Sequence[Driver], contributions: bytes, *, values: bytes) -> Explanation:
    """What is stored of one account, in words of the run.

    - `reference_logit`: the logit of the risk of the reference account;
    - `drivers`, each with `name`, `dimension`, `contribution` (logit, above 0 is risk), `value` (None: missing, or
      held since its feed fell silent), `is_known`, `is_learned`, `churns`;
    - `dimensions`, each with `name`, `contribution`, `is_known`.

    Contributions add up to the logit of the risk above that of the reference. The columns of an attribute,
    one a level, are one driver: the level that the account has. A notice is a driver of who gave one.
    """
    reference, *parts = np.frombuffer(contributions, dtype="<f8").tolist()
    features = np.frombuffer(values, dtype="<f8")
    rows = [
        _driver(each, part, features=features, number=number)
        for number, (each, part) in enumerate(zip(named, parts, strict=True))
        if part or each["name"] != NOTICE
    ]
    return {"reference_logit": reference, "drivers": list(_join_levels(rows)), "dimensions": list(_sum_up(rows))}


def compare_explanations(earlier: Explanation, later: Explanation) -> list[Driver]:
    """The drivers of both, by how much more or less they add to the risk; the largest move first.

    Each with `name` and `dimension`, `earlier_value`, `later_value` (None: missing) and `moved` (logit, above 0 is
    risk; a model that was fitted anew moves it, too). The level of an attribute goes by the later one's name.
    """
    then = {_attribute(each): each for each in earlier["drivers"]}
    now = {_attribute(each): each for each in later["drivers"]}
    nothing: Driver = {"value": None, "contribution": 0.0}
    rows = [
        {
            "name": (now.get(key) or then[key])["name"],
            "dimension": (now.get(key) or then[key])["dimension"],
            "earlier_value": then.get(key, nothing)["value"],
            "later_value": now.get(key, nothing)["value"],
            "moved": now.get(key, nothing)["contribution"] - then.get(key, nothing)["contribution"],
        }
        for key in dict.fromkeys([*now, *then])
    ]
    return sorted(rows, key=lambda row: -abs(row["moved"]))


def _attribute(driver: Driver) -> str:
    name: str = driver["name"]
    return name.partition(": ")[0]


def _driver(named: Driver, contribution: float, *, features: Floats, number: int) -> Driver:
    """Behind the features come the drivers of the clock, which have no value of their own and are always known."""
    is_feature = number < len(features)
    is_told = is_feature and np.isfinite(features[number]) and not named.get("is_stale")
    value = float(features[number]) if is_told else None
    own = {"contribution": contribution, "value": value, "is_known": not is_feature or value is not None}
    return {"name": named["name"], "dimension": named["dimension"]} | own | {
        "is_learned": named["is_learned"],
        "churns": named["n_churns"],
    }  # fmt: skip


def _join_levels(rows: Sequence[Driver]) -> Iterator[Driver]:
    levels: dict[str, Driver] = {}
    for row in rows:
        attribute, is_level, _ = row["name"].partition(": ")
        if not is_level:
            yield row
        elif attribute not in levels:
            levels[attribute] = row
        else:
            named = row if row["value"] else levels[attribute]
            contribution = levels[attribute]["contribution"] + row["contribution"]
            levels[attribute] = named | {"contribution": contribution}
    yield from levels.values()


def _sum_up(rows: Sequence[Driver]) -> Iterator[Driver]:
    for name in dict.fromkeys(row["dimension"] for row in rows):
        own = [row for row in rows if row["dimension"] == name]
        yield {
            "name": name,
            "contribution": sum(row["contribution"] for row in own),
            "is_known": any(row["is_known"] for row in own),
        }
