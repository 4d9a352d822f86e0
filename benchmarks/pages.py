"""Pages at 100,000 accounts: the server's time and the size of each, beside the same pages at 1,000 accounts.

    python -m benchmarks.pages [ACCOUNTS]

On SQLite, straight through the application. The ratio shows whether a page's time grows with the company; the
sums above the list of accounts do, which is why they are asked for by themselves.
"""

import random
import re
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from flask.testing import FlaskClient
from sqlalchemy import Engine, insert, text
from sqlalchemy.orm import Session

from app.config import Settings
from app.db import make_engine, transaction
from app.domain.feature_catalog import FEATURES
from app.factory import create_app
from app.migrate import migrate
from app.models.accounts import Account, AccountVersion, Assignment
from app.models.contracts import Contract, ContractLine, ContractLineVersion, ContractVersion
from app.models.deals import Deal, DealVersion
from app.models.expansion import ExpansionOpportunity
from app.models.persons import Person
from app.models.products import Product, ProductVersion
from app.models.scores import FeatureSnapshot, ModelRun, PublishedRun, RetentionCurve, Score, ScoreChange
from app.models.success import Touch
from app.services.changes import recording
from app.services.users import NewUser, add_user

ACCOUNTS, FEW, TURNS, BATCH = 100_000, 1_000, 5, 5_000
EMAIL, PASSWORD = "bench@example.com", "three unrelated words"
AS_OF, START = date(2026, 9, 30), date(2024, 1, 1)
AVAILABLE = datetime(2026, 9, 1, tzinfo=UTC)
SEGMENTS, PLANS, CHANNELS = ("Small", "Mid-market", "Large"), ("Team", "Business", "Enterprise"), ("Web", "Partner")
PAGES = (
    "/today",
    "/today?whose=all",
    "/expansion",
    "/expansion?csm=3",
    "/model",
    "/feeds",
    "/accounts",
    "/accounts?sort=name",
    "/accounts?sort=-arr",
    "/accounts?segment=Small&sort=health",
    "/accounts?plan=Team",
    "/accounts?csm=3",
    "/accounts?search=company+99",
    "/accounts?search=nothing",
    "/accounts?totals=1",
    "/accounts/77",
    "/retention",
)


def write_company(engine: Engine, accounts: int) -> None:
    """Facts and scores of so many accounts, without a fit: what the pages read, at its real size.

    Every account changed overnight and one in four waits with an opportunity, which is more than there will be.
    """
    rng = random.Random(1)  # noqa: S311  a fixed seed, no secret
    with transaction(engine) as session, recording(session, "benchmark") as change:
        own = {"change_id": change.id, "available_at": AVAILABLE}
        add_user(session, change, new=NewUser("Bench", EMAIL, PASSWORD))
        _write_shared(session, change_id=change.id)
        for start in range(1, accounts + 1, BATCH):
            ids = range(start, min(start + BATCH, accounts + 1))
            for table, row in _tables(own, rng):
                session.execute(insert(table), [row(number) for number in ids])
    with transaction(engine) as session:
        session.execute(text("ANALYZE"))


def _write_shared(session: Session, *, change_id: int) -> None:
    for number in range(40):
        mail = EMAIL if number == 0 else None
        session.add(
            Person(
                kind="staff", system="b", external_id=str(number), name=f"CSM {number:02}", email=mail,
                change_id=change_id,
            )
        )  # fmt: skip
    for number, plan in enumerate(PLANS, start=1):
        session.add(Product(id=number, sku=plan, change_id=change_id))
        session.add(
            ProductVersion(
                product_id=number, valid_from=date(2020, 1, 1), name=plan, plan=plan, family="Platform",
                is_recurring=True, unit="seat", change_id=change_id, available_at=AVAILABLE,
            )
        )  # fmt: skip
    run = ModelRun(
        id=1, kind="churn", as_of=AS_OF, known_at=AVAILABLE, created_at=AVAILABLE, definition="churn@1",
        basis="account", basis_reason="", currency="USD", document="{}", sha256="0" * 64,
        report={"churns": 900, "drivers": DRIVERS},
    )  # fmt: skip
    session.add(run)
    session.flush()
    session.add(PublishedRun(kind="churn", run_id=1))
    curve = [1.0 / (1.0 + 0.01 * month) for month in range(61)]
    stored = {
        "months": list(range(61)), "retention": curve, "lower": curve, "upper": curve, "at_risk": [50] * 61,
        "accounts": 100, "churned": 9, "level": 0.95,
    }  # fmt: skip
    for cut, names in (("segment", SEGMENTS), ("plan", PLANS), ("channel", CHANNELS), ("all", ("all",))):
        session.add_all(RetentionCurve(run_id=1, group_by=cut, group=name, curve=stored) for name in names)
    session.flush()


Row = Callable[[int], dict[str, Any]]
SNAPSHOT = {"landmark": AS_OF, "coverage": 1.0, "values": np.full(len(FEATURES), 1.2345).astype("<f8").tobytes()}
DRIVERS = [{"name": spec.name, "dimension": spec.dimension, "is_learned": True, "n_churns": 900} for spec in FEATURES]


