import numpy as np
import pytest
from scipy.stats import chi2

from app.domain.input_drift import index_by_chance, measure_drift, stability_index

ONE = np.full(4000, "2025-01-01", dtype="datetime64[D]")


def test_the_index_by_pencil() -> None:
    """Two values: 30 and 10 rows then, 10 and 30 now; with half a row each p = 30.5 / 41, q = 10.5 / 41."""
    then, now = np.repeat([0.0, 1.0], [30, 10]), np.repeat([0.0, 1.0], [10, 30])
    index, bins = stability_index(then, now)
    assert bins == 2
    assert index == pytest.approx(2 * (20 / 41) * np.log(30.5 / 10.5))


def test_a_rare_value_has_a_bin_whichever_end_it_is_at() -> None:
    for rare in (0.0, 1.0):
        then = np.where(np.arange(200) < 10, rare, 1 - rare)
        now = np.where(np.arange(200) < 100, rare, 1 - rare)
        assert stability_index(then, now)[0] > 0.25


def test_what_is_missing_is_a_bin_of_its_own() -> None:
    values = np.random.default_rng(1).standard_normal(500)
    gone = np.where(np.arange(500) < 250, np.nan, values)
    assert stability_index(values, gone)[0] > 0.25
    assert stability_index(np.full(50, np.nan), np.full(70, np.nan)) == (0.0, 1)


@pytest.mark.parametrize("bins", [2, 3, 10, 11])
def test_the_bound_of_chance_is_chi_squared(bins: int) -> None:
    exact = chi2.ppf(0.95, bins - 1) * (1 / 300 + 1 / 120)
    assert index_by_chance(300, 120, bins=bins) == pytest.approx(exact, rel=0.03)
    assert index_by_chance(300, 120, bins=1) == 0


def test_samples_of_one_kind_stay_below_the_bound_of_chance_in_nineteen_of_twenty() -> None:
    rng = np.random.default_rng(2)
    above = 0
    for _ in range(400):
        index, bins = stability_index(rng.standard_normal(300), rng.standard_normal(150))
        above += index > index_by_chance(300, 150, bins=bins)
    assert 0.02 <= above / 400 <= 0.08


def test_a_small_sample_that_differs_by_chance_is_stable() -> None:
    """With thirty accounts the index is above .1 most of the time, and means nothing."""
    rng = np.random.default_rng(3)
    found = [
        measure_drift(
            rng.standard_normal((60, 1)),
            rng.standard_normal((30, 1)),
            accounts=np.arange(60),
            days=ONE[:60],
            names=("x",),
        )
        for _ in range(50)
    ]
    assert sum(each.index > 0.1 for (each,) in found) > 40
    assert sum(each.verdict == "stable" for (each,) in found) >= 44


def test_a_move_is_found_and_named() -> None:
    rng = np.random.default_rng(4)
    then = rng.standard_normal((4000, 3))
    now = np.column_stack([rng.standard_normal(900), 0.45 + rng.standard_normal(900), 1.5 + rng.standard_normal(900)])
    found = measure_drift(then, now, accounts=np.arange(4000) % 1000, days=ONE, names=("same", "moved", "other"))
    assert [(each.name, each.verdict) for each in found] == [
        ("same", "stable"),
        ("moved", "shifted"),
        ("other", "changed"),
    ]
    assert found[2].mean_now == pytest.approx(1.5, abs=0.1)
    assert found[2].missing_now == 0


def test_few_accounts_and_none_are_unknown() -> None:
    then = np.random.default_rng(5).standard_normal((300, 1))
    few = measure_drift(then, then[:10], accounts=np.arange(300), days=ONE[:300], names=("x",))
    none = measure_drift(then, then[:0], accounts=np.arange(300), days=ONE[:300], names=("x",))
    of_few = measure_drift(then, then, accounts=np.arange(300) % 5, days=ONE[:300], names=("x",))
    assert {each.verdict for (each,) in (few, none, of_few)} == {"unknown"}
    assert none[0].mean_now is None


def test_what_hangs_on_the_weekday_is_no_drift_but_what_moves_on_is() -> None:
    """Twenty months of 200 accounts: one column goes by the day's own place in the week, the other up and up."""
    rng, months = np.random.default_rng(9), np.repeat(np.arange(20), 200)
    noise = rng.standard_normal((2, 4200))
    weekday, trend = np.append(months, np.full(200, 20)) * 3 % 7, np.append(months, np.full(200, 20)) / 10
    values = np.column_stack([weekday + 0.3 * noise[0], trend + 0.3 * noise[1]])
    days = np.datetime64("2024-01-01") + months.astype("timedelta64[D]")
    found = measure_drift(
        values[:4000], values[4000:], accounts=np.arange(4000) % 200, days=days, names=("weekday", "trend")
    )
    assert found[0].index > 0.25
    by_day = [stability_index(values[:4000, 0], values[:4000, 0][months == month])[0] for month in range(20)]
    assert found[0].index_by_chance == pytest.approx(np.quantile(by_day, 0.9))
    assert [each.verdict for each in found] == ["stable", "changed"]
