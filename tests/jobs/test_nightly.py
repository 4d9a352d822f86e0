"""The night of small and odd companies: an answer, or plain words; never an exception or a made-up number."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine, delete, func, select, update

from app.db import reading, transaction
from app.domain.months import add_months
from app.errors import Conflict
from app.models.runs import JobRun, JobStep
from app.models.scores import ModelRun, PublishedRun, RetentionCurve, Score
from integrations.files.mapping import load_mapping
from jobs import fit
from jobs.import_files import import_files
from jobs.import_run import Options
from jobs.nightly import run_night
from tests.installation import work_on

AS_OF = date(2026, 1, 1)
MAPPING = """
system = "billing"
kind = "billing"
currency = "EUR"

[backfill]
lag_days = 0

[company]
reporting_currency = "EUR"

[[files]]
name = "customers.csv"

[files.account]
id = "id"
segment = "segment"

[files.deal]
id = "id"
account = "id"
stage = { value = "won" }
type = { value = "new" }
closed_on = "start"

[files.line]
deal = "id"
product = { value = "Plan" }
kind = { value = "recurring" }
amount = "monthly"
starts_on = "start"
term_months = "term"
price_months = { value = 1 }
auto_renew = { value = true }

[files.churn]
where = { churned = "yes" }
id = "id"
account = "id"
deal = "id"
effective_on = "left"
"""


@pytest.fixture
def company(engine: Engine, tmp_path: Path):
    """Record customers given as (start, left or None, term in months), and give the engine."""

    def record(*customers: tuple[date, date | None, int], segment: str = "Small") -> Engine:
        lines = [
            f"C{number},{segment},{start},{left or ''},{'yes' if left else 'no'},{term},100.00"
            for number, (start, left, term) in enumerate(customers)
        ]
        (tmp_path / "customers.csv").write_text(
            "\n".join(["id,segment,start,left,churned,term,monthly", *lines]) + "\n"
        )
        (tmp_path / "billing.toml").write_text(MAPPING)
        mapping = load_mapping(tmp_path / "billing.toml")
        report = import_files(engine, mapping, paths=[tmp_path / "customers.csv"], options=Options())
        assert report.files[0].rejected == 0, list(report.lines())
        return engine

    return record


def published(engine: Engine) -> tuple[ModelRun, list[Score]]:
    with reading(engine) as session:
        run = session.get_one(ModelRun, session.scalars(select(PublishedRun.run_id)).one())
        return run, list(session.scalars(select(Score).where(Score.run_id == run.id).order_by(Score.account_id)))


def monthly(starts: int, *, leaves_after: int | None = None) -> tuple[date, date | None, int]:
    start = add_months(AS_OF, -starts)
    return start, None if leaves_after is None else add_months(start, leaves_after), 1


def test_a_company_without_accounts_is_told_that_nothing_applies(engine: Engine) -> None:
    run_night(work_on(engine), AS_OF)
    run, scores = published(engine)
    assert (run.basis, scores) == ("not_applicable", [])


def test_one_account_gets_the_default_weights_and_the_words_not_enough_data(company) -> None:
    engine = company(monthly(7))
    run_night(work_on(engine), AS_OF)
    run, (score,) = published(engine)
    assert run.basis == score.basis == "prior"
    assert "Not enough data: 0 churns" in run.basis_reason
    assert score.arr_minor == 120_000
    assert 0 < score.churn_probability < 0.5
    assert score.coverage is not None
    assert (score.health, score.band) == (None, None), "there is no usage, no survey, no ticket to go by"


def test_an_account_that_left_has_no_curve_and_no_revenue(company) -> None:
    engine = company(monthly(9, leaves_after=4), monthly(9), monthly(8))
    run_night(work_on(engine), AS_OF)
    _, scores = published(engine)
    assert [score.status for score in scores] == ["churned", "live", "live"]
    assert (scores[0].arr_minor, scores[0].survival) == (0, None)


def test_a_company_whose_churns_share_one_month_gets_kaplan_meier_by_segment(company) -> None:
    left = [(add_months(AS_OF, -6), AS_OF - timedelta(days=10), 1) for _ in range(4)]
    engine = company(*left, *[monthly(months) for months in (3, 6, 9, 12, 18, 24) for _ in range(4)])
    run_night(work_on(engine), AS_OF)
    run, scores = published(engine)
    assert run.basis == "segment"
    assert "one calendar month" in run.basis_reason
    live = [score for score in scores if score.status == "live"]
    assert all(score.health is None for score in live)
    with reading(engine) as session:
        curve = session.scalars(select(RetentionCurve).where(RetentionCurve.group == "Small")).one().curve
    # Who has been here for three months leaves after five with the share that Kaplan-Meier says, each month counting
    # one account more, that leaves at the average.
    three = next(score for score in live if score.tenure_months == 3)
    survival = np.frombuffer(three.survival, "<f4")
    kept, at_risk = np.array(curve["retention"]), np.array(curve["at_risk"][1:])
    n = at_risk[at_risk >= 10]
    lost = n * (1 - kept[1 : len(n) + 1] / kept[: len(n)])
    hazard = (lost + (lost.sum() + 0.015) / (n.sum() + 1)) / (n + 1)
    assert survival[2] == pytest.approx(np.prod(1 - hazard[3:6]), abs=1e-6)
    assert survival[2] == pytest.approx(kept[6] / kept[3], abs=0.01)


def test_a_company_that_everyone_left_has_history_and_no_forecast(company) -> None:
    engine = company(*[monthly(20 + number, leaves_after=5 + number) for number in range(6)])
    run_night(work_on(engine), AS_OF)
    run, scores = published(engine)
    assert {score.status for score in scores} == {"churned"}
    assert run.report["churns"] == 6
    with reading(engine) as session:
        assert session.scalar(select(func.count()).select_from(RetentionCurve)) > 0


def test_an_annual_account_shows_its_renewal(company) -> None:
    engine = company((date(2025, 3, 15), None, 12))
    run_night(work_on(engine), AS_OF)
    _, (score,) = published(engine)
    assert (score.renewal_on, score.tenure_months) == (date(2026, 3, 15), 9)
    survival = np.frombuffer(score.survival, "<f4")
    monthly_hazard = 1 - survival[1:6] / survival[:5]
    assert monthly_hazard.argmax() == 1, "the day after the term lies in the third month ahead"


def test_an_older_night_does_not_replace_a_newer_one(company) -> None:
    engine = company(monthly(30), monthly(20))
    assert run_night(work_on(engine), AS_OF)["publish"]["is_published"]
    assert not run_night(work_on(engine), date(2025, 6, 1))["publish"]["is_published"]
    assert published(engine)[0].as_of == AS_OF


def test_a_run_that_fails_its_guards_leaves_the_last_one_published(
    company, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    customers = [monthly(24, leaves_after=3 + number % 20) for number in range(20)]
    engine = company(*customers, *[monthly(24) for _ in range(20)])
    run_night(work_on(engine), date(2025, 12, 1))
    first, _ = published(engine)
    monkeypatch.setattr(fit.Fitted, "is_acceptable", property(lambda _: False))
    assert not run_night(work_on(engine), AS_OF)["publish"]["is_published"]
    assert published(engine)[0].id == first.id
    assert "failed its guards" in caplog.text


def test_a_first_run_that_fails_its_guards_shows_the_defaults_and_says_so(
    company, monkeypatch: pytest.MonkeyPatch
) -> None:
    customers = [monthly(24, leaves_after=3 + number % 20) for number in range(20)]
    engine = company(*customers, *[monthly(24) for _ in range(20)])
    monkeypatch.setattr(fit.Fitted, "is_acceptable", property(lambda _: False))
    assert run_night(work_on(engine), AS_OF)["publish"]["is_published"]
    run, _ = published(engine)
    assert run.basis == "prior"
    assert "failed a check" in run.basis_reason


def test_a_model_changed_since_it_was_fitted_scores_nobody(company) -> None:
    engine = company(*[monthly(24, leaves_after=3 + n) for n in range(10)], *[monthly(24) for _ in range(10)])
    run_night(work_on(engine), AS_OF)
    with transaction(engine) as session:  # as if the night had died after the fit, and somebody had come by
        session.execute(delete(Score))
        session.execute(delete(JobStep).where(JobStep.name.not_in({"fit", "evaluate"})))
        session.execute(update(JobRun).values(finished_at=None))
        run = session.scalars(select(ModelRun)).one()
        run.document = run.document.replace("0.", "0.9", 1)
    with pytest.raises(Conflict, match="not the one that was fitted"):
        run_night(work_on(engine), AS_OF)
    with reading(engine) as session:
        assert session.scalar(select(func.count()).select_from(Score)) == 0


def test_the_same_night_gives_the_same_bytes(company) -> None:
    engine = company(*[monthly(24, leaves_after=3 + n) for n in range(10)], *[monthly(24) for _ in range(10)])
    clock = datetime(2026, 1, 1, 3, tzinfo=UTC)
    run_night(work_on(engine, clock=lambda: clock), AS_OF)
    first, scores = published(engine)
    run_night(work_on(engine, clock=lambda: clock), AS_OF, is_again=True)
    second, again = published(engine)
    assert (first.document, first.sha256) == (second.document, second.sha256)
    assert second.id != first.id
    assert [score.survival for score in scores] == [score.survival for score in again]
