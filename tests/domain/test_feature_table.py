"""The properties of build_features that training and scoring rest on."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.feature_catalog import FEATURES, feature_specs
from app.domain.feature_table import build_features
from app.domain.features import InvoiceFacts, LineFacts, Spells, TrainingFacts
from tests.domain.awkward_facts import AS_OF, NAT, days, landmarks_before, random_facts
from tests.domain.notices import no_notice


def test_the_random_company_exercises_each_feature_both_present_and_missing():
    tables = [build_features(random_facts(seed), landmarks_before(AS_OF[1], 14)) for seed in range(4)]
    values = np.concatenate([table.values for table in tables])
    for name, column in zip(tables[0].names, values.T, strict=True):
        assert np.nanstd(column) > 0, name
        assert np.isnan(column).any() or name in {"log_mrr", "returned"}, name


def replace_after(facts, cut, rng):
    """Everything that became available on or after `cut`, or lies there, made different; the rest untouched."""

    def disturb(table, day, available):
        columns = {f.name: getattr(table, f.name).copy() for f in dataclasses.fields(table)}
        later = np.flatnonzero((columns[day] >= cut) | (columns[available] >= cut))
        kept = np.setdiff1d(np.arange(len(columns[day])), later[: len(later) // 3])
        noise = np.flatnonzero(np.isin(kept, later))
        columns = {name: column[kept] for name, column in columns.items()}
        for name in ("amount", "score", "mrr", "seats"):
            if name in columns:
                columns[name][noise] = rng.random(len(noise)) * 1e4
        if "replaced_on" in columns:
            replaced = columns["replaced_on"]
            columns["replaced_on"] = np.where(replaced >= cut, replaced + np.timedelta64(40, "D"), replaced)
        for name in ("escalated", "is_nps"):
            if name in columns:
                columns[name][noise] = ~columns[name][noise]
        moved = (rng.integers(0, 300, len(noise))).astype("timedelta64[D]")
        columns[available][noise] = np.maximum(columns[available][noise], cut) + moved
        return dataclasses.replace(table, **columns)

    plan, lines, spells = facts.milestones, facts.lines, facts.spells
    hidden = plan.done_available_on >= cut
    plan = dataclasses.replace(plan, done_on=np.where(hidden, plan.done_on + np.timedelta64(9, "D"), plan.done_on))
    lines = dataclasses.replace(
        lines,
        replaced_on=np.where(lines.replaced_on >= cut, NAT, lines.replaced_on),
        stops_on=np.where(lines.stops_on > cut, NAT, lines.stops_on),
    )
    ended = spells.ended_on > cut
    bills = facts.invoices
    unheard = (bills.paid_available_on >= cut) | (bills.paid_on >= cut)
    bills = dataclasses.replace(bills, paid_on=np.where(unheard, bills.paid_on + np.timedelta64(9, "D"), bills.paid_on))
    return dataclasses.replace(
        facts,
        spells=dataclasses.replace(
            spells, ended_on=np.where(ended, NAT, spells.ended_on), churned=spells.churned & ~ended
        ),
        lines=disturb(lines, "available_on", "available_on"),
        attributes=disturb(facts.attributes, "available_on", "available_on"),
        usage=disturb(facts.usage, "day", "available_on"),
        milestones=disturb(plan, "available_on", "available_on"),
        tickets=disturb(facts.tickets, "opened_on", "available_on"),
        surveys=disturb(facts.surveys, "answered_on", "available_on"),
        touches=disturb(facts.touches, "occurred_on", "available_on"),
        trainings=disturb(facts.trainings, "occurred_on", "available_on"),
        invoices=disturb(bills, "issued_on", "available_on"),
    )


def rows_of(table, landmark):
    at = table.landmark == landmark
    columns = [getattr(table, f.name) for f in dataclasses.fields(table) if f.name not in {"names", "spell"}]
    return b"".join(np.ascontiguousarray(column[at]).tobytes() for column in columns)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.sampled_from(AS_OF), st.booleans())
def test_nothing_that_became_available_later_changes_a_byte(seed, as_of, whole_amounts):
    facts = random_facts(seed, whole_amounts=whole_amounts)
    landmarks = landmarks_before(as_of)
    changed = replace_after(facts, landmarks[3], np.random.default_rng(seed))
    before, after = build_features(facts, landmarks), build_features(changed, landmarks)
    for landmark in landmarks[:4]:
        assert rows_of(before, landmark) == rows_of(after, landmark)
    assert rows_of(before, landmarks[-1]) != rows_of(after, landmarks[-1])


@pytest.mark.parametrize("whole_amounts", [True, False])
def test_the_order_of_the_facts_does_not_change_a_byte(whole_amounts):
    facts = random_facts(11, whole_amounts=whole_amounts)
    rng = np.random.default_rng(0)
    shuffled = {}
    kinds = ("lines", "attributes", "usage", "milestones", "tickets", "surveys", "touches", "trainings", "invoices")
    for kind in kinds:
        table = getattr(facts, kind)
        names = [f.name for f in dataclasses.fields(table)]
        order = rng.permutation(len(getattr(table, names[0])))
        shuffled[kind] = dataclasses.replace(table, **{name: getattr(table, name)[order] for name in names})
    landmarks = landmarks_before(AS_OF[0], 12)
    one, other = (
        build_features(facts, landmarks),
        build_features(dataclasses.replace(facts, **shuffled), landmarks[::-1]),
    )
    assert all(rows_of(one, landmark) == rows_of(other, landmark) for landmark in landmarks)


def test_a_landmark_says_the_same_alone_and_among_others():
    facts = random_facts(5)
    landmarks = landmarks_before(AS_OF[1], 12)
    together = build_features(facts, landmarks)
    for landmark in landmarks:
        assert rows_of(build_features(facts, landmark[None]), landmark) == rows_of(together, landmark)


def test_without_any_feed_only_the_commercial_features_are_known():
    facts = random_facts(3)
    feeds = {
        kind: dataclasses.replace(feed, **{f.name: getattr(feed, f.name)[:0] for f in dataclasses.fields(feed)})
        for kind in ("usage", "milestones", "tickets", "surveys", "touches", "trainings", "invoices")
        if (feed := getattr(facts, kind))
    }
    facts = dataclasses.replace(facts, **feeds)
    table = build_features(facts, landmarks_before(AS_OF[0]))
    dimension = {spec.name: spec.dimension for spec in feature_specs(facts)}
    for name, column in zip(table.names, table.values.T, strict=True):
        assert np.isnan(column).all() == (dimension[name] != "commercial"), name


def test_a_feed_that_died_makes_its_features_missing_and_not_zero():
    facts = random_facts(3)
    alive = facts.usage.day < np.datetime64("2024-04-20")
    usage = dataclasses.replace(
        facts.usage, **{f.name: getattr(facts.usage, f.name)[alive] for f in dataclasses.fields(facts.usage)}
    )
    table = build_features(dataclasses.replace(facts, usage=usage), days("2024-04-21", "2024-06-01"))
    level = table.values[:, table.names.index("usage_level")]
    dead = table.landmark == np.datetime64("2024-06-01")
    assert np.isnan(level[dead]).all()
    assert not np.isnan(level[~dead]).all()


def without(facts, *kinds):
    empty = {
        kind: dataclasses.replace(table, **{f.name: getattr(table, f.name)[:0] for f in dataclasses.fields(table)})
        for kind in kinds
        if (table := getattr(facts, kind))
    }
    return dataclasses.replace(facts, **empty)


@pytest.mark.parametrize(("kind", "name"), [("trainings", "trainings_12m"), ("invoices", "overdue_days")])
def test_what_a_company_never_recorded_has_no_column_and_changes_no_other(kind, name):
    facts, landmarks = random_facts(7), landmarks_before(AS_OF[0])
    whole, part = build_features(facts, landmarks), build_features(without(facts, kind), landmarks)
    assert set(whole.names) - set(part.names) == {name}
    kept = [whole.names.index(each) for each in part.names]
    assert whole.values[:, kept].tobytes() == part.values.tobytes()


def one_account(facts):
    """The first account alone, a customer from the first day of 2023 on, and nothing but its invoices and trainings."""
    facts = without(facts, "usage", "milestones", "tickets", "surveys", "touches", "attributes")
    first = {"account": np.zeros(1, int), "started_on": days("2023-01-01"), "ended_on": days("NaT")}
    spells = Spells(**first, number=np.ones(1, int), churned=np.zeros(1, bool), cause=np.full(1, -1))
    lines = LineFacts(
        account=np.zeros(1, int),
        starts_on=days("2023-01-01"),
        stops_on=days("NaT"),
        term_months=np.array([12]),
        non_cancellable=np.zeros(1, bool),
        mrr=np.array([100.0]),
        seats=np.array([np.nan]),
        **no_notice(1),
        available_on=days("2022-12-01"),
        replaced_on=days("NaT"),
    )
    return dataclasses.replace(facts, spells=spells, lines=lines)


def test_an_invoice_is_overdue_from_the_day_after_it_was_due_until_its_payment_is_known():
    invoices = InvoiceFacts(
        account=np.zeros(3, int),
        issued_on=days("2024-01-01", "2024-02-01", "2024-03-01"),
        due_on=days("2024-01-31", "2024-03-02", "2024-03-31"),
        paid_on=days("2024-03-10", "2024-02-20", "NaT"),
        available_on=days("2024-01-01", "2024-02-01", "2024-03-01"),
        paid_available_on=days("2024-03-12", "2024-02-20", "NaT"),
        replaced_on=days("NaT", "NaT", "NaT"),
    )
    facts = dataclasses.replace(one_account(random_facts(0)), invoices=invoices)
    on = days("2024-01-01", "2024-01-31", "2024-02-01", "2024-03-12", "2024-03-13", "2024-04-01", "2024-05-01")
    table = build_features(facts, on)
    overdue = table.values[:, table.names.index("overdue_days")].tolist()
    # Nothing heard of before the second of January, nor for more than 45 days in May.
    assert [None if np.isnan(days) else days for days in overdue] == [None, 0, 1, 41, 0, 1, None]


def test_trainings_are_counted_for_twelve_months_and_unknown_before_the_first_on_record():
    held = days("2023-01-01", "2023-03-01", "2023-08-15")
    trainings = TrainingFacts(np.zeros(3, int), held, held, days("NaT", "NaT", "NaT"))
    facts = dataclasses.replace(one_account(random_facts(0)), trainings=trainings)
    table = build_features(facts, days("2023-01-01", "2023-03-02", "2024-01-02", "2024-02-11", "2024-02-12"))
    counts = table.values[:, table.names.index("trainings_12m")].tolist()
    # On the last day the newest is 181 days old: nobody is taken to be untrained where nobody records it any more.
    assert [None if np.isnan(count) else count for count in counts] == [None, 2, 2, 2, None]


def test_no_facts_and_no_landmarks_give_an_empty_table():
    table = build_features(random_facts(1), days())
    assert table.values.shape == (0, len(FEATURES) + 5)


def test_an_unknown_feature_is_refused_by_name():
    with pytest.raises(ValueError, match="no such feature: shoe_size"):
        build_features(
            random_facts(1),
            landmarks_before(AS_OF[0]),
            catalog=(dataclasses.replace(FEATURES[0], name="shoe_size"),),
        )


def test_the_catalog_is_complete_in_words_and_its_only_default_weight_is_that_of_usage():
    assert {spec.dimension for spec in FEATURES} == {
        "adoption",
        "onboarding",
        "support",
        "sentiment",
        "engagement",
        "commercial",
    }
    assert all(spec.unit and spec.meaning[0].isupper() and not spec.meaning.endswith(".") for spec in FEATURES)
    weights = {spec.name: (spec.default_weight, spec.default_sd) for spec in FEATURES}
    assert weights.pop("usage_level") == (-0.45, 0.3)
    assert set(weights.values()) == {(0.0, 0.2)}
