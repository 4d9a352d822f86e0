"""How right the published model is, as text: `tenure model report`."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from app.cli.opened import opened_database
from app.db import reading

if TYPE_CHECKING:
    from app.domain.backtest import Backtest, Estimate
    from app.queries.model_report import ModelReport, YearBehind
    from app.queries.runs import Run

NONE = "-"


@click.group()
def model() -> None:
    """The churn model: what it rests on, and how right it was."""


@model.command("report")
@click.option("--json", "is_json", is_flag=True, help="As JSON, as `GET /api/v1/models/current` answers it.")
def model_report(*, is_json: bool) -> None:
    """Show what the published model rests on, and how right it was over the years behind.

    Example: tenure model report
    """
    from app.queries.model_report import load_model_report
    from app.queries.runs import load_run, load_run_report
    from app.schemas.models import Evaluation

    with opened_database() as (_, engine), reading(engine) as session:
        run = load_run(session)
        report = load_model_report(session, load_run_report(session, run), run_id=run.id, today=run.as_of)
    if is_json:
        said = {"id": run.id, "basis": run.basis, "basis_reason": run.basis_reason, "sha256": run.sha256}
        click.echo(json.dumps(said | {"evaluation": Evaluation().dump(report)}, indent=2))
        return
    for line in _describe(run, report):
        click.echo(line)


def _describe(run: "Run", report: "ModelReport") -> Iterator[str]:
    yield f"Run {run.id} as of {run.as_of}, basis {run.basis}: {run.basis_reason}"
    gate = report.gate
    yield f"Gate: {gate.verdict}, because {gate.reason}, over {gate.years} years with {gate.churns} churns"
    yield f"  accuracy ahead of the default weights {_show(gate.gain)}, expected over observed {_show(gate.ratio)}"
    if report.is_sample:
        yield "Of a part of the accounts, drawn at random."
    if report.reason:
        yield f"No year behind: {report.reason}"
    for year in report.years:
        yield from _describe_year(year)
    for since in report.since:
        found = since.found
        yield (
            f"Said on {since.as_of}, {found.months} months ago: expected {found.expected:.1f}, left {found.churns} "
            f"of {found.accounts}; expected over observed {_show(found.ratio)}: {found.total}"
        )
    moved = [each for each in report.inputs if each.verdict in {"shifted", "changed"}]
    yield f"Inputs that are not as they were: {len(moved)} of {len(report.inputs)}"
    for each in sorted(moved, key=lambda each: -each.index):
        yield f"  {each.name}: {each.verdict}, index {each.index:.2f} (by chance up to {each.index_by_chance:.2f})"


def _describe_year(year: "YearBehind") -> Iterator[str]:
    if year.reason:
        yield f"Year from {year.origin_on}: {year.reason}"
        return
    first = year.ways[0].figures
    yield (
        f"Year from {year.origin_on}: {first.accounts} accounts, {first.churns} left, {first.undecided} undecided, "
        f"learned from {year.learned_from_churns} churns"
    )
    for each in year.ways:
        yield f"  {each.way:<16}" + "  ".join(_measures(each.figures))


def _measures(test: "Backtest") -> Iterator[str]:
    for each in test.rankings:
        yield f"AUC{each.months} {_show(each.auc)}"
    yield f"of the {test.top.accounts} riskiest left {test.top.churns:g} {_show(test.top.precision)}"
    yield f"lift of the riskiest tenth {_show(test.lift)}"
    if test.expected is not None:
        yield f"IPA {_show(test.accuracy)}"
        yield f"Brier {_show(test.brier)}"
        yield f"E/O {_show(test.ratio)}"
        yield f"slope {_show(test.slope)}"
        yield f"ECE {_show(test.calibration_error)}"


def _show(estimate: "Estimate") -> str:
    if estimate.value is None:
        return NONE if estimate.lower is None else f"{estimate.lower:.3f} or more"
    if estimate.lower is None or estimate.upper is None:
        return f"{estimate.value:.3f}"
    return f"{estimate.value:.3f} ({estimate.lower:.3f} to {estimate.upper:.3f})"
