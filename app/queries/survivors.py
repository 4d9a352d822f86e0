"""Which account each merged one lives on in."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.models.accounts import AccountVersion
from app.queries.known import in_force


def load_survivors(session: Session, *, known_at: datetime) -> dict[int, int]:
    """By each account that was merged, the one at the end of its chain, as known at an instant."""
    version = AccountVersion
    statement = (
        select(version.account_id, version.merged_into_id)
        .where(in_force(version, known_at), version.merged_into_id.is_not(None))
        .order_by(version.account_id, version.valid_from)
    )
    merged = {old: kept for old, kept in session.execute(statement) if kept is not None}
    return {old: _last_of(old, merged) for old in merged}


def _last_of(account_id: int, merged: Mapping[int, int]) -> int:
    seen = {account_id}
    while account_id in merged and merged[account_id] not in seen:
        account_id = merged[account_id]
        seen.add(account_id)
    return account_id
