"""A company of seven accounts with a published run whose every figure can be worked out by pencil.

| id | account | segment | contract | state |
|---|---|---|---|---|
| 1 | 青葉商事 | enterprise | JPY 1,200,000 a year from 2025-04-01, renewed month by month | live |
| 2 | Borealis GmbH | smb | EUR 6,000 for 2025-07-01 to 2026-06-30, non-cancellable | live |
| 3 | Cedar Inc | smb | USD 100 a month from 2026-01-01 | live |
| 4 | Dune Ltd | smb | USD 50 a month in 2025, then gone | churned |
| 5 | =Evil("x") | none | USD 300 once | not applicable |
| 6 | Fresh Co | smb | none; came after the night | not scored |
| 7 | Gone Inc | smb | merged into account 3 | |

The run is as of 2026-03-01. One euro is 1.10 dollars, one dollar is 150 yen.
"""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from app.db import transaction
from app.domain.causes import HORIZONS_MONTHS, pack_probabilities
from app.models.accounts import Account, AccountVersion, ExternalId
from app.models.contracts import Contract, ContractLine, ContractLineVersion, ContractVersion
from app.models.deals import Deal, DealVersion
from app.models.products import Product, ProductVersion
from app.models.scores import FeatureSnapshot, GroupDraws, ModelRun, PublishedRun, RetentionCurve, Score
from app.models.settings import FxRate
from app.models.versions import Change
from app.services.changes import recording

AS_OF = date(2026, 3, 1)
RECORDED_AT = datetime(2026, 2, 28, 20, tzinfo=UTC)
SCORED_AT = datetime(2026, 3, 1, 2, tzinfo=UTC)
NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)
MONTHS = 60

# name, segment, channel, country, merged into
ACCOUNTS: dict[int, tuple[str, str | None, str | None, str | None, int | None]] = {
    1: ("青葉商事", "enterprise", "partner", "JP", None),
    2: ("Borealis GmbH", "smb", "web", "DE", None),
    3: ("Cedar Inc", "smb", "web", "US", None),
    4: ("Dune Ltd", "smb", None, "US", None),
    5: ('=Evil("x")', None, "web", None, None),
    6: ("Fresh Co", "smb", "web", "US", None),
    7: ("Gone Inc", "smb", "web", "US", 3),
}
PRODUCTS = {1: ("CORE", "Core", "basic"), 2: ("PLUS", "Plus", "premium"), 3: ("SETUP", "Set-up", None)}

# account, product, starts, ends, term, kind, amount, ARR, currency; one won deal each, closed on the start
Line = tuple[int, int, date, date | None, int | None, str, int, int | None, str]
LINES: dict[int, Line] = {
    1: (1, 2, date(2025, 4, 1), None, 1, "recurring", 1_200_000, 1_200_000, "JPY"),
    2: (2, 1, date(2025, 7, 1), date(2026, 6, 30), 12, "recurring", 600_000, 600_000, "EUR"),
    3: (3, 1, date(2026, 1, 1), None, 1, "recurring", 10_000, 120_000, "USD"),
    4: (4, 1, date(2025, 1, 1), date(2025, 12, 31), 1, "recurring", 5_000, 60_000, "USD"),
    5: (5, 3, date(2025, 11, 5), date(2025, 11, 5), None, "one_time", 30_000, None, "USD"),
}
RATES = (("EUR", "USD", "1.10"), ("USD", "JPY", "150"))

# account: status, ARR in US cents, tenure, started, renewal, monthly hazard, health, band
SCORES: dict[int, tuple[Any, ...]] = {
    1: ("live", 800_000, 11, date(2025, 4, 1), None, 0.01, 72.5, "healthy"),
    2: ("live", 660_000, 8, date(2025, 7, 1), date(2026, 7, 1), 0.03, 41.25, "watch"),
    3: ("live", 120_000, 2, date(2026, 1, 1), None, 0.10, None, None),
    4: ("churned", 0, None, date(2025, 1, 1), None, None, None, None),
    5: ("not_applicable", 0, None, None, None, None, None, None),
}
EXPLANATION: dict[str, Any] = {
    "reference_logit": -2.0,
    "drivers": [
        {
            "name": "tickets_90d",
            "dimension": "support",
            "contribution": 0.25,
            "value": 2.0,
            "is_known": True,
            "is_learned": True,
            "churns": 9,
        },
        {
            "name": "usage_level",
            "dimension": "adoption",
            "contribution": -0.75,
            "value": None,
            "is_known": False,
            "is_learned": False,
            "churns": 9,
        },
    ],
    "dimensions": [
        {"name": "support", "contribution": 0.25, "is_known": True},
        {"name": "adoption", "contribution": -0.75, "is_known": False},
    ],
}


