"""Settings: who changed access and settings."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson
from flask import Response, render_template, request, url_for
from flask.typing import ResponseReturnValue

from app.auth import requires
from app.http import database
from app.queries.audit import Asked, Entry, Page, find_head, list_entries, name_actors
from app.schemas.spreadsheet import write_csv
from app.web.access_words import ACTIONS, ACTORS, ACTS
from app.web.audit_details import describe_details
from app.web.formats import show_instant, show_number
from app.web.moment import load_moment
from app.web.words import word

PAGE = 50
CSV_BATCH = 1_000
CSV_COLUMNS = ("id", "at", "actor", "action", "subject", "details", "digest")
LONGEST_NUMBER = 15  # digits that every database's key holds


@dataclass(frozen=True, slots=True)
class EntryRow:
    when: str
    who: str
    who_url: str
    what: str
    action: str
    subject: str
    details: tuple[tuple[str, str], ...]


@requires("admin")
def show_audit() -> ResponseReturnValue:
    asked = _read_asked()
    page = list_entries(database(), asked)
    head = find_head(database())
    return render_template(
        "settings_audit.html",
        rows=_describe(page),
        asked=asked,
        actions=[(name, str(words)) for name, words in ACTS.items()],
        entries=show_number(head.entries),
        head=head.digest,
        older_url=_address(asked, before=page.next_before) if page.next_before else None,
        newest_url=_address(asked) if asked.before else None,
        csv_url=_address(asked, endpoint="web.settings_audit_csv"),
    )


def _read_asked() -> Asked:
    """What the address asks for, as far as it makes sense; the rest is left out."""
    actor, action, before = (request.args.get(name, "").strip() for name in ("actor", "action", "before"))
    return Asked(
        actor=actor if actor.isprintable() and 0 < len(actor) <= 100 else None,
        action=action if action in ACTS else None,
        before=int(before) if before.isascii() and before.isdecimal() and len(before) <= LONGEST_NUMBER else None,
        limit=PAGE,
    )


def _address(asked: Asked, *, before: int | None = None, endpoint: str = "web.settings_audit") -> str:
    return url_for(endpoint, actor=asked.actor, action=asked.action, before=before)


def _describe(page: Page) -> list[EntryRow]:
    zone = load_moment().settings.reporting_timezone
    names = name_actors(database(), [entry.actor for entry in page.entries])
    return [_row(entry, names, zone=zone) for entry in page.entries]


def _row(entry: Entry, names: dict[str, str], *, zone: str) -> EntryRow:
    return EntryRow(
        when=show_instant(entry.at, zone),
        who=f"{names[entry.actor]} ({entry.actor})" if entry.actor in names else word(ACTORS, entry.actor),
        who_url=url_for("web.settings_audit", actor=entry.actor),
        what=word(ACTIONS, entry.action),
        action=entry.action,
        subject=entry.subject or "",
        details=describe_details(entry.details),
    )


@requires("admin")
def download_audit() -> ResponseReturnValue:
    """All that the filter lets through, in the names and forms that programs read."""
    headers = {"Content-Disposition": 'attachment; filename="audit.csv"'}
    return Response(write_csv(CSV_COLUMNS, _csv_rows(_read_asked())), mimetype="text/csv", headers=headers)


def _csv_rows(asked: Asked) -> Iterator[Sequence[Any]]:
    asked = replace(asked, limit=CSV_BATCH)
    while True:
        page = list_entries(database(), asked)
        for entry in page.entries:
            details = orjson.dumps(entry.details, option=orjson.OPT_SORT_KEYS).decode()
            yield (entry.id, entry.at, entry.actor, entry.action, entry.subject, details, entry.digest)
        if page.next_before is None:
            return
        asked = replace(asked, before=page.next_before)
