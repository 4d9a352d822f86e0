"""The step that moves the pointer: readers see the old run or the new one, whole."""

import logging
from collections.abc import Mapping

from sqlalchemy.orm import Session

from app.models.scores import ModelRun, PublishedRun
from app.queries.runs import CHURN
from jobs.night import Night
from jobs.steps import Result, Write

log = logging.getLogger(__name__)


def publish_scores(night: Night, results: Mapping[str, Result]) -> Write:
    """Point to the new run, unless it failed a guard, or one of a later date is published.

    What failed stays unseen and the last good run goes on being read; making up an old night turns
    nothing back.
    """
    run_id = results["fit"]["run_id"]
    is_sound = not results["fit"]["is_held_back"] and results["score"]["broken_curves"] == 0
    if not is_sound:
        log.warning("run %d failed its guards and is not published; the last published run stays", run_id)

    def publish(session: Session) -> Result:
        pointer = session.get(PublishedRun, CHURN)
        if not is_sound or (pointer and session.get_one(ModelRun, pointer.run_id).as_of > night.run.as_of):
            return {"run_id": run_id, "is_published": False}
        session.merge(PublishedRun(kind=CHURN, run_id=run_id))
        session.get_one(ModelRun, run_id).published_at = night.clock()
        return {"run_id": run_id, "is_published": True}

    return publish