# As the night stores it: drivers by name in the run, their contributions and values by account.
DRIVERS = [
    {name: driver[name] for name in ("name", "dimension", "is_learned")} | {"n_churns": driver["churns"]}
    for driver in EXPLANATION["drivers"]
]
CONTRIBUTIONS = np.array([-2.0, 0.25, -0.75], dtype="<f8").tobytes()
VALUES = np.array([2.0, np.nan], dtype="<f8").tobytes()


def write_small_company(engine: Engine) -> None:
    with transaction(engine) as session, recording(session, "import", clock=lambda: RECORDED_AT) as change:
        _write_accounts(session, change)
        _write_products(session, change)
        for key, line in LINES.items():
            _write_line(session, change, key=key, line=line)
        for base, quote, rate in RATES:
            row = FxRate(day=date(2025, 1, 1), base=base, quote=quote, rate=Decimal(rate), source="a test")
            session.add(_stamped(row, change))


def publish_small_run(engine: Engine, *, basis: str = "account", run_id: int = 1) -> None:
    reasons = {"account": "Learned from 9 churns.", "prior": "Not enough data: 1 churn so far."}
    with transaction(engine) as session:
        session.add(
            ModelRun(
                id=run_id,
                kind="churn",
                as_of=AS_OF,
                known_at=RECORDED_AT,
                created_at=SCORED_AT,
                definition="churn@1",
                basis=basis,
                basis_reason=reasons[basis],
                currency="USD",
                document="{}",
                sha256="0" * 64,
                report={"churns": 9, "drivers": DRIVERS},
            )
        )
        session.flush()
        for account_id, row in SCORES.items():
            score = _score(account_id, row, run_id=run_id, basis=basis)
            session.add(score)
            if score.contributions is not None:
                known = {"run_id": run_id, "account_id": account_id, "landmark": AS_OF, "coverage": score.coverage}
                session.add(FeatureSnapshot(**known, values=VALUES))
        session.add_all(_groups(run_id))
        pointer = session.get(PublishedRun, "churn")
        if pointer is None:
            session.add(PublishedRun(kind="churn", run_id=run_id))
        else:
            pointer.run_id = run_id


def _stamped(row: Any, change: Change) -> Any:
    row.change_id = change.id
    if hasattr(row, "available_at"):
        row.available_at = RECORDED_AT
    return row


def _write_accounts(session: Session, change: Change) -> None:
    session.add_all(Account(id=i, change_id=change.id) for i in ACCOUNTS)
    session.flush()
    for i, (name, segment, channel, country, merged_into) in ACCOUNTS.items():
        version = AccountVersion(
            account_id=i,
            valid_from=date(2025, 1, 1),
            name=name,
            segment=segment,
            channel=channel,
            country=country,
            merged_into_id=merged_into,
            custom={"tier": "gold"} if i == 1 else {},
        )
        session.add(_stamped(version, change))
    session.add(_stamped(ExternalId(system="crm", kind="crm", external_id="A-1", account_id=1), change))


def _write_products(session: Session, change: Change) -> None:
    session.add_all(Product(id=i, sku=sku, change_id=change.id) for i, (sku, _, _) in PRODUCTS.items())
    session.flush()
    for i, (_, name, plan) in PRODUCTS.items():
        version = ProductVersion(
            product_id=i, valid_from=date(2025, 1, 1), name=name, family=name, plan=plan, is_recurring=plan is not None
        )
        session.add(_stamped(version, change))


def _write_line(session: Session, change: Change, *, key: int, line: Line) -> None:
    account, product, starts_on, ends_on, term, kind, amount, arr, currency = line
    session.add(Deal(id=key, system="crm", external_id=f"D-{key}", change_id=change.id))
    session.flush()
    session.add(Contract(id=key, deal_id=key, change_id=change.id))
    session.flush()
    session.add(ContractLine(id=key, contract_id=key, line_key="1", change_id=change.id))
    session.flush()
    for row in (
        DealVersion(
            deal_id=key,
            account_id=account,
            stage="won",
            type="new",
            closed_on=starts_on,
            amount=str(amount),
            amount_minor=amount,
            currency=currency,
        ),
        ContractVersion(
            contract_id=key,
            account_id=account,
            starts_on=starts_on,
            ends_on=ends_on,
            term_months=term,
            non_cancellable=key == 2,
        ),
        ContractLineVersion(
            contract_line_id=key,
            account_id=account,
            product_id=product,
            kind=kind,
            quantity=Decimal(1),
            starts_on=starts_on,
            ends_on=ends_on,
            agreed_ends_on=ends_on,
            term_months=term,
            amount=str(amount),
            amount_minor=amount,
            arr_minor=arr,
            currency=currency,
        ),
    ):
        session.add(_stamped(row, change))


