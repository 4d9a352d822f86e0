"""What a CRM would give and what would be made of it: connects, reads the first of each, and writes nothing."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from app.services.deal_terms import DealRefused, settle
from integrations.crm.client import About, CrmClient, CrmDeal, Noun, Option, Window
from integrations.crm.fitting import Unfit, fit

MOST_DEALS = 500


@dataclass(frozen=True, slots=True)
class DealsSeen:
    """Of the first deals that were read: how many of each stage and type, what has no meaning, what is refused."""

    count: int
    total: int | None  # that there are, where the CRM says so
    stages: Mapping[str, int]
    types: Mapping[str, int]
    unmapped: Mapping[str, int]
    refused: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class CrmCheck:
    about: About
    options: Mapping[str, Sequence[Option]]
    totals: Mapping[str, int | None]  # things of each noun (None: not known)
    deals: DealsSeen


def check_crm(client: CrmClient, *, now: datetime) -> CrmCheck:
    """Ask who answers, which fields and stages there are, and read the first page of each noun. Raises CrmError."""
    window = Window(None, now)
    totals: dict[str, int | None] = {}
    for noun in client.nouns():
        if noun is not Noun.DEAL:
            page = next(client.read(noun, window), None)
            totals[noun.value] = 0 if page is None else page.total
    return CrmCheck(client.ask_about(), client.list_options(), totals, _see_deals(client, window))


def _see_deals(client: CrmClient, window: Window) -> DealsSeen:
    total: int | None = 0
    deals: list[CrmDeal] = []
    for page in client.read(Noun.DEAL, window):
        total = page.total
        deals += [item.row for item in page.items if item.row is not None]
        if len(deals) >= MOST_DEALS:
            break
    return DealsSeen(
        len(deals),
        total,
        Counter(deal.closed.deal.stage for deal in deals),
        Counter(deal.closed.deal.type for deal in deals),
        Counter(value for deal in deals for value in deal.unmapped),
        Counter(_refusals(deals)),
    )


def _refusals(deals: Sequence[CrmDeal]) -> Iterator[str]:
    for deal in deals:
        try:
            settle(fit(deal).closed)
        except (Unfit, DealRefused) as error:
            yield f"{error.field}: {error}"
