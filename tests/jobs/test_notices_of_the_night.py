"""A notice, from the file that tells of it to the scores of the night, and back when it is withdrawn."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine, select, update

from app.db import reading, transaction
from app.domain.causes import unpack_probabilities
from app.domain.health import NOTICE_RISK
from app.domain.health_change import CALCULATED_PARTS
from app.domain.notices import Leave
from app.models.accounts import ExternalId
from app.models.scores import Score
from app.models.settings import SettingVersion
from app.models.versions import Change
from app.queries.expansion_facts import load_account_risks
from app.queries.leaves import find_leaves
from app.queries.runs import load_run
from app.queries.scores import load_score, unpack_curve
from app.services.changes import recording
from app.services.churn import withdraw_churn
from integrations.files.mapping import load_mapping
from jobs.import_files import import_files
from jobs.import_run import Options
from jobs.nightly import run_night
from tests.installation import work_on
from tests.jobs.growing_company import AS_OF, import_company

MAPPING = """
system = "billing"
currency = "EUR"
[backfill]
lag_days = 0
[[files]]
name = "notices.csv"
[files.churn]
id = "id"
account = "account"
deal = "deal"
given_on = "given"
effective_on = "effective"
cause = "cause"
"""
# C5 and C11 leave; C4 gives up its add-on (E4, 44 of 148 a month) and keeps its plan.
NOTICES = """id,account,deal,given,effective,cause
n1,C5,D5,2025-12-20,2026-03-10,voluntary
n2,C11,D11,2025-12-20,2026-02-01,closed
n3,C4,E4,2025-12-20,2026-02-20,voluntary
"""
LATER = AS_OF + timedelta(days=14)


def give_notice(engine: Engine, folder: Path) -> None:
    (folder / "notices.toml").write_text(MAPPING)
    (folder / "notices.csv").write_text(NOTICES)
    mapping = load_mapping(folder / "notices.toml")
    report = import_files(engine, mapping, paths=[folder / "notices.csv"], options=Options())
    assert report.rejected == 0, list(report.lines())


def night(engine: Engine, day: date) -> int:
    return int(run_night(work_on(engine), day)["fit"]["run_id"])


@pytest.fixture
def ids(engine: Engine, tmp_path: Path) -> dict[str, int]:
    """The accounts by the names that billing has for them; the company without a notice yet."""
    import_company(engine, tmp_path)
    with transaction(engine) as session, recording(session, "test") as change:
        known = {"valid_from": date(2000, 1, 1), "available_at": datetime(2020, 1, 1, tzinfo=UTC)}
        session.add(SettingVersion(name="minimum_coverage", value="0", change_id=change.id, **known))
    with reading(engine) as session:
        return dict(session.execute(select(ExternalId.external_id, ExternalId.account_id)).all())


def scores(engine: Engine, run_id: int) -> dict[int, Score]:
    with reading(engine) as session:
        return {score.account_id: score for score in session.scalars(select(Score).where(Score.run_id == run_id))}


def test_a_notice_shows_in_every_figure_of_the_account_and_its_withdrawal_takes_it_back(
    engine: Engine, ids: dict[str, int], tmp_path: Path
) -> None:
    before = scores(engine, night(engine, AS_OF - timedelta(days=31)))
    give_notice(engine, tmp_path)
    run_id = night(engine, AS_OF)
    found = scores(engine, run_id)
    leaving, closing, smaller, other = (found[ids[name]] for name in ("C5", "C11", "C4", "C8"))

    # 10 March lies in the third month from 1 January, 1 February begins the second.
    assert unpack_curve(leaving.survival)[:4].tolist() == [1, 1, 0, 0]
    assert unpack_curve(closing.survival)[:3].tolist() == [1, 0, 0]
    for score in (leaving, closing):
        assert score.survival_lower == score.survival_upper == score.survival
        assert score.retention is None
        assert (score.churn_probability, score.arr_at_risk_minor) == (1.0, score.arr_minor)
        assert (score.ltv_expansion_minor, score.monthly_drift) == (0, 0.0)
        assert score.ltv_residual_lower_minor == score.ltv_residual_minor == score.ltv_residual_upper_minor
    # Two months of 105 at a margin of 80 % and 10 % a year.
    assert leaving.ltv_residual_minor == round(8400 * (1.1 ** (-1 / 12) + 1.1 ** (-2 / 12)))
    causes = unpack_probabilities(closing.cause_probabilities)
    assert causes[3] == {"voluntary": 0.0, "payment_failure": 0.0, "closed": 1.0}

    # The add-on ends in the second month; the account keeps its own risk.
    kept = unpack_curve(smaller.retention) / unpack_curve(smaller.survival)
    assert kept[:3] == pytest.approx([1, 104 / 148, 104 / 148], rel=1e-6)
    assert 0 < smaller.churn_probability < 1
    assert other.retention is None

    assert (leaving.band, leaving.risk, round(leaving.health, 3)) == ("at_risk", NOTICE_RISK, 0.0)
    assert closing.risk < 0.9, "health is about the decision to leave alone"
    with reading(engine) as session:
        score = load_score(session, ids["C5"])
        parts = [driver["contribution"] for driver in score.explanation["drivers"]]
        logit = np.log(NOTICE_RISK / (1 - NOTICE_RISK))
        assert sum(parts) + score.explanation["reference_logit"] == pytest.approx(logit, abs=1e-9)
        assert max(score.explanation["drivers"], key=lambda each: each["contribution"])["name"] == "notice"
        assert "notice" not in {each["name"] for each in load_score(session, ids["C4"]).explanation["drivers"]}
        risks = load_account_risks(session, run_id)
        assert sorted(risks.account_id[risks.is_leaving].tolist()) == sorted([ids["C5"], ids["C11"]])
        churn = {score.account_id: score.churn_probability for score in found.values()}
        assert find_leaves(session, load_run(session), churn=churn) == {
            ids["C5"]: Leave(date(2025, 12, 20), date(2026, 3, 10), "voluntary"),
            ids["C11"]: Leave(date(2025, 12, 20), date(2026, 2, 1), "closed"),
        }
    moves = dict(zip(CALCULATED_PARTS, np.frombuffer(leaving.health_moves, dtype="<f8").tolist(), strict=True))
    was = before[ids["C5"]].health
    assert moves["behaviour"] == pytest.approx(leaving.health - was, abs=1e-9)
    assert sum(moves.values()) == pytest.approx(leaving.health - was, abs=1e-9)

    withdraw(engine, "n1", at=datetime(2026, 1, 10, 12, tzinfo=UTC))
    again = scores(engine, night(engine, LATER))[ids["C5"]]
    assert 0 < again.churn_probability < 1
    assert again.health > 1
    moves = dict(zip(CALCULATED_PARTS, np.frombuffer(again.health_moves, dtype="<f8").tolist(), strict=True))
    assert moves["behaviour"] > 1
    assert sum(moves.values()) == pytest.approx(again.health - leaving.health, abs=1e-9)


def withdraw(engine: Engine, notice: str, *, at: datetime) -> None:
    with transaction(engine) as session, recording(session, "test") as change:
        withdraw_churn(session, change, system="billing", ids=[notice])
        number = change.id
    with transaction(engine) as session:
        session.execute(update(Change).where(Change.id == number).values(recorded_at=at))


def test_a_notice_that_was_given_later_changes_no_byte_of_what_was_known_before(
    engine: Engine, ids: dict[str, int], tmp_path: Path
) -> None:
    day = date(2025, 12, 20)  # the day on which they were given: not yet before it
    plain = scores(engine, night(engine, day))
    give_notice(engine, tmp_path)
    names = ("survival", "retention", "risk", "contributions", "ltv_residual_minor", "cause_probabilities")
    run_night(work_on(engine), day, is_again=True)
    with reading(engine) as session:
        told = scores(engine, load_run(session).id)
    for account_id, score in told.items():
        assert [getattr(score, name) for name in names] == [getattr(plain[account_id], name) for name in names]
    assert set(ids.values()) == set(told)
