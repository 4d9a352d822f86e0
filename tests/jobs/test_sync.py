"""The inbox: what was dropped there comes in once, whole, when it changed; what cannot is set aside."""

import os
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select, update

from app.db import reading, transaction
from app.models.accounts import Account
from app.models.contracts import ContractLine
from app.models.deals import Deal
from app.models.leases import WorkItem
from app.models.runs import ImportRun
from app.queries.feeds import FeedState, find_feed
from app.queries.leases import list_set_aside
from app.services.leases import LeaseLost
from app.services.work_items import MOST_BEGUN
from jobs.sync import FOLDER, SETTLED_AFTER, Synced, sync_inbox
from tests.installation import work_on

NOW = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
"""Later than the shipped mappings, which count as changed on the day they were installed."""

MINUTE = timedelta(minutes=1)
MAPPING = """
system = "crm"
currency = "USD"
[[files]]
name = "accounts.csv"
[files.account]
id = "id"
[[files]]
name = "deals.csv"
[files.deal]
id = "id"
account = "account"
closed_on = "closed"
[[files]]
name = "lines-*.csv"
[files.line]
deal = "deal"
product = "product"
amount = "amount"
price_months = { value = 1 }
"""
FILES = {
    "accounts.csv": "id\nA1\nA2\n",
    "deals.csv": "id,account,closed\nD1,A1,2026-01-05\n",
    "lines-2026.csv": "deal,product,amount\nD1,Gold,10.00\n",
}


@dataclass
class Crm:
    """A system that drops files, the worker that looks at them, and the time at which it does."""

    engine: Engine
    root: Path
    now: datetime = NOW

    @property
    def folder(self) -> Path:
        return self.root / FOLDER / "our_crm"

    def drop(self, name: str, text: str, *, age: timedelta = MINUTE) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / name
        path.write_text(text)
        written = (self.now - age).timestamp()
        os.utime(path, (written, written))

    def drop_all(self) -> None:
        self.drop("mapping.toml", MAPPING, age=10 * MINUTE)
        for name, text in FILES.items():
            self.drop(name, text)

    def sync(self) -> Synced:
        return sync_inbox(work_on(self.engine, folder=self.root, clock=lambda: self.now))

    def count(self, table: type) -> int:
        with reading(self.engine) as session:
            return session.scalar(select(func.count()).select_from(table)) or 0

    def feed(self, name: str = "crm") -> FeedState:
        with reading(self.engine) as session:
            feed = find_feed(session, kind="sync", name=name)
        assert feed is not None
        return feed

    def set_aside(self) -> list[tuple[str, str]]:
        with reading(self.engine) as session:
            return [(each.item.rpartition(" ")[0], each.error) for each in list_set_aside(session)]


@pytest.fixture
def crm(engine: Engine, tmp_path: Path) -> Crm:
    return Crm(engine, tmp_path)


def test_what_is_dropped_comes_in_and_comes_in_once(crm: Crm) -> None:
    crm.drop_all()
    assert crm.sync() == Synced(imported=3)
    assert (crm.count(Account), crm.count(Deal), crm.count(ContractLine)) == (2, 1, 1)
    assert crm.sync() == Synced()
    assert crm.count(ImportRun) == 1
    assert (crm.feed().last_seen_at, crm.feed().last_error) == (NOW, None)


def test_without_an_inbox_there_is_nothing_to_do(crm: Crm) -> None:
    assert crm.sync() == Synced()
    (crm.root / FOLDER / "empty").mkdir(parents=True)
    assert crm.sync() == Synced(bad=1), "a folder without a mapping is told of"


def test_a_file_that_changed_comes_in_again_and_parts_of_deals_come_together(crm: Crm) -> None:
    crm.drop_all()
    crm.sync()
    crm.drop("accounts.csv", "id\nA1\nA2\nA3\n")
    assert crm.sync() == Synced(imported=1)
    crm.drop("deals.csv", FILES["deals.csv"] + "D2,A2,2026-01-06\n")
    assert crm.sync() == Synced(imported=2)
    assert (crm.count(Account), crm.count(Deal), crm.count(ContractLine)) == (3, 2, 1)


