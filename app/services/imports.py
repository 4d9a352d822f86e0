"""The record of an import: that it ran, over which files, and what it proposes to a person."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from difflib import get_close_matches
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from app.domain.texts import plain
from app.models.accounts import MatchProposal
from app.models.runs import ImportRun
from app.models.versions import Change
from app.services.sources import Recorded, Source
from app.services.versions import Outcome

# Comparing spellings takes some ten microseconds a pair: enough for a list that a person goes through.
MOST_NAMES, MOST_CANDIDATES = 200, 5_000
ALIKE = 0.85


def open_import(session: Session, *, source: Source, mapping: str, files: Sequence[Mapping[str, str]]) -> int:
    """Note that an import begins; its number."""
    run = ImportRun(
        system=source.system, mapping=mapping, files=list(files), started_at=source.now, finished_at=None, report={}
    )
    session.add(run)
    session.flush()
    return run.id


def close_import(session: Session, run_id: int, *, finished_at: datetime, report: Mapping[str, Any]) -> None:
    """Note that it has ended, and its report."""
    run = session.get_one(ImportRun, run_id)
    run.finished_at = finished_at
    run.report = dict(report)


def alike(given: Collection[str], candidates: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """(given, candidate's id, reason) of names that look alike: by letters and digits alone, else by spelling.

    `candidates` maps ids to names; both are compared.
    """
    spelt: dict[str, str] = {}
    for name, title in candidates.items():
        spelt.setdefault(plain(title), name)
        spelt.setdefault(plain(name), name)
    spellings = sorted(spelt)[:MOST_CANDIDATES]
    found = []
    for name in sorted(given)[:MOST_NAMES]:
        if plain(name) in spelt:
            found.append((name, spelt[plain(name)], "the same but for case, spaces and signs"))
            continue
        near = get_close_matches(plain(name), spellings, n=1, cutoff=ALIKE)
        if near:
            found.append((name, spelt[near[0]], "spelt alike"))
    return found


def propose_matches(
    session: Session, change: Change, *, source: Source, noun: str, pairs: Sequence[tuple[str, str, str]]
) -> Recorded:
    """Put pairs of `alike` on the review list, those that are not on it yet. Nothing is joined."""
    known = {
        tuple(row)
        for row in session.execute(
            select(MatchProposal.given, MatchProposal.candidate).where(
                MatchProposal.system == source.system, MatchProposal.noun == noun
            )
        )
    }
    rows = [
        {
            "system": source.system,
            "noun": noun,
            "given": given,
            "candidate": candidate,
            "reason": reason,
            "state": "proposed",
            "change_id": change.id,
        }
        for given, candidate, reason in pairs
        if (given, candidate) not in known
    ]
    if rows:
        session.execute(insert(MatchProposal), rows)
    return Recorded(Outcome(added=len(rows), unchanged=len(pairs) - len(rows)))
