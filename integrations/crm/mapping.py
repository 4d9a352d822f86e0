"""What the fields of one company's CRM mean: a TOML section, laid over the defaults that ship for each kind of CRM.

kind = "hubspot"                    # which adapter
system = "hubspot"                  # whose ids these are, on accounts and deals
url = "https://api.hubapi.com"
currency = "USD"                    # where a deal names none
[stages]                            # the CRM's id of a stage -> open, won or lost; others: as the CRM says
[types]                             # the CRM's word -> new, renewal, expansion, contraction, cancellation
[fields]                            # what is ours -> the CRM's field, such as lead_source, campaign, segment
[line_kinds]                        # the CRM's word -> recurring, one_time, usage_based, trial
[[promises]]                        # what sales promised: kind, field, due_field
[write]                             # what is written back: note, task, opportunity, account_fields; all off
[account_fields]                    # what is ours (health_band, churn_risk, ltv, renewal_on) -> the CRM's field
[options]                           # what one adapter alone knows, such as the version of its API
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from app.domain.money import MoneyError, check_currency

DEFAULTS = Path(__file__).parent / "mappings"
STAGES = ("open", "won", "lost")
TYPES = ("new", "renewal", "expansion", "contraction", "cancellation")
LINE_KINDS = ("recurring", "one_time", "usage_based", "trial")
PROMISE_KINDS = ("goal", "date", "stakeholder", "note")
WRITABLE = ("note", "task", "opportunity", "account_fields")
FIELDS = (
    *("segment", "industry", "country", "employees", "channel", "csm", "inside_sales"),  # of a company
    *("lead_source", "campaign", "partner", "renewal_of", "supersedes", "starts_on", "ends_on", "term_months"),
    *("notice_days", "non_cancellable", "billing_period_months", "cancels_on", "cancel_cause"),  # of a deal
    *("sku", "line_kind", "line_starts_on", "line_ends_on", "line_term_months", "discount"),  # of a line
    *("contact_role", "departed_on"),
)
ACCOUNT_FIELDS = ("health_band", "churn_risk", "ltv", "renewal_on")


class CrmMappingError(ValueError):
    """The section cannot be used; the message names the key and says what to do."""


@dataclass(frozen=True, slots=True)
class PromiseField:
    kind: str
    field: str
    due_field: str | None = None


@dataclass(frozen=True, slots=True)
class CrmMapping:
    kind: str
    system: str
    url: str
    currency: str | None = None
    stages: Mapping[str, str] = field(default_factory=dict)
    types: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, str] = field(default_factory=dict)
    line_kinds: Mapping[str, str] = field(default_factory=dict)
    promises: tuple[PromiseField, ...] = ()
    write: Mapping[str, bool] = field(default_factory=dict)
    account_fields: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    def is_written(self, what: str) -> bool:
        return self.write.get(what, False)


_ALLOWED = {
    "stages": (None, STAGES),
    "types": (None, TYPES),
    "line_kinds": (None, LINE_KINDS),
    "fields": (FIELDS, None),
    "account_fields": (ACCOUNT_FIELDS, None),
    "write": (WRITABLE, (True, False)),
}


def read_crm_mapping(text: str) -> CrmMapping:
    """A section laid over the defaults of its kind. CrmMappingError with what is wrong and what would be right."""
    try:
        given = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CrmMappingError(f"This is not TOML: {error}.") from None
    kind = given.get("kind")
    known = sorted(path.stem for path in DEFAULTS.glob("*.toml"))
    if kind not in known:
        raise CrmMappingError(f"kind: {kind!r} is no CRM that is known; use one of {', '.join(known)}.")
    merged = tomllib.loads((DEFAULTS / f"{kind}.toml").read_text(encoding="utf-8"))
    for name, value in given.items():
        is_table = isinstance(value, dict) and isinstance(merged.get(name), dict)
        merged[name] = merged[name] | value if is_table else value
    return _check(merged)


def _check(merged: dict[str, Any]) -> CrmMapping:
    names = {each.name for each in fields(CrmMapping)}
    if unknown := sorted(set(merged) - names):
        raise CrmMappingError(f"{unknown[0]}: there is no such key; the keys are {', '.join(sorted(names))}.")
    for name in ("system", "url"):
        if not isinstance(merged.get(name), str) or not merged[name]:
            raise CrmMappingError(f"{name}: give a text.")
    if (currency := merged.get("currency")) is not None:
        try:
            check_currency(currency)
        except MoneyError as error:
            raise CrmMappingError(f"currency: {error}.") from None
    for name, (keys, values) in _ALLOWED.items():
        _check_table(name, merged.get(name, {}), keys=keys, values=values)
    return CrmMapping(**(merged | {"promises": tuple(_promise(each) for each in merged.get("promises", []))}))


def _check_table(name: str, table: Any, *, keys: tuple[str, ...] | None, values: tuple[Any, ...] | None) -> None:
    if not isinstance(table, dict):
        raise CrmMappingError(f"{name}: give a table, [{name}].")
    for key, value in table.items():
        if keys is not None and key not in keys:
            raise CrmMappingError(f"{name}.{key}: there is no such name; use one of {', '.join(keys)}.")
        if values is not None and value not in values:
            raise CrmMappingError(f"{name}.{key}: {value!r} means nothing; use one of {', '.join(map(str, values))}.")
        if values is None and not isinstance(value, str):
            raise CrmMappingError(f"{name}.{key}: give the name of the CRM's field as a text.")


def _promise(given: Any) -> PromiseField:
    if not isinstance(given, dict) or given.get("kind") not in PROMISE_KINDS or not isinstance(given.get("field"), str):
        raise CrmMappingError(f"promises: each has a field and a kind, one of {', '.join(PROMISE_KINDS)}.")
    if unknown := sorted(set(given) - {"kind", "field", "due_field"}):
        raise CrmMappingError(f"promises.{unknown[0]}: there is no such key; the keys are kind, field, due_field.")
    return PromiseField(given["kind"], given["field"], given.get("due_field"))
