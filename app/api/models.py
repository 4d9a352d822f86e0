"""What figures mean, and what the published run rests on."""

from typing import Any

from app.api.endpoint import Reply, endpoint
from app.api.meta import run_meta
from app.auth import PUBLIC
from app.domain.definitions import DEFINITIONS
from app.http import database
from app.queries.model_report import ModelReport, load_model_report
from app.queries.runs import load_run, load_run_report
from app.schemas import models as schemas


@endpoint("/definitions", scope=PUBLIC, answer=schemas.DefinitionList())
def list_definitions() -> Reply:
    """What each figure means. A published version never changes; a new meaning gets a new version."""
    return Reply({"data": DEFINITIONS})


@endpoint("/models/current", scope="accounts:read", answer=schemas.CurrentModel())
def show_current_model() -> Reply:
    """The published run: what it rests on, why, and its own report."""
    run = load_run(database())
    report = load_run_report(database(), run)
    evaluation = load_model_report(database(), report, run_id=run.id, today=run.as_of)
    said = {name: value for name, value in report.items() if name != "evaluation"}
    return Reply(
        {"run": run, "report": said, "evaluation": _list_ways(evaluation), "meta": run_meta(run, run.definition)}
    )


def _list_ways(report: ModelReport) -> dict[str, Any]:
    names = ("reason", "is_sample", "gate", "since", "inputs")
    years = [
        {name: getattr(year, name) for name in ("origin_on", "reason", "learned_from_churns", "n_missed", "missed")}
        | {"ways": [{"way": way, "figures": figures} for way, figures in year.ways.items()]}
        for year in report.years
    ]
    return {name: getattr(report, name) for name in names} | {"years": years}
