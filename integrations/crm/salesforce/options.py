"""What the company's Salesforce has for each thing that the mapping speaks of, and what would be made of it."""

from collections.abc import Mapping, Sequence

from integrations.crm.client import Noun, Option
from integrations.crm.mapping import CrmMapping
from integrations.crm.salesforce import soql
from integrations.crm.salesforce.rows import LINES, TABLES, Table
from integrations.crm.salesforce.schema import Schema, text_at, value_at
from integrations.crm.salesforce.session import Session

_MAPPED = (*(TABLES[noun] for noun in (Noun.COMPANY, Noun.CONTACT, Noun.PRODUCT, Noun.DEAL)), LINES)


def list_options(session: Session, *, schema: Schema, mapping: CrmMapping) -> Mapping[str, Sequence[Option]]:
    types = mapping.options.get("type_field")
    kinds = mapping.fields.get("line_kind")
    return {
        "stages": _stages(session, mapping),
        "types": _values(schema, "Opportunity", path=types, words=mapping.types),
        "line_kinds": _values(schema, LINES.sobject, path=kinds, words=mapping.line_kinds),
        "fields": [option for table in _MAPPED for option in _fields(schema, table, mapping=mapping)],
    }


def _stages(session: Session, mapping: CrmMapping) -> list[Option]:
    asked = soql.select("OpportunityStage", ("ApiName", "MasterLabel", "IsWon", "IsClosed"), order="SortOrder")
    found = []
    for record in session.records(asked):
        said = "won" if value_at(record, "IsWon") else "lost" if value_at(record, "IsClosed") else "open"
        name = text_at(record, "ApiName") or ""
        found.append(Option(name, text_at(record, "MasterLabel") or name, mapping.stages.get(name, said)))
    return found


def _values(schema: Schema, sobject: str, *, path: str | None, words: Mapping[str, str]) -> list[Option]:
    """The values of a list of choices."""
    described = schema.find(sobject, path) if path else None
    values = described.get("picklistValues") or [] if described else []
    return [Option(each["value"], each.get("label") or each["value"], words.get(each["value"])) for each in values]


def _fields(schema: Schema, table: Table, *, mapping: CrmMapping) -> list[Option]:
    """The company's own fields, and those that the mapping names: without a meaning, they are not there or hidden."""
    ours = {mapping.fields[name]: name for name in table.ours if mapping.fields.get(name)}
    described = schema.fields(table.sobject)
    own = {name: field for name, field in described.items() if field.get("custom")}
    named = [
        Option(f"{table.sobject}.{path}", (schema.find(table.sobject, path) or {}).get("label", path), name)
        if schema.find(table.sobject, path) is not None
        else Option(f"{table.sobject}.{path}", f"{name}: not there, or hidden from this user")
        for path, name in ours.items()
    ]
    others = [
        Option(f"{table.sobject}.{name}", str(field.get("label", name)))
        for name, field in own.items()
        if name not in ours
    ]
    return named + others