def _packed(values: Any, kind: str = "<f4") -> bytes:
    return np.asarray(values, dtype=np.float64).astype(kind).tobytes()


def _score(account_id: int, row: tuple[Any, ...], *, run_id: int, basis: str) -> Score:
    status, arr, tenure, started_on, renewal_on, hazard, health, band = row
    score = Score(
        run_id=run_id,
        account_id=account_id,
        status=status,
        basis="not_applicable" if status == "not_applicable" else basis,
        arr_minor=arr,
        tenure_months=tenure,
        started_on=started_on,
        renewal_on=renewal_on,
        health=health,
        band=band,
    )
    if hazard is None:
        return score
    survival = (1 - hazard) ** np.arange(1, MONTHS + 1)
    score.survival, score.survival_lower, score.survival_upper = (_packed(survival**power) for power in (1, 2, 0.5))
    lost = 1 - survival[np.array(HORIZONS_MONTHS) - 1]
    score.cause_probabilities = pack_probabilities(lost[None, :, None] * np.array([0.8, 0.15, 0.05]))[0].tobytes()
    if account_id == 2:  # nothing is lost before the non-cancellable term is over
        retention = survival / survival[3]
        retention[:4] = 1.0
        bounds = (_packed(retention**power) for power in (1, 2, 0.5))
        score.retention, score.retention_lower, score.retention_upper = bounds
    score.churn_probability = 1 - (1 - hazard) ** 12
    score.risk, score.coverage = score.churn_probability, 0.2 if health is None else 0.9
    score.contributions = CONTRIBUTIONS
    score.ltv_residual_minor = arr * 2
    score.ltv_residual_lower_minor, score.ltv_residual_upper_minor = arr, arr * 3
    score.ltv_expansion_minor, score.monthly_drift, score.supported_months = 1_000, 0.01, 24
    return score


def _groups(run_id: int) -> list[GroupDraws | RetentionCurve]:
    """Of `smb`: 650.00 dollars a month that never fall, give or take a tenth, and by chance
    one in twenty (a standard deviation, the same for all months); 60 % of months 25 on is extrapolated.
    """
    months = np.arange(1, MONTHS + 1)
    curve = {
        "months": [0, 1, 2],
        "retention": [1.0, 0.9, 0.81],
        "lower": [1.0, 0.8, 0.6],
        "upper": [1.0, 0.95, 0.9],
        "at_risk": [10, 9, 8],
        "accounts": 10,
        "churned": 2,
        "level": 0.95,
    }
    rows: list[GroupDraws | RetentionCurve] = []
    for cut, group in (("all", "all"), ("segment", "smb"), ("segment", "enterprise")):
        monthly = 65_000.0
        rows += [
            RetentionCurve(run_id=run_id, group_by=cut, group=group, curve=curve),
            GroupDraws(
                run_id=run_id,
                group_by=cut,
                group=group,
                accounts=2,
                arr_minor=780_000,
                left_out_accounts=1,
                left_out_arr_minor=12_000,
                months=MONTHS,
                expected=_packed(np.full(MONTHS, monthly), "<f8"),
                expected_expansion=_packed(np.full(MONTHS, monthly / 10), "<f8"),
                extrapolated=_packed(np.where(months > 24, monthly * 0.6, 0.0), "<f8"),
                draws=_packed(np.outer(np.linspace(0.9, 1.1, 201), np.full(MONTHS, monthly))),
                process=_packed(np.full((MONTHS, MONTHS), (monthly / 20) ** 2)),
                monthly_logo_churn=0.02 if group == "smb" else None,
            ),
        ]
    return rows


def go_on_counting(engine: Engine) -> None:
    """Let PostgreSQL number what comes next after the rows that were written with numbers of their own."""
    if engine.dialect.name != "postgresql":
        return
    with transaction(engine) as session:
        for table in (Account, Product, Deal, Contract, ContractLine, ModelRun):
            name = table.__tablename__
            counter = f"pg_get_serial_sequence('{name}', 'id')"
            session.execute(text(f"SELECT setval({counter}, (SELECT max(id) FROM {name}))"))  # noqa: S608