def test_a_file_that_is_put_back_as_it_was_before_is_a_change_too(crm: Crm) -> None:
    crm.drop_all()
    crm.sync()
    for text in ("id\nA1\n", FILES["accounts.csv"]):
        crm.drop("accounts.csv", text)
        assert crm.sync() == Synced(imported=1)


def test_nothing_of_an_export_comes_in_before_all_of_it_is_written(crm: Crm) -> None:
    crm.drop_all()
    crm.drop("lines-2026.csv", FILES["lines-2026.csv"], age=SETTLED_AFTER / 2)
    assert crm.sync() == Synced(waiting=1)
    assert crm.count(ImportRun) == 0
    crm.now += SETTLED_AFTER
    assert crm.sync() == Synced(imported=3)


def test_an_export_that_says_nothing_new_is_a_sign_of_life(crm: Crm) -> None:
    crm.drop_all()
    crm.sync()
    crm.now += timedelta(days=1)
    assert crm.sync() == Synced()
    assert crm.feed().last_seen_at == NOW, "nothing was written since"
    crm.drop("accounts.csv", FILES["accounts.csv"])
    assert crm.sync() == Synced()
    assert crm.feed().last_seen_at == crm.now - MINUTE


def test_another_mapping_reads_the_same_files_again(crm: Crm) -> None:
    crm.drop_all()
    crm.sync()
    crm.now += timedelta(hours=1)
    crm.drop("mapping.toml", MAPPING.replace("USD", "EUR"), age=MINUTE)
    assert crm.sync() == Synced(imported=3)
    assert crm.sync() == Synced()


def test_a_folder_named_like_a_mapping_that_ships_needs_none(engine: Engine, tmp_path: Path) -> None:
    folder = tmp_path / FOLDER / "maven"
    folder.mkdir(parents=True)
    path = folder / "products.csv"
    path.write_text("product,series,sales_price\nGTX Basic,GTX,550\n")
    written = (NOW - MINUTE).timestamp()
    os.utime(path, (written, written))
    work = work_on(engine, folder=tmp_path, clock=lambda: NOW)
    assert sync_inbox(work) == Synced(imported=1)
    assert sync_inbox(work) == Synced()


def test_a_bad_file_is_set_aside_with_its_reason_and_the_others_come_in(crm: Crm) -> None:
    crm.drop_all()
    crm.drop("accounts.csv", "name\nAcme\n")
    crm.drop("holidays.csv", "day\n2026-01-01\n")
    crm.drop("readme.txt", "not a table")
    assert crm.sync() == Synced(imported=2, bad=2, bad_rows=2), "the deal's account is not known"
    assert crm.sync() == Synced(bad=2)
    (unknown, known) = sorted(crm.set_aside(), reverse=True)
    assert unknown[0] == "our_crm/holidays.csv"
    assert "knows no such file" in unknown[1]
    assert known[0] == "our_crm/accounts.csv"
    assert "no column" in known[1]
    crm.drop("accounts.csv", FILES["accounts.csv"])
    assert crm.sync() == Synced(imported=3, bad=1), "what was set aside for want of an account is read again"
    assert crm.count(ContractLine) == 1


def test_a_file_that_is_mended_or_taken_away_is_set_aside_no_more(crm: Crm) -> None:
    crm.drop_all()
    crm.drop("accounts.csv", "name\nAcme\n")
    crm.drop("holidays.csv", "day\n2026-01-01\n")
    crm.sync()
    crm.drop("accounts.csv", FILES["accounts.csv"])
    (crm.folder / "holidays.csv").unlink()
    assert crm.sync() == Synced(imported=3)
    assert crm.set_aside() == []
    assert crm.feed().last_error is None


def test_while_one_part_of_the_deals_is_bad_no_other_part_comes_in(crm: Crm) -> None:
    crm.drop_all()
    crm.drop("lines-2026.csv", "deal,amount\nD1,10.00\n")
    assert crm.sync().imported == 1
    assert (crm.count(Account), crm.count(Deal)) == (2, 0)
    crm.drop("lines-2026.csv", FILES["lines-2026.csv"])
    assert crm.sync() == Synced(imported=2)
    assert (crm.count(Deal), crm.count(ContractLine)) == (1, 1)


