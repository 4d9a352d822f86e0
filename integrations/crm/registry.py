"""Which CRMs are known, and how each is connected to: a CRM more is a row more (docs/crm.md says what goes with it)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pkgutil import resolve_name

from integrations.crm.client import CrmClient
from integrations.crm.mapping import CrmMapping
from integrations.crm.transport import Limits, Transport
from integrations.targets import Policy


@dataclass(frozen=True, slots=True)
class Adapter:
    """`connect` is imported when it is first needed; `secrets` are the names of what it needs to be let in."""

    connect: str
    secrets: tuple[str, ...]
    limits: Limits = Limits()  # noqa: RUF009  a frozen value


ADAPTERS: Mapping[str, Adapter] = {
    "hubspot": Adapter("integrations.crm.hubspot:connect", ("token",), Limits(per_second=5)),
    "salesforce": Adapter("integrations.crm.salesforce:connect", ("client_id", "client_secret", "refresh_token")),
    "tryton": Adapter("integrations.crm.tryton:connect", ("token",)),
}


def connect(mapping: CrmMapping, *, secret: Mapping[str, str], policy: Policy) -> CrmClient:
    """A client of the CRM that the mapping names. CrmError where its URL may not be reached."""
    adapter = ADAPTERS[mapping.kind]
    transport = Transport(mapping.url, policy=policy, limits=adapter.limits)
    make: Callable[..., CrmClient] = resolve_name(adapter.connect)
    return make(transport, mapping, secret=secret)
