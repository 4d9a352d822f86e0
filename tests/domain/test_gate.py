import numpy as np
import pytest

from app.domain.gate import NOT_JUDGED, Year, accuracy_gain, decide_gate


def year(*, seed: int = 1, n: int = 600, learned: float = 1.0, defaults: float = 1.0, noise: float = 0.0) -> Year:
    """Who leaves at the rate of a truth; what was learned and the defaults say so many times the truth, the latter
    with noise in the logit."""
    rng = np.random.default_rng(seed)
    p = rng.beta(2, 8, n)
    logit = np.log(p / (1 - p)) + noise * rng.standard_normal(n)
    return Year(
        account=np.arange(n),
        learned=np.minimum(p * learned, 0.999),
        defaults=np.minimum(defaults / (1 + np.exp(-logit)), 0.999),
        reference=np.full(n, p.mean()),
        left=rng.random(n) < p,
    )


def test_the_gain_and_its_error_by_pencil() -> None:
    """Two accounts; one left. Squared errors: learned .04, .09; defaults .25, .25; reference .36, .16.

    Gain = (.21 + .16) / .52. u = .21 - gain x .36 and .16 - gain x .16; Var = 2 / 1 x sum u^2 / .52^2.
    """
    made = Year(*(np.array(each) for each in ([7, 9], [0.8, 0.3], [0.5, 0.5], [0.4, 0.4], [True, False])))
    gain, error = accuracy_gain([made])
    assert gain == pytest.approx(0.37 / 0.52)
    u = np.array([0.21 - gain * 0.36, 0.16 - gain * 0.16])
    assert error == pytest.approx(np.sqrt(2 * (u**2).sum()) / 0.52)


def test_an_account_of_two_years_counts_as_one_draw() -> None:
    """The same year twice says no more than once; by rows the error would shrink by the root of two."""
    once, twice = accuracy_gain([year(noise=1.0)]), accuracy_gain([year(noise=1.0), year(noise=1.0)])
    assert twice == pytest.approx(once)


def test_the_error_of_the_gain_is_that_of_the_bootstrap() -> None:
    made, rng = year(noise=1.0), np.random.default_rng(5)
    drawn = []
    for _ in range(400):
        rows = rng.integers(0, 600, 600)
        names = ("learned", "defaults", "reference", "left")
        drawn.append(accuracy_gain([Year(np.arange(600), *(getattr(made, name)[rows] for name in names))])[0])
    assert accuracy_gain([made])[1] == pytest.approx(np.std(drawn), rel=0.12)


@pytest.mark.parametrize(
    ("made", "verdict", "reason"),
    [
        (year(noise=1.5), "learned", "passed"),
        (year(), "learned", "passed"),
        (year(learned=0.55), "defaults", "less_accurate"),
        (year(learned=1.7, defaults=2.2), "defaults", "wrong_total"),
        (year(learned=0.6, defaults=0.3), "defaults", "wrong_total"),
        (year(n=60, learned=3.0), "learned", "few"),
    ],
)
def test_live_only_if_both_hold_and_nothing_fails_for_want_of_churns(made: Year, verdict: str, reason: str) -> None:
    found = decide_gate([made])
    assert (found.verdict, found.reason) == (verdict, reason)
    assert found.churns == made.left.sum()


def test_what_ties_with_the_defaults_is_live() -> None:
    """As accurate but for chance: the interval says otherwise one time in forty."""
    verdicts = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        p = rng.beta(2, 8, 400)
        logit = np.log(p / (1 - p))
        both = [1 / (1 + np.exp(-logit - 0.3 * rng.standard_normal(400))) for _ in range(2)]
        left = rng.random(400) < p
        verdicts.append(decide_gate([Year(np.arange(400), *both, np.full(400, 0.2), left)]).verdict)
    assert verdicts.count("learned") >= 37


def test_where_no_year_can_be_judged_what_was_learned_stands() -> None:
    assert decide_gate([]) is NOT_JUDGED
    assert NOT_JUDGED.verdict == "learned"


def test_a_missing_reference_is_replaced_by_the_share_that_left() -> None:
    made = year(noise=1.0)
    flat = Year(made.account, made.learned, made.defaults, np.full(600, made.left.mean()), made.left)
    none = Year(made.account, made.learned, made.defaults, np.full(600, np.nan), made.left)
    assert accuracy_gain([none]) == pytest.approx(accuracy_gain([flat]))


def test_a_year_in_which_nobody_left_or_of_one_account_fails_nothing() -> None:
    nobody = Year(np.arange(50), np.full(50, 0.1), np.full(50, 0.1), np.full(50, 0.0), np.zeros(50, dtype=bool))
    assert decide_gate([nobody]).reason == "few"
    single = Year(np.array([3]), np.array([0.4]), np.array([0.2]), np.array([0.1]), np.array([True]))
    assert decide_gate([single]).reason == "few"
