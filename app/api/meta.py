"""What figures rest on, said with each answer, and why some are missing."""

from typing import Any, Protocol

from app.domain.money import Money
from app.queries.facts import Known
from app.queries.runs import NOT_PUBLISHED, Run

STATUS_NOTES = {
    "not_applicable": "Not applicable: the account has no recurring line, so there is nothing to retain.",
    "churned": "The account has left; there is nothing to forecast.",
    "upcoming": "The account has signed and not started; it is scored from its first day on.",
    "in_grace": "The account's term is over and in grace; it is scored again once it renews.",
}


def run_meta(run: Run | None, *definitions: str) -> dict[str, Any]:
    """Of figures that a run made; before the first night they are all missing, and this says so."""
    if run is None:
        nothing = dict.fromkeys(("as_of", "known_at", "currency", "freshness", "model_run_id", "basis"))
        return {"definitions": definitions, **nothing, "basis_reason": NOT_PUBLISHED}
    return {
        "definitions": definitions,
        "as_of": run.as_of,
        "known_at": run.known_at,
        "currency": run.currency,
        "freshness": {"facts_recorded_at": run.known_at, "scored_at": run.created_at, "stale_feeds": run.stale_feeds},
        "model_run_id": run.id,
        "basis": run.basis,
        "basis_reason": run.basis_reason,
    }


def moment_meta(known: Known, *definitions: str, currency: str | None) -> dict[str, Any]:
    """Of figures that were added up from facts, without a model."""
    return {
        "definitions": definitions,
        "as_of": known.as_of,
        "known_at": known.known_at,
        "currency": currency,
        "freshness": {"facts_recorded_at": known.known_at, "scored_at": None, "stale_feeds": known.stale_feeds},
        "model_run_id": None,
        "basis": None,
        "basis_reason": None,
    }


def money(minor: float | None, currency: str) -> Money | None:
    """A forecast in minor units as money, rounded to the nearest."""
    return None if minor is None else Money(round(minor), currency)


class Scored(Protocol):
    """What a run said of an account, if it did."""

    @property
    def status(self) -> str | None: ...
    @property
    def basis(self) -> str | None: ...
    @property
    def churn_probability(self) -> float | None: ...


def note_on(scored: Scored, *, run: Run | None) -> str | None:
    """Why figures are missing or are not the account's own; None where they are."""
    if run is None:
        return NOT_PUBLISHED
    if scored.status is None:
        return "The account came after the last night; run `tenure nightly` to have it scored."
    if scored.status in STATUS_NOTES:
        return STATUS_NOTES[scored.status]
    if scored.churn_probability is None:
        return f"The account begins on {run.as_of}, the day of the run; the next night scores it."
    return None if scored.basis == "account" else run.basis_reason
