"""What the scores of a night looked at, as its run reports it."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from app.domain.feature_inputs import Input, describe_inputs
from app.domain.months import Ints
from jobs.scoring import ScoredPart, Scoring


def count_known(part: ScoredPart) -> Ints:
    """For how many of the scored accounts of a part each feature is known."""
    known: Ints = (np.isfinite(part.table.values) & ~part.held).sum(axis=0)
    return known


def list_inputs(scoring: Scoring, known: Ints) -> tuple[Input, ...]:
    """Each input with its feed, its last fact and for how many of the scored accounts it is `known`."""
    night, specs = scoring.night, scoring.model.specs
    share = known / max(1, len(scoring.live))
    known_share = {spec.name: value for spec, value in zip(specs, share.tolist(), strict=True)}
    company = night.company_at(night.landmark)
    return describe_inputs(specs, company=company, known_share=known_share, as_of=night.run.as_of)


def report_inputs(report: Mapping[str, Any], inputs: tuple[Input, ...]) -> dict[str, Any]:
    """The run's report with its inputs, and with those of its drivers marked whose feed has fallen silent."""
    stale = {each.name for each in inputs if each.last_on is not None and not each.is_fresh}
    drivers = [each | {"is_stale": True} if each["name"] in stale else each for each in report["drivers"]]
    rows = [asdict(each) | {"last_on": each.last_on and each.last_on.isoformat()} for each in inputs]
    return {**report, "drivers": drivers, "inputs": rows}
