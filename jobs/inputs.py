"""What the scores of a night looked at, as its run reports it."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from app.domain.feature_company import observe_company
from app.domain.feature_inputs import Input, describe_inputs
from jobs.scoring import Scoring


def list_inputs(scoring: Scoring) -> tuple[Input, ...]:
    """Each input with its feed, its last fact and for how many of the scored accounts it is known."""
    table, night = scoring.table, scoring.night
    known = np.isfinite(table.values) & ~scoring.held
    share = known.mean(axis=0) if len(known) else np.zeros(len(table.names))
    company = observe_company(night.facts, night.landmark)
    known_share = dict(zip(table.names, share.tolist(), strict=True))
    return describe_inputs(scoring.model.specs, company=company, known_share=known_share, as_of=night.run.as_of)


def report_inputs(report: Mapping[str, Any], inputs: tuple[Input, ...]) -> dict[str, Any]:
    """The run's report with its inputs, and with those of its drivers marked whose feed has fallen silent."""
    stale = {each.name for each in inputs if each.last_on is not None and not each.is_fresh}
    drivers = [each | {"is_stale": True} if each["name"] in stale else each for each in report["drivers"]]
    rows = [asdict(each) | {"last_on": each.last_on and each.last_on.isoformat()} for each in inputs]
    return {**report, "drivers": drivers, "inputs": rows}
