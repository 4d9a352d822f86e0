"""What the scores of a night looked at, as its run reports it."""

from dataclasses import asdict
from typing import Any

from app.domain.feature_inputs import describe_inputs
from jobs.scoring import Scoring


def input_rows(scoring: Scoring) -> list[dict[str, Any]]:
    """Each input with its feed, its last fact and for how many of the scored accounts it is known."""
    night = scoring.night
    inputs = describe_inputs(night.facts, scoring.table, as_of=night.run.as_of)
    return [asdict(each) | {"last_on": each.last_on and each.last_on.isoformat()} for each in inputs]
