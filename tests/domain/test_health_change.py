from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.features import FeatureSpec, FeatureTable
from app.domain.hazard_model import ONE, RENEWAL, FitOptions, HazardModel, term_mask
from app.domain.health import (
    NOTICE_RISK,
    assess_health,
    decides_to_leave,
    dimension_weights,
    health_score,
    list_dimensions,
    recall_notices,
)
from app.domain.health_change import CALCULATED_PARTS, PARTS, Assessed, override_move, split_move
from app.domain.survival import fit_hazard, take_rows
from tests.domain.notices import nobody_leaves
from tests.domain.reference_world import AS_OF, fit_world, simulate_world, spells_of, table_at

USE = FeatureSpec("use", "sd", "adoption", "Use", None, True, -0.5)
SIZE = FeatureSpec("size", "sd", "commercial", "Size", None, False, 0.0)
NAT = np.datetime64("NaT", "D")
NO_SPELLS = spells_of(simulate_world(0, seed=0), known_to_month=60)


def hand_model(*, intercept: float, use: float, renewal: float = 0.0, specs=(USE, SIZE)) -> HazardModel:
    """logit h = intercept + use x (the value of `use`) + renewal in the month of one; nothing else."""
    clock, feature = np.nonzero(term_mask(specs))
    mode = np.zeros(len(clock))
    mode[(clock == ONE) & (feature == 0)] = intercept
    mode[(clock == ONE) & (feature == 1)] = use
    mode[(clock == RENEWAL) & (feature == 0)] = renewal
    n = len(specs)
    nobody = take_rows(hand_table([[0.0] * n], specs=specs), np.arange(0))
    options = FitOptions(AS_OF, AS_OF - timedelta(days=700))
    return replace(
        fit_hazard(nobody, NO_SPELLS, specs=specs, options=options),
        feature_sd=np.ones(n),
        clock_mean=np.eye(8)[ONE],
        term_mean=np.zeros(len(clock)),
        term_scale=np.ones(len(clock)),
        mode=mode,
        last_supported_tenure=60,
    )


def hand_table(
    values: list[list[float]], *, on: date = AS_OF, term: int = 1, renewal: date | None = None, specs=(USE, SIZE)
):
    n = len(values)
    return FeatureTable(
        account=np.arange(n),
        spell=np.arange(n),
        landmark=np.full(n, np.datetime64(on)),
        started_on=np.full(n, np.datetime64("2023-01-01")),
        term_months=np.full(n, term),
        renewal_on=np.full(n, NAT if renewal is None else np.datetime64(renewal)),
        committed_until=np.full(n, NAT),
        **nobody_leaves(n),
        mrr=np.ones(n),
        names=tuple(spec.name for spec in specs),
        values=np.array(values),
    )


def assessed(model: HazardModel, table: FeatureTable, *, weights=None, segment: str | None = None) -> Assessed:
    segments = [segment] * len(table.account)
    factors = dimension_weights(weights or {}, segments=segments, dimensions=list_dimensions(model))
    risk = assess_health(model, table, weights=factors if weights else None).risk
    return Assessed(model, table, risk, weights or {}, segments)


LINES = (((0, 0.05), (100, 70)), ((0.05, 0.2), (70, 40)), ((0.2, 0.5), (40, 10)), ((0.5, 1), (10, 0)))


def yearly(hazard_logit: float) -> float:
    """By pencil: 1 - (1 - h)^12."""
    return float(1.0 - (1.0 - 1.0 / (1.0 + np.exp(-hazard_logit))) ** 12)


def score_of(p: float) -> float:
    """The straight line of the score that p lies on."""
    (low, high), (start, end) = next(line for line in LINES if line[0][0] <= p <= line[0][1])
    return start + (p - low) / (high - low) * (end - start)


def points(hazard_logit: float) -> float:
    return score_of(yearly(hazard_logit))


def named(move: np.ndarray) -> dict[str, float]:
    return dict(zip(CALCULATED_PARTS, move.tolist(), strict=True))


def test_the_parts_are_those_of_the_definition_in_its_order() -> None:
    assert PARTS == ("behaviour", "calendar", "late_data", "model_refit", "configuration", "override")
    assert PARTS[:5] == CALCULATED_PARTS


def test_each_part_by_pencil() -> None:
    """Use stood at 1.0 then, is known now to have been 0.8, and is -0.2 today; the model is fitted anew, weights set.

    So use fell by 1.0: to 0.0 on what was known then, and the 0.2 that was never there are late data.
    """
    old, new = hand_model(intercept=-4.0, use=-0.5), hand_model(intercept=-4.2, use=-0.9)
    earlier, later = hand_table([[1.0, 0.0]]), hand_table([[-0.2, 0.0]], on=AS_OF + timedelta(days=30))
    before, after = assessed(old, earlier), assessed(new, later, weights={"": {"adoption": 2.0}})
    move = split_move(before, after, hindsight=hand_table([[0.8, 0.0]]))[0]
    assert named(move) == pytest.approx(
        {
            "behaviour": points(-4.0) - points(-4.5),
            "calendar": 0.0,
            "late_data": points(-3.9) - points(-4.0),
            "model_refit": points(-4.02) - points(-3.9),
            "configuration": _weighted_points() - points(-4.02),
        },
        abs=1e-9,
    )


