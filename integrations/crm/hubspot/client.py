"""HubSpot as a CrmClient: what is asked once of an account, and who does the rest."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from integrations.crm.client import About, CrmNonsense, Found, Noun, Option, Page, Push, Window, WriteBack
from integrations.crm.hubspot import signature
from integrations.crm.hubspot.reading import KINDS, Reading
from integrations.crm.hubspot.rows import Account, Rows
from integrations.crm.hubspot.wire import Wire, expect, results_of
from integrations.crm.hubspot.writing import Writing
from integrations.crm.mapping import CrmMapping

OVERLAP_SECONDS = 900  # what the search's index showed late
LAG_SECONDS = 60  # how late it mostly is

_FIELD_KINDS = (*KINDS.values(), "line_items")


class HubspotClient:
    def __init__(self, wire: Wire, mapping: CrmMapping, *, now: Callable[[], datetime]) -> None:
        self._wire, self._mapping = wire, mapping
        self._account: Account | None = None
        self._reading = Reading(wire, mapping, lambda: Rows(mapping, self._ask_account()))
        self._writing = Writing(wire, mapping, zone=lambda: self._ask_account().zone, now=now)

    @property
    def overlap_seconds(self) -> int:
        return OVERLAP_SECONDS

    @property
    def lag_seconds(self) -> int:
        return LAG_SECONDS

    def ask_about(self) -> About:
        details, app = self._details(), self._wire.ask_app()
        user = ", ".join(f"{word} {app[key]}" for word, key in (("user", "userId"), ("app", "appId")) if app.get(key))
        return About(
            name=f"HubSpot account {details.get('portalId')}",
            user=user or "an OAuth app",
            version=str(self._mapping.options.get("version", "v3")),
            currency=str(details.get("companyCurrency") or "") or None,
        )

    def nouns(self) -> Sequence[Noun]:
        return tuple(Noun)

    def read(self, noun: Noun, window: Window, *, mark: str | None = None) -> Iterator[Page[Any]]:
        return self._reading.read(noun, window, mark=mark)

    def list_ids(self, noun: Noun) -> Iterator[Sequence[str]]:
        return self._reading.list_ids(noun)

    def find(self, noun: Noun, ids: Sequence[str]) -> Mapping[str, Found]:
        return self._reading.find(noun, ids)

    def list_options(self) -> Mapping[str, Sequence[Option]]:
        """Stages, deal types, and the fields that the mapping names, with `missing` for those that HubSpot has not."""
        states = self._ask_account().stages
        stages = [
            Option(id_, label, self._mapping.stages.get(id_) or states.get(id_))
            for id_, label, _ in self._list_stages()
        ]
        known = {kind: self._list_fields(kind) for kind in _FIELD_KINDS}
        types = [
            Option(str(each.get("value")), str(each.get("label")), self._mapping.types.get(str(each.get("value"))))
            for each in results_of({"options": []} | known["deals"].get("dealtype", {}), "options")
        ]
        fields, missing = self._match_fields({name: each for own in known.values() for name, each in own.items()})
        return {"stages": stages, "types": types, "fields": fields, "missing": missing}

    def write(self, what: WriteBack) -> str:
        return self._writing.write(what)

    def is_genuine(self, push: Push, *, secret: str, now: datetime) -> bool:
        return signature.is_genuine(push, secret=secret, now=now)

    def _details(self) -> dict[str, Any]:
        return self._wire.get("/account-info/v3/details")

    def _ask_account(self) -> Account:
        if self._account is None:
            details = self._details()
            try:
                zone = ZoneInfo(str(details.get("timeZone") or "UTC"))
            except (ZoneInfoNotFoundError, ValueError):
                raise CrmNonsense("HubSpot's account has a time zone that is none.") from None
            states = {id_: state for id_, _, state in self._list_stages()}
            self._account = Account(str(details.get("companyCurrency") or "") or None, zone, states)
        return self._account

    def _list_stages(self) -> list[tuple[str, str, str]]:
        """Of all pipelines: id, the names of pipeline and stage, and what it means to HubSpot."""
        answer = self._wire.get(self._wire.path("pipelines", "deals"))
        return [
            (
                str(stage.get("id")),
                f"{pipeline.get('label')}: {stage.get('label')}",
                _state(expect(dict, stage.get("metadata") or {})),
            )
            for pipeline in results_of(answer)
            for stage in results_of(pipeline, "stages")
        ]

    def _list_fields(self, kind: str) -> dict[str, dict[str, Any]]:
        answer = self._wire.get(self._wire.path("properties", kind))
        return {str(each.get("name")): each for each in results_of(answer)}

    def _match_fields(self, known: Mapping[str, Mapping[str, Any]]) -> tuple[list[Option], list[Option]]:
        named = [(name, ours) for ours, name in self._mapping.fields.items()]
        named += [(each.field, f"promise: {each.kind}") for each in self._mapping.promises]
        named += [(each.due_field, f"promise: {each.kind}, due") for each in self._mapping.promises if each.due_field]
        named += [(name, f"written: {ours}") for ours, name in self._mapping.account_fields.items()]
        meanings = dict(named)
        fields = [
            Option(name, str(each.get("label", name)), meanings.get(name))
            for name, each in known.items()
            if name in meanings or not each.get("hubspotDefined", False)
        ]
        return fields, [Option(name, name, ours) for name, ours in named if name not in known]


def _state(metadata: Mapping[str, Any]) -> str:
    if str(metadata.get("isClosed", "false")).lower() != "true":
        return "open"
    return "won" if str(metadata.get("probability")) in {"1", "1.0"} else "lost"
