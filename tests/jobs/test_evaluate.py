"""The model held against a year that came, on companies whose year is known."""

import hashlib
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest
from sqlalchemy import Engine, delete, select, update

from app.db import reading, transaction
from app.domain.backtest import rewind_spells
from app.domain.baselines import LEARNED, WAYS
from app.domain.feature_table import build_features
from app.domain.hazard_model import HazardModel
from app.domain.months import add_months
from app.domain.survival import FitDidNotConvergeError
from app.models.contracts import ChurnNotice
from app.models.scores import Backtest, ModelRun, Score, ScoreChange
from jobs import compare, evaluate, look_back
from jobs.nightly import run_night
from tests.domain.awkward_facts import AS_OF as AWKWARD
from tests.domain.awkward_facts import random_facts
from tests.installation import work_on
from tests.jobs.test_nightly import AS_OF, company, monthly, published  # noqa: F401  the fixture

ORIGIN = date(2025, 1, 1)

pytestmark = pytest.mark.one_database


def evaluation(engine: Engine) -> tuple[dict, dict]:  # type: ignore[type-arg]
    """What the run says of its judging, and the stored backtests by (origin, way)."""
    run = published(engine)[0]
    with reading(engine) as session:
        rows = session.scalars(select(Backtest).where(Backtest.run_id == run.id, Backtest.kind == "churn")).all()
    return run.report["evaluation"], {(row.origin, row.way): row.report for row in rows}


def night(engine: Engine) -> tuple[dict, dict]:  # type: ignore[type-arg]
    run_night(work_on(engine), AS_OF)
    return evaluation(engine)


def backtest(engine: Engine) -> dict:  # type: ignore[type-arg]
    """Of what was learned, at the latest origin."""
    found: dict = night(engine)[1][ORIGIN, LEARNED]  # type: ignore[type-arg]
    return found


def old_and_new(*, left: int, stayed: int) -> list[tuple[date, date | None, int]]:
    """All began 30 months ago; some left in the first year, some in the last, the rest stayed."""
    early = [monthly(30, leaves_after=4 + n % 10) for n in range(10)]
    late = [monthly(30, leaves_after=19 + n % 10) for n in range(left)]
    return [*early, *late, *[monthly(30) for _ in range(stayed)]]


def test_the_year_is_counted_as_it_was(company) -> None:  # type: ignore[no-untyped-def]  # noqa: F811
    found = backtest(company(*old_and_new(left=24, stayed=60)))
    assert (found["accounts"], found["churns"], found["undecided"]) == (84, 24, 0)
    assert found["learned_from_churns"] == 10
    assert sum(group["observed"] for group in found["groups"]) == 24


def test_where_nothing_tells_accounts_apart_it_says_no_better_than_chance(company) -> None:  # type: ignore[no-untyped-def]  # noqa: F811
    found = backtest(company(*old_and_new(left=24, stayed=60)))
    assert found["rankings"][-1]["auc"]["value"] == pytest.approx(0.5)
    assert found["ranking"] == "chance"


def test_what_was_learned_since_has_no_say(company) -> None:  # type: ignore[no-untyped-def]  # noqa: F811
    """The forecast of a year ago is the same whoever left since."""
    engine = company(*old_and_new(left=24, stayed=60))
    first = backtest(engine)
    with transaction(engine) as session:
        session.execute(
            update(ChurnNotice)
            .where(ChurnNotice.effective_on > AS_OF - timedelta(days=300))
            .values(effective_on=AS_OF - timedelta(days=20))
        )
    run_night(work_on(engine), AS_OF, is_again=True)
    second = evaluation(engine)[1][ORIGIN, LEARNED]
    assert second["expected"] == pytest.approx(first["expected"], rel=1e-12)
    assert [group["forecast"] for group in second["groups"]] == [group["forecast"] for group in first["groups"]]


def test_the_missed_are_those_that_left_from_the_safer_half(company) -> None:  # type: ignore[no-untyped-def]  # noqa: F811
    found = backtest(company(*old_and_new(left=24, stayed=60)))
    assert len(found["missed"]) == min(10, found["n_missed"]) > 0
    ranks = [missed["rank"] for missed in found["missed"]]
    assert ranks == sorted(ranks)
    assert all(rank <= 42 for rank in ranks)
    assert all("2025-01-01" <= missed["churned_on"] <= "2026-01-01" for missed in found["missed"])


def test_a_company_younger_than_a_year_is_told_so(company) -> None:  # type: ignore[no-untyped-def]  # noqa: F811
    said, stored = night(company(*[monthly(9) for _ in range(5)], *[monthly(8, leaves_after=n) for n in (2, 3, 5)]))
    assert (said["reason"], stored) == ("too_young", {})
    assert said["gate"]["reason"] == "not_judged"


