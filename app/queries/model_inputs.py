"""What the published scores looked at: what the night wrote down, as values."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

GROUPED = ("segment", "channel")  # a column for each level, one input all the same


@dataclass(frozen=True, slots=True)
class ModelInput:
    """An input of the model. `last_on` is of its feed; None where it has none, or nothing came.

    `churns` None: nothing can be said of its weight, for the model has none for it.
    """

    name: str
    unit: str
    dimension: str
    feed: str | None
    cadence_days: int | None
    last_on: date | None
    is_fresh: bool
    known_share: float
    is_learned: bool
    churns: int | None


def read_model_inputs(report: dict[str, Any]) -> tuple[ModelInput, ...]:
    """The inputs in a run's report, and the contract's clock; none where no night has written them down."""
    drivers = {driver["name"]: driver for driver in report.get("drivers", ())}
    inputs = list(_read(report.get("inputs", ()), drivers))
    return (*inputs, *_clock(drivers)) if inputs else ()


def _read(stored: Any, drivers: dict[str, Any]) -> Iterator[ModelInput]:
    told = set()
    for each in stored:
        kind, _colon, level = each["name"].partition(": ")
        name = kind if level else each["name"]
        if name in told:
            continue
        told.add(name)
        driver = drivers.get(each["name"])
        levels = [own for own in drivers.values() if own["name"].startswith(f"{kind}: ")] if level else [driver]
        yield ModelInput(
            name=name,
            unit=each["unit"],
            dimension=each["dimension"],
            feed=each["feed"],
            cadence_days=each["cadence_days"],
            last_on=date.fromisoformat(each["last_on"]) if each["last_on"] else None,
            is_fresh=each["is_fresh"],
            known_share=each["known_share"],
            is_learned=any(own["is_learned"] for own in levels if own),
            churns=driver["n_churns"] if driver else None,
        )


def _clock(drivers: dict[str, Any]) -> Iterator[ModelInput]:
    """Tenure and contract are known of every account."""
    for name, unit in (("tenure", "months"), ("contract", "months")):
        if name in drivers:
            own = drivers[name]
            yield ModelInput(
                name=name,
                unit=unit,
                dimension=own["dimension"],
                feed=None,
                cadence_days=None,
                last_on=None,
                is_fresh=True,
                known_share=1.0,
                is_learned=own["is_learned"],
                churns=own["n_churns"],
            )
