"""The example company through its files, the import and the database: the same facts as straight from the world."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from app.db import reading
from app.domain.feature_table import build_features
from app.domain.months import add_months_to_days
from app.queries.facts import Known, load_facts
from app.queries.settings import load_company_settings
from app.services.changes import utc_now
from integrations.files.mapping import load_mapping
from jobs.example_company.facts import read_facts
from jobs.example_company.files import write_files
from jobs.example_company.world import simulate
from jobs.import_files import import_files
from jobs.import_run import Options


@pytest.fixture(scope="module")
def world():
    return simulate(8, accounts=50, months=30)


@pytest.fixture
def report(world, engine, tmp_path):
    paths = write_files(world, tmp_path / "exports")
    return import_files(engine, load_mapping(Path("example_company")), paths=paths, options=Options())


@pytest.fixture
def facts(world, engine, report):
    with reading(engine) as session:
        return load_facts(session, Known(world.as_of, utc_now(), load_company_settings(session)))


def test_every_row_is_taken_and_nothing_is_in_conflict(report):
    assert all(
        noun.read > 0 and not noun.rejected and not noun.conflicts for noun in report.nouns.values() if noun.read
    )
    assert (report.problems, report.conflicts, report.proposals) == ([], [], [])
    assert report.churn["notices"] > 0
    assert report.churn["notices_in_conflict"] == 0


def test_the_database_holds_the_same_spells_lines_and_features(world, facts):
    own = read_facts(world)
    assert (facts.segments, facts.channels) == (own.segments, own.channels)
    for field in dataclasses.fields(own.spells):
        np.testing.assert_array_equal(getattr(facts.spells, field.name), getattr(own.spells, field.name), field.name)
    last = np.datetime64(world.as_of)
    landmarks = add_months_to_days(np.full(25, last), np.arange(-24, 1))
    there, here = build_features(facts, landmarks), build_features(own, landmarks)
    assert there.names == here.names
    assert len(here.account) > 400
    np.testing.assert_allclose(there.mrr, here.mrr, rtol=1e-12)
    np.testing.assert_allclose(there.values, here.values, rtol=1e-9, atol=1e-12)
    for name in ("account", "spell", "landmark", "started_on", "term_months", "renewal_on", "committed_until"):
        np.testing.assert_array_equal(getattr(there, name), getattr(here, name), name)
