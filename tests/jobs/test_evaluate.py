"""The model held against a year that came, on companies whose year is known."""

from datetime import date, timedelta

import pytest
from sqlalchemy import Engine, select, update

from app.db import reading, transaction
from app.domain.months import add_months
from app.domain.survival import FitDidNotConvergeError
from app.models.contracts import ChurnNotice
from app.models.scores import Score, ScoreChange
from jobs import compare, evaluate
from jobs.nightly import run_night
from tests.installation import work_on
from tests.jobs.test_nightly import AS_OF, company, monthly, published  # noqa: F401  the fixture

pytestmark = pytest.mark.one_database


def backtest(engine: Engine) -> dict:  # type: ignore[type-arg]
    run_night(work_on(engine), AS_OF)
    return published(engine)[0].report["backtest"]


def old_and_new(*, left: int, stayed: int) -> list[tuple[date, date | None, int]]:
    """All began 30 months ago; some left in the first year, some in the last, the rest stayed."""
    early = [monthly(30, leaves_after=4 + n % 10) for n in range(10)]
    late = [monthly(30, leaves_after=19 + n % 10) for n in range(left)]
    return [*early, *late, *[monthly(30) for _ in range(stayed)]]


def test_the_year_is_counted_as_it_was(company) -> None:  # type: ignore[no-untyped-def]  # noqa: F811
    found = backtest(company(*old_and_new(left=24, stayed=60)))
    assert found["origin"] == "2025-01-01"
    assert (found["accounts"], found["churns"], found["undecided"]) == (84, 24, 0)
    assert found["learned_from_churns"] == 10
    assert not found["is_sample"]
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
    second = published(engine)[0].report["backtest"]
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
    found = backtest(company(*[monthly(9) for _ in range(5)], *[monthly(8, leaves_after=n) for n in (2, 3, 5)]))
    assert found == {"reason": "too_young", "origin": "2025-01-01"}


def test_where_nobody_was_there_a_year_ago_it_says_so(company) -> None:  # type: ignore[no-untyped-def]  # noqa: F811
    found = backtest(company(*[monthly(30, leaves_after=n) for n in (4, 5, 7)], *[monthly(6) for _ in range(4)]))
    assert found == {"reason": "nobody", "origin": "2025-01-01"}


def test_a_fit_of_a_year_ago_that_fails_does_not_stop_the_night(company, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]  # noqa: F811
    engine = company(*old_and_new(left=3, stayed=5))

    def fail(*_args: object, **_values: object) -> None:
        raise FitDidNotConvergeError

    monkeypatch.setattr(evaluate, "fit_hazard", fail)
    assert backtest(engine) == {"reason": "no_fit", "origin": "2025-01-01"}
    assert published(engine)[0].report["churns"] > 0


def test_a_kind_of_contract_never_seen_has_no_reference(company, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]  # noqa: F811
    engine = company(*old_and_new(left=24, stayed=60))
    monkeypatch.setattr(evaluate, "estimate_curves", lambda *_args: {})
    found = backtest(engine)
    assert found["accuracy"] == {"value": None, "lower": None, "upper": None}
    assert found["ranking"] == "chance"


def test_where_no_hazard_can_be_learned_there_is_nothing_to_hold_against(company) -> None:  # type: ignore[no-untyped-def]  # noqa: F811
    left = [(add_months(AS_OF, -30), AS_OF - timedelta(days=10), 1) for _ in range(4)]
    assert backtest(company(*left, *[monthly(24) for _ in range(9)])) == {"reason": "segment"}


def test_of_many_accounts_a_part_is_drawn_and_said_to_be(company, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]  # noqa: F811
    monkeypatch.setattr(evaluate, "MOST_ACCOUNTS", 40)
    found = backtest(company(*old_and_new(left=24, stayed=60)))
    assert found["is_sample"]
    assert 15 <= found["accounts"] <= 60


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
        assert run.report["compared_with"] == 1


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
