"""Which CRMs are known, and how each is connected to: a CRM more is a row more (docs/crm.md says what goes with it)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pkgutil import resolve_name

from integrations.crm.client import CrmClient, Keep, Push, keep_nowhere
from integrations.crm.mapping import CrmMapping
from integrations.crm.transport import Limits, Transport
from integrations.targets import Policy


@dataclass(frozen=True, slots=True)
class Adapter:
    """`connect` is imported when it is first needed; `secrets` are the names of what it needs to be let in.

    `is_genuine` says of a push whether the CRM signed it, without asking the CRM; None: it does not push.
    """

    connect: str
    secrets: tuple[str, ...]
    is_genuine: str | None = None
    limits: Limits = Limits()  # noqa: RUF009  a frozen value


ADAPTERS: Mapping[str, Adapter] = {
    "hubspot": Adapter(
        "integrations.crm.hubspot:connect",
        ("token",),
        "integrations.crm.hubspot.signature:is_genuine",
        Limits(per_second=5),
    ),
    "salesforce": Adapter(
        "integrations.crm.salesforce:connect",
        ("client_id", "client_secret", "refresh_token"),
        "integrations.crm.salesforce.adapter:is_genuine",
    ),
    "tryton": Adapter("integrations.crm.tryton:connect", ("token",)),
}


def connect(mapping: CrmMapping, *, secret: Mapping[str, str], policy: Policy, keep: Keep = keep_nowhere) -> CrmClient:
    """A client of the CRM that the mapping names. CrmError where its URL may not be reached."""
    adapter = ADAPTERS[mapping.kind]
    transport = Transport(mapping.url, policy=policy, limits=adapter.limits)
    make: Callable[..., CrmClient] = resolve_name(adapter.connect)
    return make(transport, mapping, secret=secret, keep=keep)


def is_genuine(kind: str, push: Push, *, secret: str, now: datetime) -> bool:
    """Whether a push is signed as the CRM of this kind signs them, and fresh."""
    where = ADAPTERS[kind].is_genuine
    return where is not None and bool(resolve_name(where)(push, secret=secret, now=now))