def _weighted_points() -> float:
    """Twice what use adds to the logit of p* above the reference, an account of no use at all."""
    own, reference = (np.log(p / (1.0 - p)) for p in (yearly(-4.02), yearly(-4.2)))
    return score_of(1.0 / (1.0 + np.exp(-(2.0 * own - reference))))


def test_time_alone_moves_the_calendar_alone() -> None:
    """A year's contract: in two months its renewal comes within the twelve months that the risk looks at."""
    model = hand_model(intercept=-6.0, use=-0.5, renewal=4.0)
    renewal = AS_OF + timedelta(days=400)
    earlier = hand_table([[0.3, 0.0]], term=24, renewal=renewal)
    later = hand_table([[0.3, 0.0]], term=24, renewal=renewal, on=AS_OF + timedelta(days=60))
    move = named(split_move(assessed(model, earlier), assessed(model, later), hindsight=earlier)[0])
    assert move["calendar"] != 0.0
    assert [move[part] for part in CALCULATED_PARTS if part != "calendar"] == [0.0] * 4


def test_a_contract_put_right_is_late_data_not_calendar() -> None:
    model = hand_model(intercept=-5.0, use=-0.5, renewal=4.0)
    wrong, right = AS_OF + timedelta(days=10), AS_OF + timedelta(days=400)
    earlier = hand_table([[0.3, 0.0]], term=24, renewal=wrong)
    known_now = hand_table([[0.3, 0.0]], term=24, renewal=right)
    later = hand_table([[0.3, 0.0]], term=24, renewal=right, on=AS_OF + timedelta(days=1))
    move = named(split_move(assessed(model, earlier), assessed(model, later), hindsight=known_now)[0])
    undisturbed = named(split_move(assessed(model, known_now), assessed(model, later), hindsight=known_now)[0])
    assert move["late_data"] > 1.0
    assert move["calendar"] == undisturbed["late_data"] == 0.0


def test_a_renewal_that_was_put_right_and_has_passed_since_is_moved_on_by_its_terms() -> None:
    model = hand_model(intercept=-5.0, use=-0.5, renewal=4.0)
    earlier = hand_table([[0.3, 0.0]], term=12, renewal=AS_OF + timedelta(days=10))
    known_now = hand_table([[0.3, 0.0]], term=6, renewal=AS_OF + timedelta(days=100))
    later = hand_table([[0.3, 0.0]], term=6, renewal=AS_OF + timedelta(days=100), on=AS_OF + timedelta(days=20))
    as_if = hand_table([[0.3, 0.0]], term=12, renewal=date(2025, 12, 11), on=AS_OF + timedelta(days=20))
    move = named(split_move(assessed(model, earlier), assessed(model, later), hindsight=known_now)[0])
    scores = [float(assess_health(model, table).score[0]) for table in (earlier, as_if, later)]
    assert move["calendar"] == pytest.approx(scores[1] - scores[0])
    assert move["late_data"] == pytest.approx(scores[2] - scores[1])


@pytest.mark.parametrize(
    ("then", "known_now", "later", "part"),
    [
        (1.0, 1.0, -1.0, "behaviour"),
        (1.0, -1.0, -1.0, "late_data"),
        (np.nan, np.nan, -1.0, "behaviour"),  # first answered since
        (np.nan, -1.0, -1.0, "late_data"),  # answered before, and told only now
        (1.0, 1.0, np.nan, "behaviour"),  # too old to count
        (1.0, np.nan, np.nan, "late_data"),  # taken back
    ],
)
def test_what_happened_and_what_was_told_late_are_told_apart(
    then: float, known_now: float, later: float, part: str
) -> None:
    model = hand_model(intercept=-4.0, use=-0.5)
    tables = [hand_table([[value, 0.0]]) for value in (then, known_now)]
    after = hand_table([[later, 0.0]], on=AS_OF + timedelta(days=7))
    move = named(split_move(assessed(model, tables[0]), assessed(model, after), hindsight=tables[1])[0])
    assert [name for name, moved in move.items() if abs(moved) > 1e-9] == [part]


