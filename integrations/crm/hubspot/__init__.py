"""HubSpot: read by its search, batch and list endpoints, and written back to. docs/crm.md says how to connect one."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from integrations.crm.client import CrmClient, Keep, keep_nowhere
from integrations.crm.hubspot.client import HubspotClient
from integrations.crm.hubspot.wire import Wire
from integrations.crm.mapping import CrmMapping
from integrations.crm.transport import Transport


def _utc_now() -> datetime:
    return datetime.now(UTC)


def connect(
    transport: Transport,
    mapping: CrmMapping,
    *,
    secret: Mapping[str, str],
    keep: Keep = keep_nowhere,
    now: Callable[[], datetime] = _utc_now,
) -> CrmClient:
    """`secret` is {"token": ...} of a private app, or client_id, client_secret and refresh_token of an OAuth app.

    `now` is the instant that a note is dated with.
    """
    version = str(mapping.options.get("version", "v3"))
    return HubspotClient(Wire(transport, secret=secret, keep=keep, version=version), mapping, now=now)
