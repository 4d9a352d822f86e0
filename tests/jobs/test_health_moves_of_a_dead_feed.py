"""A feed that dies and comes back moves scores, and none of it is said to be what the accounts did."""

from datetime import timedelta

import numpy as np
import pytest
from sqlalchemy import select

from app.db import reading
from app.domain.health_change import CALCULATED_PARTS
from app.models.scores import ModelRun, Score
from tests.jobs.test_dead_feed import Company, company, make_night, world

__all__ = ["company", "world"]  # fixtures


def mean_moves(company: Company) -> dict[str, float]:
    """Of the last run: how far each part moved a score, up or down, on average."""
    with reading(company.engine) as session:
        run_id = session.scalars(select(ModelRun.id).order_by(ModelRun.id.desc())).first()
        stored = session.scalars(
            select(Score.health_moves).where(Score.run_id == run_id, Score.health_moves.is_not(None))
        ).all()
    moves = np.array([np.frombuffer(each or b"", dtype="<f8") for each in stored])
    assert len(moves) > 60
    return dict(zip(CALCULATED_PARTS, np.abs(moves).mean(axis=0).tolist(), strict=True))


@pytest.mark.one_database
def test_what_a_feed_no_longer_says_and_says_again_is_late_data_and_no_behaviour(company: Company) -> None:
    fresh_on = company.last_on + timedelta(days=7)
    make_night(company, fresh_on)
    make_night(company, fresh_on + timedelta(days=1))
    died = mean_moves(company)
    assert died["late_data"] > 4.0
    assert died["behaviour"] < 0.5
    company.take_in(company.whole_usage, feed="sync", on=company.world.as_of)
    make_night(company, company.world.as_of)
    back = mean_moves(company)
    assert back["late_data"] > 4.0
    assert back["behaviour"] < 1.5, "what they did in four days, and a day's share of the noise"
