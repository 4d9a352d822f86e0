"""What figures mean, and what the published run rests on."""

from app.api.endpoint import Reply, endpoint
from app.api.meta import run_meta
from app.auth import PUBLIC
from app.domain.definitions import DEFINITIONS, UnknownDefinition, find_definition
from app.errors import NotFound
from app.http import database
from app.queries.model_report import load_model_report
from app.queries.runs import load_run, load_run_report
from app.schemas import models as schemas


@endpoint("/definitions", scope=PUBLIC, answer=schemas.DefinitionList())
def list_definitions() -> Reply:
    """What each figure means. A published version never changes; a new meaning gets a new version."""
    return Reply({"data": DEFINITIONS})


@endpoint("/definitions/<definition>", scope=PUBLIC, answer=schemas.DefinitionItem())
def show_definition(definition: str) -> Reply:
    """One definition by its id, name@version; old versions, too."""
    try:
        return Reply(find_definition(definition))
    except UnknownDefinition as unknown:
        raise NotFound(str(unknown)) from None


@endpoint("/models/current", scope="accounts:read", answer=schemas.CurrentModel())
def show_current_model() -> Reply:
    """The published run: what it rests on, why, and its own report."""
    run = load_run(database())
    report = load_run_report(database(), run)
    evaluation = load_model_report(database(), report, run_id=run.id, today=run.as_of)
    said = {name: value for name, value in report.items() if name != "evaluation"}
    return Reply({"run": run, "report": said, "evaluation": evaluation, "meta": run_meta(run, run.definition)})
