"""Which way of ranking products the company's own deals speak for, and how right each way was."""

from dataclasses import asdict
from datetime import date

from sqlalchemy import delete, insert
from sqlalchemy.orm import Session

from app.domain.expansion_moves import CROSS_SELL
from app.domain.expansion_rankers import Choice, Past, choose_ranker, list_origins, look_back
from app.domain.expansion_ranking import first_sales
from app.models.scores import Backtest
from jobs.flag_cross_sell import Catalog


def study_rankers(catalog: Catalog) -> Choice:
    """Each way held against what was bought in the half years before the night's date."""
    days = catalog.sales.day
    origins = list_origins(days.min(), catalog.known.as_of) if len(days) else []
    return choose_ranker([past for past in (_look_back(catalog, origin) for origin in origins) if len(past.owned)])


def _look_back(catalog: Catalog, origin: date) -> Past:
    market = catalog.market_of(origin)
    return look_back(catalog.every_sale, origin, market=market, own=first_sales(catalog.every_sale, as_of=origin))


def record_choice(session: Session, choice: Choice, *, run_id: int) -> None:
    """Keep the results with the run, in place of those that a night made before with the same run."""
    session.execute(delete(Backtest).where(Backtest.run_id == run_id, Backtest.kind == CROSS_SELL))
    rows = [
        {
            "run_id": run_id,
            "kind": CROSS_SELL,
            "origin": result.origin,
            "way": result.way,
            "report": {name: value for name, value in asdict(result).items() if name not in {"origin", "way"}}
            | {"is_used": result.way == choice.way, "reason": choice.reason, "has_level": choice.level is not None},
        }
        for result in choice.results
    ]
    if rows:
        session.execute(insert(Backtest), rows)