def test_bad_rows_are_kept_apart_and_told_of(crm: Crm) -> None:
    crm.drop_all()
    crm.drop("deals.csv", FILES["deals.csv"] + "D2,A2,yesterday\n")
    assert crm.sync() == Synced(imported=3, bad_rows=1)
    assert "1 of deals.csv in " in (crm.feed().last_error or "")
    assert len(list((crm.root / "rejected").iterdir())) == 1


def test_a_mapping_that_cannot_be_read_stops_its_folder_alone(crm: Crm) -> None:
    crm.drop_all()
    other = Crm(crm.engine, crm.root)
    (crm.root / FOLDER / "broken").mkdir()
    (crm.root / FOLDER / "broken" / "mapping.toml").write_text("system = ")
    assert other.sync() == Synced(imported=3, bad=1)
    assert other.sync() == Synced(bad=1)
    assert [item for item, _ in crm.set_aside()] == ["broken/mapping.toml"]
    assert crm.feed("broken").last_seen_at is None


def test_a_file_that_kills_the_worker_is_found_among_the_others_and_set_aside(crm: Crm) -> None:
    crm.drop_all()
    crm.sync()
    with transaction(crm.engine) as session:
        session.execute(update(ImportRun).values(finished_at=None))  # as if it had died in the middle
    names = [f"our_crm/{name}" for name in FILES]
    die(crm, names)
    assert crm.sync() == Synced(imported=3), "each by itself, the parts of deals together"
    assert crm.count(ImportRun) == 3
    crm.drop("accounts.csv", "id\nA9\n")
    for _ in range(MOST_BEGUN):
        die(crm, ["our_crm/accounts.csv"])
    assert crm.sync() == Synced(bad=1)
    assert crm.set_aside()[0][0] == "our_crm/accounts.csv"


def die(crm: Crm, names: list[str]) -> None:
    """Leave behind what a worker does that is killed while it imports these files."""
    from integrations.files.inbox import digest_of
    from jobs.sync import _item

    with transaction(crm.engine) as session:
        for name in names:
            file = crm.folder / Path(name).name
            item = _item(crm.folder, file.name, digest=digest_of(file))
            row = session.get(WorkItem, (item.task, item.name))
            if row is None:
                session.add(WorkItem(task=item.task, item=item.name, begun=1, begun_at=crm.now))
            else:
                row.begun += 1


def test_a_worker_whose_lease_has_gone_imports_nothing(crm: Crm) -> None:
    def lost(_session: object) -> None:
        raise LeaseLost

    crm.drop_all()
    work = work_on(crm.engine, folder=crm.root, clock=lambda: crm.now)
    with pytest.raises(LeaseLost):
        sync_inbox(replace(work, fence=lost))
    assert (crm.count(ImportRun), crm.count(Account), crm.count(WorkItem)) == (0, 0, 0)


def test_a_link_in_the_inbox_is_left_alone_wherever_it_leads(crm: Crm) -> None:
    crm.drop_all()
    (crm.root / "secret_key").write_text("a-key-of-the-installation\n")
    for name in ("lines-2027.csv", "people.csv"):
        (crm.folder / name).symlink_to(crm.root / "secret_key")
    assert crm.sync() == Synced(imported=3)
    assert crm.set_aside() == []


def test_the_first_line_of_a_file_without_a_header_is_told_nobody(crm: Crm) -> None:
    crm.drop_all()
    crm.drop("accounts.csv", "A1 Jane Doe,jane@example.com\nA2,\n")
    assert crm.sync().bad == 1
    ((_, reason),) = crm.set_aside()
    assert reason.startswith("accounts.csv: has no column of 'id'; its first line must name the columns")
    assert crm.feed().last_error is not None
    assert "jane" not in reason.lower() + str(crm.feed().last_error).lower()


def test_what_is_kept_of_an_import_repeats_no_cell_of_its_files(crm: Crm) -> None:
    crm.drop_all()
    crm.drop("deals.csv", FILES["deals.csv"] + "D2,A1,jane@example.com\n")
    assert crm.sync().bad_rows == 1
    with reading(crm.engine) as session:
        report = session.scalars(select(ImportRun.report)).one()
    assert [file["rejected"] for file in report["files"]] == [0, 1, 0]
    assert "jane" not in str(report)