def test_where_nobody_was_there_a_year_ago_it_says_so(company) -> None:  # type: ignore[no-untyped-def]  # noqa: F811
    said, stored = night(company(*[monthly(30, leaves_after=n) for n in (4, 5, 7)], *[monthly(6) for _ in range(4)]))
    assert {"origin": "2025-01-01", "reason": "nobody"} in said["origins"]
    assert (ORIGIN, LEARNED) not in stored


def test_a_fit_of_a_year_ago_that_fails_does_not_stop_the_night(company, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]  # noqa: F811
    engine = company(*old_and_new(left=3, stayed=5))

    def fail(*_args: object, **_values: object) -> None:
        raise FitDidNotConvergeError

    monkeypatch.setattr(look_back, "fit_hazard", fail)
    said, stored = night(engine)
    assert (said["reason"], stored) == ("no_fit", {})
    assert published(engine)[0].report["churns"] > 0


def test_a_kind_of_contract_never_seen_has_no_reference(company, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]  # noqa: F811
    engine = company(*old_and_new(left=24, stayed=60))
    monkeypatch.setattr(look_back, "estimate_curves", lambda *_args: {})
    stored = night(engine)[1]
    found = stored[ORIGIN, LEARNED]
    assert found["accuracy"] == {"value": None, "lower": None, "upper": None}
    assert (ORIGIN, "kaplan_meier") not in stored
    assert found["ranking"] == "chance"


def test_where_no_hazard_can_be_learned_there_is_nothing_to_hold_against(company) -> None:  # type: ignore[no-untyped-def]  # noqa: F811
    left = [(add_months(AS_OF, -30), AS_OF - timedelta(days=10), 1) for _ in range(4)]
    said, stored = night(company(*left, *[monthly(24) for _ in range(9)]))
    assert (said["reason"], said["origins"], stored) == ("segment", [], {})


def test_of_many_accounts_a_part_is_drawn_and_said_to_be(company, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]  # noqa: F811
    monkeypatch.setattr(evaluate, "MOST_ACCOUNTS", 40)
    said, stored = night(company(*old_and_new(left=24, stayed=60)))
    assert said["is_sample"]
    found = stored[ORIGIN, LEARNED]
    assert 15 <= found["accounts"] <= 60
    assert found["top"]["accounts"] == 9, "40 of 94 are drawn, and of the 20 whom the team can call as many"


def test_every_way_is_held_against_the_same_year(company) -> None:  # type: ignore[no-untyped-def]  # noqa: F811
    said, stored = night(company(*old_and_new(left=24, stayed=60)))
    assert {way for origin, way in stored if origin == ORIGIN} == set(WAYS)
    assert {(report["accounts"], report["churns"]) for (origin, _), report in stored.items() if origin == ORIGIN} == {
        (84, 24)
    }
    assert stored[ORIGIN, "kaplan_meier"]["accuracy"]["value"] == 0
    assert {origin.isoformat() for origin, _ in stored} == {"2025-01-01", "2024-07-01"}
    assert said["origins"] == []


def test_an_account_in_grace_today_is_undecided_in_the_last_year_alone(company) -> None:  # type: ignore[no-untyped-def]  # noqa: F811
    """Its term ended a week ago: of the year up to today nobody knows, of the one before it stayed."""
    lapsed = (date(2021, 12, 25), AS_OF - timedelta(days=7), 12)
    engine = company(*[monthly(48) for _ in range(20)], *[monthly(48, leaves_after=3 + n) for n in range(20)], lapsed)
    with transaction(engine) as session:  # the notice is gone: the term ran out, and nobody said anything
        session.execute(delete(ChurnNotice).where(ChurnNotice.effective_on == lapsed[1]))
    stored = night(engine)[1]
    undecided = {origin.year: report["undecided"] for (origin, way), report in stored.items() if way == LEARNED}
    assert set(undecided) == {2025, 2024, 2023}
    assert (undecided[2024], undecided[2023]) == (0, 0)


def test_where_the_defaults_are_more_accurate_they_are_what_is_scored(company) -> None:  # type: ignore[no-untyped-def]  # noqa: F811
    """For two years half a dozen left a year, in the last one four times as many: what was learned expected few."""
    early = [monthly(36, leaves_after=2 * (n + 1)) for n in range(12)]
    late = [monthly(36, leaves_after=25 + n % 11) for n in range(24)]
    engine = company(*early, *late, *[monthly(36) for _ in range(120)])
    said, _ = night(engine)
    assert said["gate"]["verdict"] == "defaults"
    assert said["gate"]["reason"] in {"less_accurate", "wrong_total"}
    run, scores = published(engine)
    assert run.basis == "prior"
    assert run.basis_reason.startswith("Not enough data: over the years behind, what 36 churns taught")
    model = HazardModel.from_json(run.document)
    assert model.options.defaults_only
    assert run.sha256 == hashlib.sha256(run.document.encode()).hexdigest()
    assert {score.basis for score in scores} == {"prior"}
    live = [score.churn_probability for score in scores if score.status == "live"]
    assert len(set(live)) == 1, "they are alike, and no weight of their own was learned"