def _tables(own: dict[str, Any], rng: random.Random) -> tuple[tuple[type[Any], Row], ...]:
    """Each table with its row of an account, in the order they refer to each other."""
    kept = {"change_id": own["change_id"]}
    names = ("Amber", "Brisk", "Coral", "Dawn")
    line = {
        "kind": "recurring", "quantity": Decimal(5), "starts_on": START, "ends_on": None, "term_months": 12,
        "amount": "100", "amount_minor": 10_000, "arr_minor": 10_000, "currency": "USD",
    }  # fmt: skip
    return (
        (Account, lambda n: {"id": n} | kept),
        (
            AccountVersion,
            lambda n: {
                "account_id": n, "valid_from": START, "name": f"{rng.choice(names)} Company {n}",
                "segment": SEGMENTS[n % 3], "industry": "Software", "country": "JP", "channel": CHANNELS[n % 2],
                "custom": {},
            }
            | own,
        ),
        (Assignment, lambda n: {"account_id": n, "role": "csm", "person_id": 2 + n % 40, "valid_from": START} | own),
        (Deal, lambda n: {"id": n, "system": "b", "external_id": str(n)} | kept),
        (
            DealVersion,
            lambda n: {"deal_id": n, "account_id": n, "stage": "won", "type": "new", "closed_on": START} | own,
        ),
        (Contract, lambda n: {"id": n, "deal_id": n} | kept),
        (ContractVersion, lambda n: {"contract_id": n, "account_id": n, "starts_on": START, "term_months": 12} | own),
        (ContractLine, lambda n: {"id": n, "contract_id": n, "line_key": "1"} | kept),
        (ContractLineVersion, lambda n: {"contract_line_id": n, "account_id": n, "product_id": 1 + n % 3} | line | own),
        (Score, _score(rng)),
        (
            ScoreChange,
            lambda n: {
                "run_id": 1, "account_id": n, "from_state": "watch", "to_state": "at_risk", "direction": "worse",
                "arr_minor": rng.randint(1_000, 9_000_000),
            },
        ),
        (
            Touch,
            lambda n: {"system": "b", "external_id": str(n), "account_id": n, "kind": "call", "occurred_on": START}
            | own,
        ),
        (ExpansionOpportunity, _opportunity(rng)),
        (FeatureSnapshot, lambda n: {"run_id": 1, "account_id": n} | SNAPSHOT),
    )  # fmt: skip


def _opportunity(rng: random.Random) -> Row:
    evidence = [{"kind": "seats_in_use", "people": 9, "seats": 10, "counted": "distinct"}]

    def row(number: int) -> dict[str, Any]:
        return {
            "account_id": number, "motion": "upsell", "product_id": 1 + number % 3, "episode": 1,
            "state": "flagged" if number % 4 == 0 else "lapsed", "flagged_on": AS_OF, "flagged_at": AVAILABLE,
            "moved_at": AVAILABLE, "seen_on": AS_OF, "run_id": 1, "likelihood": "high", "score": 0.5, "quantity": 5,
            "measure": "arr", "amount_minor": rng.randint(1_000, 900_000), "currency": "USD", "evidence": evidence,
        }  # fmt: skip

    return row


def _score(rng: random.Random) -> Row:
    curve = np.linspace(1.0, 0.4, 60).astype("<f4").tobytes()
    contributions = np.full(1 + len(FEATURES), 0.123456789).astype("<f8").tobytes()
    bands = ("healthy", "watch", "at_risk")

    def row(number: int) -> dict[str, Any]:
        arr, churn = rng.randint(1_000, 9_000_000), rng.random()
        return {
            "run_id": 1, "account_id": number, "status": ("churned", "in_grace", *["live"] * 8)[number % 10],
            "basis": "account",
            "arr_minor": arr, "arr_at_risk_minor": round(arr * churn), "tenure_months": rng.randint(1, 60),
            "started_on": START,
            "renewal_on": AS_OF + timedelta(days=rng.randint(1, 365)), "survival": curve, "survival_lower": curve,
            "survival_upper": curve, "churn_probability": churn, "risk": 0.1, "health": 100 * rng.random(),
            "band": bands[number % 3], "coverage": 0.9, "contributions": contributions,
            "ltv_residual_minor": rng.randint(1, 10**7), "ltv_residual_lower_minor": 1,
            "ltv_residual_upper_minor": 10**7, "ltv_expansion_minor": 5, "monthly_drift": 0.0, "supported_months": 40,
        }  # fmt: skip

    return row


def time_pages(folder: Path, accounts: int) -> dict[str, tuple[float, float, int]]:
    """Median wall and CPU milliseconds and bytes of each page."""
    url = f"sqlite:///{folder / f'{accounts}.db'}"
    engine = make_engine(url)
    migrate(engine)
    write_company(engine, accounts)
    engine.dispose()
    client = create_app(Settings.from_env({"TENURE_DATA": str(folder), "DATABASE_URL": url})).test_client()
    token = re.search(r'csrf_token" value="([^"]+)', client.get("/login").text)
    assert token is not None
    form = {"csrf_token": token[1], "email": EMAIL, "password": PASSWORD}
    assert client.post("/login", data=form).status_code == 303
    return {path: _time(client, path) for path in PAGES}


def _time(client: FlaskClient, path: str) -> tuple[float, float, int]:
    size, wall, cpu = 0, [], []
    for _ in range(TURNS + 1):
        clock, work = time.perf_counter(), time.process_time()
        answer = client.get(path)
        wall.append(1e3 * (time.perf_counter() - clock))
        cpu.append(1e3 * (time.process_time() - work))
        assert answer.status_code == 200
        size = len(answer.data)
    return median(wall[1:]), median(cpu[1:]), size


def main(accounts: int = ACCOUNTS) -> None:
    with tempfile.TemporaryDirectory() as folder:
        few, many = time_pages(Path(folder), FEW), time_pages(Path(folder), accounts)
    print(f"{'page':38} {'wall ms':>8} {'CPU ms':>8} {'kB':>6}   CPU against {FEW:,} accounts")
    for path, (wall, cpu, size) in many.items():
        print(f"{path:38} {wall:8.0f} {cpu:8.0f} {size / 1e3:6.0f}   {cpu / few[path][1]:.1f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
