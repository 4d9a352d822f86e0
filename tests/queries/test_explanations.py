"""Why a health score is what it is, from the contributions that the night stored."""

from typing import Any

import numpy as np
from sqlalchemy import Engine

from app.db import reading
from app.queries.explanations import explain, load_explanations
from tests.small_company import CONTRIBUTIONS, DRIVERS, EXPLANATION, VALUES, publish_small_run, write_small_company


def test_what_is_stored_is_told_in_the_words_of_the_run(engine: Engine) -> None:
    write_small_company(engine)
    publish_small_run(engine)
    assert explain(DRIVERS, CONTRIBUTIONS, values=VALUES) == EXPLANATION
    with reading(engine) as session:
        found = load_explanations(session, run_id=1, account_ids=[1, 4, 99])
    assert found == {1: EXPLANATION}, "account 4 has left, 99 does not exist"


def test_the_levels_of_an_attribute_are_one_driver_named_by_the_one_it_has() -> None:
    def named(name: str) -> dict[str, Any]:
        return {"name": name, "dimension": "commercial", "is_learned": True, "n_churns": 5}

    drivers = [named("segment: Large"), named("segment: Small"), named("tenure")]
    contributions = np.array([-1.0, 0.25, 0.5, -0.125], dtype="<f8").tobytes()
    told = explain(drivers, contributions, values=np.array([0.0, 1.0], dtype="<f8").tobytes())
    assert [(each["name"], each["contribution"]) for each in told["drivers"]] == [
        ("tenure", -0.125),
        ("segment: Small", 0.75),
    ]
    assert told["drivers"][0]["value"] is None
    assert told["drivers"][0]["is_known"], "the clock is always known"
    assert told["dimensions"] == [{"name": "commercial", "contribution": 0.625, "is_known": True}]