@pytest.mark.parametrize(("then", "known_now", "later"), [(1.0, 1.0, np.nan), (np.nan, np.nan, -1.0), (1.0, 0.0, -1.0)])
def test_what_a_silent_feed_no_longer_says_or_says_again_is_late_data(
    then: float, known_now: float, later: float
) -> None:
    model = hand_model(intercept=-4.0, use=-0.5)
    before, now = (assessed(model, hand_table([[value, 0.0]])) for value in (then, later))
    move = named(split_move(before, now, hindsight=hand_table([[known_now, 0.0]]), silent={"use"})[0])
    assert [name for name, moved in move.items() if abs(moved) > 1e-9] == ["late_data"]


def test_an_account_without_hindsight_learned_nothing_late() -> None:
    model = hand_model(intercept=-4.0, use=-0.5)
    earlier, later = hand_table([[1.0, 0.0], [1.0, 0.0]]), hand_table([[0.0, 0.0], [0.0, 0.0]])
    hindsight = replace(hand_table([[0.0, 0.0]]), account=np.array([1]))
    first, second = split_move(assessed(model, earlier), assessed(model, later), hindsight=hindsight)
    assert named(first)["late_data"] == 0.0
    assert named(first)["behaviour"] == pytest.approx(named(second)["late_data"])


def test_an_input_that_only_the_new_model_has_is_the_models_part() -> None:
    old = hand_model(intercept=-4.0, use=-0.5, specs=(USE,))
    new = hand_model(intercept=-4.0, use=-0.5)
    new = replace(new, mode=np.where(_terms(new, ONE, 2), 0.7, new.mode))
    earlier, later = hand_table([[1.0]], specs=(USE,)), hand_table([[1.0, 1.0]])
    move = named(split_move(assessed(old, earlier), assessed(new, later), hindsight=hand_table([[1.0, 1.0]]))[0])
    assert move["model_refit"] == pytest.approx(points(-3.8) - points(-4.5))
    assert [move[part] for part in CALCULATED_PARTS if part != "model_refit"] == [0.0] * 4


def _terms(model: HazardModel, row: int, column: int) -> np.ndarray:
    clock, feature = np.nonzero(term_mask(model.specs))
    return (clock == row) & (feature == column)


def test_a_model_that_cannot_be_read_any_more_is_the_models_part() -> None:
    """The later model stands for it, and the parts still lead from one published score to the other."""
    old, new = hand_model(intercept=-3.0, use=-0.2), hand_model(intercept=-4.0, use=-0.5)
    earlier, later = hand_table([[1.0, 0.0]]), hand_table([[0.0, 0.0]])
    before, after = replace(assessed(old, earlier), model=new), assessed(new, later)
    move = named(split_move(before, after, hindsight=earlier)[0])
    assert move["behaviour"] == pytest.approx(points(-4.0) - points(-4.5))
    assert move["model_refit"] == pytest.approx(points(-4.5) - points(-3.2))
    assert sum(move.values()) == pytest.approx(points(-4.0) - points(-3.2))


def test_a_lost_model_that_knew_other_features_is_the_models_part() -> None:
    old, new = hand_model(intercept=-3.0, use=-0.2, specs=(USE,)), hand_model(intercept=-4.0, use=-0.5)
    earlier, later = hand_table([[1.0]], specs=(USE,)), hand_table([[0.0, 2.0]])
    before, after = replace(assessed(old, earlier), model=new), assessed(new, later)
    move = named(split_move(before, after, hindsight=hand_table([[1.0, 2.0]]))[0])
    assert move["behaviour"] == pytest.approx(points(-4.0) - points(-4.5))
    assert move["model_refit"] == pytest.approx(points(-4.5) - points(-3.2))
    assert move["late_data"] == move["configuration"] == 0.0


def test_the_same_weights_are_no_change_of_configuration() -> None:
    model = hand_model(intercept=-4.0, use=-0.5)
    weights = {"small": {"adoption": 1.5}}
    before = assessed(model, hand_table([[1.0, 0.0]]), weights=weights, segment="small")
    after = assessed(model, hand_table([[0.2, 0.0]]), weights=weights, segment="small")
    move = named(split_move(before, after, hindsight=hand_table([[1.0, 0.0]]))[0])
    assert move["configuration"] == pytest.approx(0.0, abs=1e-9)
    assert move["model_refit"] == pytest.approx(0.0, abs=1e-9)
    plain = split_move(*_ends(model), hindsight=hand_table([[1.0, 0.0]]))[0]
    assert abs(move["behaviour"]) > abs(named(plain)["behaviour"]), "what counts more moves more"


def _ends(model: HazardModel) -> tuple[Assessed, Assessed]:
    return assessed(model, hand_table([[1.0, 0.0]])), assessed(model, hand_table([[0.2, 0.0]]))