def test_what_a_published_run_said_is_held_against_what_came(company) -> None:  # type: ignore[no-untyped-def]  # noqa: F811
    """A night three months ago; since then one left, who is in its scores as live."""
    rows = [*[monthly(30) for _ in range(30)], *[monthly(30, leaves_after=3 + n) for n in range(8)]]
    engine = company(*rows, monthly(30, leaves_after=28))
    run_night(work_on(engine), date(2025, 10, 1))
    then, scores = published(engine)
    expected = sum(1 - float(np.frombuffer(s.survival, "<f4")[2]) for s in scores if s.survival)
    run_night(work_on(engine), AS_OF)
    since = published(engine)[0].report["evaluation"]["since"]
    assert [(each["run_id"], each["as_of"], each["months"]) for each in since] == [(then.id, "2025-10-01", 3)]
    assert (since[0]["accounts"], since[0]["churns"], since[0]["total"]) == (31, 1, "unknown")
    assert since[0]["expected"] == pytest.approx(expected)


def test_a_run_that_nobody_ever_saw_promised_nothing(company) -> None:  # type: ignore[no-untyped-def]  # noqa: F811
    engine = company(*[monthly(30) for _ in range(30)], *[monthly(30, leaves_after=3 + n) for n in range(8)])
    run_night(work_on(engine), date(2025, 10, 1))
    with transaction(engine) as session:
        session.execute(update(ModelRun).values(published_at=None))
    run_night(work_on(engine), AS_OF)
    assert published(engine)[0].report["evaluation"]["since"] == []


def test_features_of_the_past_are_the_same_whatever_is_known_of_the_ends_that_came_later() -> None:
    """So one table serves all origins."""
    for seed, as_of in enumerate(AWKWARD):
        facts = random_facts(seed, accounts=12)
        origin = add_months(as_of, -3)
        then = replace(facts, spells=rewind_spells(facts.spells, origin=origin, grace_days=30))
        landmarks = np.array([add_months(origin, -back) for back in range(6)], dtype="datetime64[D]")
        for name in ("account", "spell", "landmark", "started_on", "values", "mrr", "term_months", "renewal_on"):
            now, before = (getattr(build_features(each, landmarks), name) for each in (facts, then))
            assert now.tobytes() == before.tobytes(), name


def test_a_night_writes_down_whose_state_is_another(company) -> None:  # type: ignore[no-untyped-def]  # noqa: F811
    """Between the two nights one left and one joined; the night made again compares with the same night before."""
    engine = company(monthly(20), monthly(20, leaves_after=19), (date(2025, 12, 10), None, 1))
    run_night(work_on(engine), date(2025, 11, 1))
    with reading(engine) as session:
        base = {score.account_id: score.band or score.status for score in session.scalars(select(Score))}
        assert session.scalars(select(ScoreChange)).all() == []
    for is_again in (False, True):
        run_night(work_on(engine), AS_OF, is_again=is_again)
        run, scores = published(engine)
        with reading(engine) as session:
            found = session.scalars(select(ScoreChange).where(ScoreChange.run_id == run.id)).all()
        said = {(c.account_id, c.from_state, c.to_state, c.direction, c.arr_minor) for c in found}
        stayed, left, joined = scores
        assert base == {stayed.account_id: "live", left.account_id: "live", joined.account_id: "upcoming"}
        assert said == {
            (left.account_id, "live", "churned", "other", 120_000),
            (joined.account_id, "upcoming", "live", "other", 120_000),
        }
        assert run.compared_with_id == 1


@pytest.mark.parametrize(
    ("before", "after", "direction"),
    [
        ("healthy", "watch", "worse"),
        ("at_risk", "churned", "worse"),
        ("at_risk", "healthy", "better"),
        ("in_grace", "watch", "better"),
        ("live", "healthy", "other"),
        (None, "at_risk", "other"),
    ],
)
def test_better_and_worse_are_said_only_of_states_that_have_an_order(
    before: str | None, after: str, direction: str
) -> None:
    assert compare._direction(before, after) == direction


def test_the_arr_at_risk_is_kept_with_the_score(company) -> None:  # type: ignore[no-untyped-def]  # noqa: F811
    engine = company(monthly(20), monthly(20, leaves_after=9))
    run_night(work_on(engine), AS_OF)
    with reading(engine) as session:
        for score in session.scalars(select(Score)):
            expected = None if score.churn_probability is None else round(score.arr_minor * score.churn_probability)
            assert score.arr_at_risk_minor == expected
