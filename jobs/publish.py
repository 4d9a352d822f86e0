"""The step that moves the pointer: readers see the old run or the new one, whole."""

from collections.abc import Mapping

from sqlalchemy.orm import Session

from app.models.scores import ModelRun, PublishedRun
from jobs.fit import KIND
from jobs.night import Night
from jobs.steps import Result, Write


def publish_scores(night: Night, results: Mapping[str, Result]) -> Write:
    """Point to the new run, unless one of a later date is published: making up an old night turns nothing back."""
    run_id = results["fit"]["run_id"]

    def publish(session: Session) -> Result:
        pointer = session.get(PublishedRun, KIND)
        if pointer is None:
            session.add(PublishedRun(kind=KIND, run_id=run_id))
        elif session.get_one(ModelRun, pointer.run_id).as_of > night.run.as_of:
            return {"run_id": run_id, "is_published": False}
        else:
            pointer.run_id = run_id
        return {"run_id": run_id, "is_published": True}

    return publish
