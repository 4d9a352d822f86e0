"""What Tryton has for what the mapping speaks of: states, types, units and fields."""

from collections.abc import Mapping, Sequence
from typing import Any

from integrations.crm.client import Option
from integrations.crm.mapping import CrmMapping
from integrations.crm.tryton.wire import Rest

_MODELS = ("sale.opportunity", "sale.line", "party.party", "party.contact_mechanism", "product.product")


def list_options(rest: Rest, mapping: CrmMapping) -> Mapping[str, Sequence[Option]]:
    """stages, types (where `type_field` is a selection), units and fields, each with what is made of it."""
    opportunity = rest.call("sale.opportunity", "fields_get", body={"fields_names": None})
    type_field = opportunity.get(mapping.options.get("type_field") or "", {})
    return {
        "stages": _selection(opportunity["state"], mapping.stages),
        "types": _selection(type_field, mapping.types),
        "units": _units(rest, mapping),
        "fields": _fields(rest, mapping),
    }


def _selection(field: Mapping[str, Any], meanings: Mapping[str, str]) -> tuple[Option, ...]:
    choices = field.get("selection")
    if not isinstance(choices, list):
        return ()
    return tuple(Option(str(id_), str(label), meanings.get(id_)) for id_, label in choices if id_)


def _units(rest: Rest, mapping: CrmMapping) -> tuple[Option, ...]:
    terms, periods = mapping.options["term_months"], mapping.options["price_months"]
    names = sorted({each["name"] for each in rest.search("product.uom", [], fields=("name",))})
    meanings = {name: f"a term of {months} months" for name, months in terms.items()}
    meanings |= {name: f"until notice, priced for {months} months" for name, months in periods.items()}
    return tuple(Option(name, name, meanings.get(name)) for name in names)


def _fields(rest: Rest, mapping: CrmMapping) -> tuple[Option, ...]:
    ours = {field: name for name, field in mapping.fields.items()}
    ours |= {each.field: f"promise: {each.kind}" for each in mapping.promises}
    known = {model: rest.call(model, "fields_get", body={"fields_names": None}) for model in _MODELS}
    return tuple(
        Option(f"{model}: {name}", str(field["string"]), ours.get(name))
        for model, fields in known.items()
        for name, field in sorted(fields.items())
    )
