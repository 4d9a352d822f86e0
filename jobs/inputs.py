"""What the scores of a night looked at, as its run reports it."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from app.domain.feature_inputs import Input, describe_inputs
from jobs.scoring import Scoring


def list_inputs(scoring: Scoring) -> tuple[Input, ...]:
    """Each input with its feed, its last fact and for how many of the scored accounts it is known."""
    table = scoring.table
    known = replace(table, values=np.where(scoring.held, np.nan, table.values))
    return describe_inputs(scoring.night.facts, known, as_of=scoring.night.run.as_of)


def report_inputs(report: Mapping[str, Any], inputs: tuple[Input, ...]) -> dict[str, Any]:
    """The run's report with its inputs, and with those of its drivers marked whose feed has fallen silent."""
    stale = {each.name for each in inputs if each.last_on is not None and not each.is_fresh}
    drivers = [each | {"is_stale": True} if each["name"] in stale else each for each in report["drivers"]]
    rows = [asdict(each) | {"last_on": each.last_on and each.last_on.isoformat()} for each in inputs]
    return {**report, "drivers": drivers, "inputs": rows}
