"""The story of the contract test, played on a real Tryton."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from integrations.crm.client import CrmClient
from tests.integrations.crm.stories import Stage, ToldDeal
from tests.integrations.crm.tryton.server import TrytonServer, client_of, fresh_tryton

NO_FIELD = "Tryton's opportunities have no field for it without a module of one's own"
CANNOT = {
    "amount": "in Tryton an opportunity is won by a sale, and its amount is that of the sale's lines",
    "type": NO_FIELD,
    "renewal_of": NO_FIELD,
    "cancels_on": NO_FIELD,
    "lead_source": NO_FIELD,
    "campaign": NO_FIELD,
    "promises": "Tryton's opportunities have one text of their own, their comment, which is a note",
    "merge_deals": "Tryton does not merge opportunities",
    "restore_deal": "what Tryton deletes is gone",
    "hold_back": "what is done in Tryton shows at once on a single server",
    "write_account_fields": "Tryton's parties have no fields for it without a module of one's own",
}


class TrytonStage:
    many = 10

    def __init__(self, server: TrytonServer) -> None:
        self._server, self._client = server, client_of(server)

    @property
    def client(self) -> CrmClient:
        return self._client

    @property
    def cannot(self) -> Mapping[str, str]:
        return CANNOT

    def now(self) -> datetime:
        """The server's clock is this machine's."""
        return datetime.now(UTC)

    def create_owner(self, name: str) -> str:
        return self._tell("create_owner", name)

    def create_company(self, name: str) -> str:
        return self._tell("create_company", name)

    def create_contact(self, company: str, name: str, *, email: str) -> str:
        return self._tell("create_contact", company, name, email)

    def create_product(self, name: str, *, sku: str) -> str:
        return self._tell("create_product", name, sku)

    def create_deal(self, told: ToldDeal) -> str:
        return self.create_at_once([told])[0]

    def create_at_once(self, told: Sequence[ToldDeal]) -> list[str]:
        found: list[str] = self._server.tell("create_deals", [as_json(each) for each in told])
        return found

    def edit_deal(self, deal: str, told: ToldDeal) -> None:
        self._server.tell("edit_deal", deal, as_json(told))

    def delete_deal(self, deal: str) -> None:
        self._server.tell("delete_deal", deal)

    def restore_deal(self, deal: str) -> None:
        raise NotImplementedError(CANNOT["restore_deal"])

    def merge_deals(self, kept: str, other: str) -> str:
        raise NotImplementedError(CANNOT["merge_deals"])

    def merge_companies(self, kept: str, other: str) -> str:
        return self._tell("merge_companies", kept, other)

    def hold_back(self, deal: str) -> None:
        raise NotImplementedError(CANNOT["hold_back"])

    def let_through(self, deal: str) -> None:
        raise NotImplementedError(CANNOT["hold_back"])

    def count_written(self, kind: str) -> int:
        return int(self._server.tell("count_written", kind))

    def _tell(self, do: str, *values: str) -> str:
        return str(self._server.tell(do, *values))


def as_json(told: ToldDeal) -> Any:
    """Days and amounts as texts."""
    return _plain(asdict(told))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value if value is None or isinstance(value, int | str) else str(value)


@contextmanager
def open_stage(folder: Path) -> Iterator[Stage]:
    yield TrytonStage(fresh_tryton())
