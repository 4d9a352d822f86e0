"""The details of an act on record, as pairs of a name and a value that people read."""

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from flask_babel import LazyString

from app.services.history import ALWAYS
from app.web.access_words import ROLES, SCOPES
from app.web.expansion_words import REASONS, STATES
from app.web.formats import NONE, show_day
from app.web.promises import STATES as PROMISED
from app.web.texts import gettext as _
from app.web.texts import lazy_gettext as _l
from app.web.webhook_rows import DISABLED, TYPES
from app.web.words import Words, word

# A setting goes by its own name: it is changed by that.
NAMES: Words = {
    "role": _l("role"),
    "from": _l("from"),
    "to": _l("to"),
    "reason": _l("reason"),
    "scopes": _l("may"),
    "source": _l("source"),
    "origin": _l("address"),
    "types": _l("messages"),
    "format": _l("format"),
    "hours": _l("expected every so many hours"),
    "as_of": _l("as of"),
    "valid_from": _l("valid from"),
    "flagged": _l("flagged"),
    "woken": _l("back from a snooze"),
    "lapsed": _l("lapsed"),
    "rewritten": _l("encrypted anew"),
    "kept": _l("under the present key already"),
    "address_digest": _l("digest of the mail address"),
    "kind": _l("kind"),
    "differing": _l("accounts that differ"),
    "unexplained": _l("unexplained"),
}
VALUES: Mapping[str, Words] = {
    "role": ROLES,
    "from": {**ROLES, **STATES, **PROMISED},
    "to": {**ROLES, **STATES, **PROMISED},
    "reason": {**REASONS, **DISABLED},
    "scopes": SCOPES,
    "types": TYPES,
    "kind": {"billing": _l("billing export"), "crm": _l("CRM")},
}
DAYS = ("as_of", "valid_from", "tracked_from")
OPTIONAL = ("reason", "source")  # where there is none, nothing is said of it
YES_OR_NO: Mapping[bool, LazyString] = {True: _l("yes"), False: _l("no")}


def describe_details(details: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """The pairs in the order of their names; a name or value without words is shown as it is."""
    return tuple(_pairs(details))


def _pairs(details: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in sorted(details.items()):
        if value is not None or name not in OPTIONAL:
            yield word(NAMES, name), _day(value) if name in DAYS else _value(value, VALUES.get(name, {}))


def _day(value: str | None) -> str:
    if value is None:
        return NONE
    day = date.fromisoformat(value)
    return _("always") if day == ALWAYS else show_day(day)


def _value(value: Any, words: Words) -> str:
    if value is None or value in ([], {}, ""):
        return NONE
    if isinstance(value, bool):
        return str(YES_OR_NO[value])
    if isinstance(value, Mapping):
        return "; ".join(f"{name} {_inner(each, words)}" for name, each in value.items())
    if isinstance(value, list):
        return "; ".join(_inner(each, words) for each in value)
    return word(words, str(value))


def _inner(value: Any, words: Words) -> str:
    """Brackets show what belongs together."""
    text = _value(value, words)
    return f"({text})" if isinstance(value, list | Mapping) else text
