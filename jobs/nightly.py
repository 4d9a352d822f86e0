"""The night: what is computed once a day, in order. Read STEPS and you know it all."""

from datetime import date

from jobs.compare import compare_with_published
from jobs.evaluate import evaluate_model
from jobs.fit import fit_churn
from jobs.flag import flag_opportunities
from jobs.night import Night
from jobs.publish import publish_scores
from jobs.score import score_accounts
from jobs.statistics import refresh_statistics
from jobs.steps import Result, Step, open_run, run_steps
from jobs.work import Work

STEPS: tuple[Step[Night], ...] = (
    Step("fit", fit_churn),
    Step("evaluate", evaluate_model),  # before the scores: what is scored is what the backtests chose
    Step("score", score_accounts),
    Step("statistics", refresh_statistics),
    Step("compare", compare_with_published),
    Step("publish", publish_scores),
    Step("flag", flag_opportunities),
)


def run_night(work: Work, as_of: date, *, is_again: bool = False) -> dict[str, Result]:
    """Make the night of a date; one that was made already is left as it is, unless it is to be made again.

    `as_of` is the start of that day: figures rest on the days before it.
    """
    run = open_run(work, "nightly", as_of=as_of, is_again=is_again)
    return run_steps(Night(work, run), STEPS)