def test_what_an_override_moves_is_what_is_shown_beyond_what_is_calculated() -> None:
    assert override_move((62.0, 60.0), (62.0, 60.0)) == 0.0
    assert override_move((62.0, 60.0), (62.0, 30.0)) == -30.0  # set
    assert override_move((62.0, 60.0), (30.0, 60.0)) == 32.0  # ended
    assert override_move((62.0, 60.0), (30.0, 30.0)) == 2.0  # it stands, and hides what was calculated


@pytest.fixture(scope="module")
def worlds() -> tuple[Assessed, Assessed, FeatureTable]:
    """Four hundred accounts of the reference world three months apart, with a model of each day."""
    world = simulate_world(400, seed=5)
    ends = [fit_world(world, tracked_from_month=30, as_of=day)[0] for day in (AS_OF, AS_OF)]
    tables = [table_at(world, np.array([offset])) for offset in (-3, 0)]
    both = np.intersect1d(tables[0].account, tables[1].account)
    tables = [take_rows(table, np.searchsorted(table.account, both)) for table in tables]
    ends[0] = replace(ends[0], mode=ends[0].mode * 0.8)
    before, after = (assessed(model, table) for model, table in zip(ends, tables, strict=True))
    return before, after, tables[0]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_parts_add_up_whatever_is_missing_late_or_weighted(
    worlds: tuple[Assessed, Assessed, FeatureTable], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    before, after, hindsight = worlds

    def disturb(table: FeatureTable) -> FeatureTable:
        noise = rng.normal(0, 0.5, table.values.shape)
        return replace(table, values=np.where(rng.random(table.values.shape) < 0.2, np.nan, table.values + noise))

    def weigh() -> dict[str, dict[str, float]]:
        return (
            {} if rng.random() < 0.4 else {"": {"adoption": rng.uniform(0, 3)}, "a": {"commercial": rng.uniform(0, 3)}}
        )

    segments = rng.choice(["a", "b"], len(before.risk)).tolist()
    ends = []
    for end in (before, after):
        weights, table = weigh(), disturb(end.table)
        factors = dimension_weights(weights, segments=segments, dimensions=list_dimensions(end.model))
        risk = assess_health(end.model, table, weights=factors).risk
        ends.append(Assessed(end.model, table, risk, weights, segments))
    kept = rng.random(len(segments)) < 0.9
    moves = split_move(ends[0], ends[1], hindsight=take_rows(disturb(hindsight), np.flatnonzero(kept)))
    difference = health_score(ends[1].risk) - health_score(ends[0].risk)
    assert np.abs(moves.sum(axis=1) - difference).max() < 1e-9
    assert np.isfinite(moves).all()


def test_nothing_changed_is_no_move(worlds: tuple[Assessed, Assessed, FeatureTable]) -> None:
    before, _, hindsight = worlds
    assert np.abs(split_move(before, before, hindsight=hindsight)).max() < 1e-9


def test_no_account_has_no_move(worlds: tuple[Assessed, Assessed, FeatureTable]) -> None:
    before, after, _ = worlds
    none = [
        replace(end, table=take_rows(end.table, np.arange(0)), risk=end.risk[:0], segments=[])
        for end in (before, after)
    ]
    assert split_move(none[0], none[1], hindsight=none[0].table).shape == (0, 5)


def give_notice(table: FeatureTable) -> FeatureTable:
    n = len(table.account)
    return replace(table, leaves_on=table.landmark + np.timedelta64(60, "D"), leaves_for=np.zeros(n, dtype=np.int64))


def test_a_notice_is_behaviour_and_so_is_its_withdrawal() -> None:
    """Use fell by 1.0, too, and the model was fitted anew: who leaves for sure is not moved by it."""
    old, new = hand_model(intercept=-4.0, use=-0.5), hand_model(intercept=-4.2, use=-0.9)
    earlier, later = hand_table([[1.0, 0.0]]), hand_table([[0.0, 0.0]], on=AS_OF + timedelta(days=30))
    given = split_move(assessed(old, earlier), assessed(new, give_notice(later)), hindsight=earlier)[0]
    nothing = score_of(NOTICE_RISK)
    assert given.tolist() == pytest.approx([nothing - points(-4.5), 0, 0, 0, 0], abs=1e-9)
    back = split_move(assessed(old, give_notice(earlier)), assessed(new, later), hindsight=earlier)[0]
    assert back.tolist() == pytest.approx([points(-4.0) - nothing, 0, 0, points(-4.2) - points(-4.0), 0], abs=1e-9)


def test_who_had_given_notice_is_told_by_the_risk_that_was_published() -> None:
    table = give_notice(hand_table([[1.0, 0.0]]))
    risk = assessed(hand_model(intercept=-4.0, use=-0.5), table).risk
    again = replace(table, **recall_notices(np.append(risk, 0.3)[:1]))
    assert decides_to_leave(again).tolist() == [True]
    assert np.isnat(recall_notices(np.array([0.3, 0.999]))["leaves_on"]).all()
