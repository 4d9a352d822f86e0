"""What an import did, counted as it goes, and told at its end."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any

from app.domain.money import exact_sum
from app.services.sources import Recorded
from app.services.usage import AFTER, BEFORE, RecordedUsage

MOST_LISTED = 100
LISTS = frozenset({"conflicts", "problems", "proposals"})  # told once, to whoever imports

WORDS = {
    "staff": "people of ours",
    "fx_rate": "exchange rates",
    "churn": "churn notices",
    "usage": "usage rows",
    "touch": "touches",
}


@dataclass(slots=True)
class NounReport:
    """Of one noun: rows read, and what became of them."""

    read: int = 0
    added: int = 0
    changed: int = 0
    unchanged: int = 0
    repeated: int = 0  # the same row of the same id again
    conflicts: int = 0  # another row of an id that was read or recorded before: the first is kept
    rejected: int = 0
    along: int = 0  # versions of other things recorded with them

    def count(self, recorded: Recorded) -> None:
        self.added += recorded.outcome.added
        self.changed += recorded.outcome.changed
        self.unchanged += recorded.outcome.unchanged
        self.rejected += len(recorded.refusals)
        self.along += recorded.along.added + recorded.along.changed


@dataclass(slots=True)
class DealAmounts:
    """Won deals in one currency. `rounding` is what rounding each deal to its currency has added."""

    deals: int = 0
    lines: int = 0
    at_source: Decimal = Decimal(0)
    booked: Decimal = Decimal(0)
    lines_at_source: Decimal = Decimal(0)
    deals_unlike_their_lines: int = 0

    @property
    def rounding(self) -> Decimal:
        return self.booked - self.at_source


@dataclass(slots=True)
class FileReport:
    name: str
    rows: int = 0
    rejected: int = 0
    unused_columns: list[str] = field(default_factory=list)
    rejected_rows_in: str | None = None


@dataclass(slots=True)
class ImportReport:
    mapping: str
    is_check: bool
    files: list[FileReport] = field(default_factory=list)
    nouns: dict[str, NounReport] = field(default_factory=dict)
    amounts: dict[str, DealAmounts] = field(default_factory=dict)
    usage_apart_read: dict[str, int] = field(default_factory=dict)
    usage_apart_added: dict[str, int] = field(default_factory=dict)
    conflicts: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    products: dict[str, int] = field(default_factory=dict)
    proposals: list[str] = field(default_factory=list)
    figures: dict[str, int] = field(default_factory=dict)
    churn: dict[str, int] = field(default_factory=dict)

    @property
    def rejected(self) -> int:
        return sum(file.rejected for file in self.files)

    @property
    def has_changed_something(self) -> bool:
        return any(noun.added or noun.changed or noun.along for noun in self.nouns.values())

    def noun(self, name: str) -> NounReport:
        return self.nouns.setdefault(name, NounReport())

    def count_apart(self, usage: RecordedUsage) -> None:
        for counts, more in ((self.usage_apart_read, usage.apart_read), (self.usage_apart_added, usage.apart_added)):
            for reason in (BEFORE, AFTER):
                counts[reason] = counts.get(reason, 0) + more.get(reason, 0)

    def add_conflict(self, noun: str, words: str) -> None:
        self.noun(noun).conflicts += 1
        if len(self.conflicts) < MOST_LISTED:
            self.conflicts.append(words)

    def add_deal(self, currency: str, *, at_source: Decimal, booked: Decimal, lines: list[Decimal]) -> None:
        amounts = self.amounts.setdefault(currency, DealAmounts())
        amounts.deals += 1
        amounts.lines += len(lines)
        amounts.at_source = exact_sum([amounts.at_source, at_source])
        amounts.booked = exact_sum([amounts.booked, booked])
        amounts.lines_at_source = exact_sum([amounts.lines_at_source, *lines])
        amounts.deals_unlike_their_lines += bool(lines) and exact_sum(lines) != at_source

    def as_json(self) -> dict[str, Any]:
        """What is stored with the run: counts. What was listed repeats cells, which may hold names and addresses."""
        said = {name: value for name, value in asdict(self).items() if name not in LISTS}
        said["amounts"] = {currency: _amounts(amounts) for currency, amounts in self.amounts.items()}
        said["has_changed_something"] = self.has_changed_something
        return said

    def lines(self) -> Iterator[str]:
        """The report for people, a line at a time."""
        yield from self._file_lines()
        for name, noun in self.nouns.items():
            if noun.read == 0:
                continue
            yield _noun_line(WORDS.get(name, name.replace("_", " ") + "s"), noun, is_check=self.is_check)
        for currency, amounts in sorted(self.amounts.items()):
            yield _amount_line(currency, amounts)
        yield from self._figure_lines()
        yield from _listed("Listed as conflicts of ids (the first is kept)", self.conflicts)
        yield from _listed("On the review list", self.proposals)
        yield from _listed("Set aside", self.problems)
        yield self._verdict()

    def _file_lines(self) -> Iterator[str]:
        for file in self.files:
            unused = f"; columns not used: {', '.join(file.unused_columns)}" if file.unused_columns else ""
            yield f"{file.name}: {file.rows:,} rows, {file.rejected:,} set aside{unused}"
            if file.rejected_rows_in:
                yield f"  the rows set aside are in {file.rejected_rows_in}"

    def _figure_lines(self) -> Iterator[str]:
        if self.figures:
            yield (
                f"Now recorded: {self.figures['accounts']:,} accounts "
                f"({self.figures['accounts_with_parent']:,} with a parent, "
                f"{self.figures['buying_accounts']:,} buying), "
                f"{self.figures['deals_won']:,} won deals, {self.figures['products_sold']:,} products sold"
            )
        if self.figures.get("deals_without_account"):
            yield f"Deals without an account: {self.figures['deals_without_account']:,}"
        if self.products:
            named, described = self.products["named"], self.products["described"]
            yield f"Products named in deals: {named:,}, of which the product file has {described:,}"
        for words, counts in (("read", self.usage_apart_read), ("kept apart", self.usage_apart_added)):
            if any(counts.values()):
                before, after = counts[BEFORE], counts[AFTER]
                yield f"Usage {words}: {before:,} rows before and {after:,} after their contract"
        if self.churn:
            yield (
                f"Accounts with churn notices that name no contract: {self.churn['accounts_with_notices']:,}; "
                f"of {self.churn['accounts_in_conflict']:,} the contracts disagree, so the contracts stand"
            )

    def _verdict(self) -> str:
        if self.is_check:
            bad = f"{self.rejected:,} rows would be set aside" if self.rejected else "every row is good"
            return f"Checked: {bad}. Nothing was recorded."
        return "Imported." if self.has_changed_something else "Nothing has changed: all of this was recorded before."


def _amounts(amounts: DealAmounts) -> Mapping[str, Any]:
    said = {name: value if isinstance(value, int) else format(value, "f") for name, value in asdict(amounts).items()}
    return {**said, "rounding": format(amounts.rounding, "f")}


def _noun_line(words: str, noun: NounReport, *, is_check: bool) -> str:
    counts = [] if is_check else [(noun.added, "added"), (noun.changed, "changed"), (noun.unchanged, "unchanged")]
    counts += [
        (noun.repeated, "repeated"),
        (noun.conflicts, "in conflict with an earlier one of the same id"),
        (noun.rejected, "set aside"),
        (noun.along, "more versions of what belongs to them"),
    ]
    told = ", ".join(f"{number:,} {word}" for number, word in counts if number)
    return f"{words}: {noun.read:,} read" + (f"; {told}" if told else "")


def _amount_line(currency: str, amounts: DealAmounts) -> str:
    line = (
        f"Won deals in {currency}: {amounts.deals:,} with {amounts.lines:,} lines, "
        f"{amounts.at_source:,f} at the source, {amounts.booked:,f} booked"
    )
    if amounts.rounding:
        line += f", {amounts.rounding:+f} by rounding"
    if amounts.deals_unlike_their_lines:
        line += f"; {amounts.deals_unlike_their_lines:,} deals have another amount than their lines together"
    return line


def _listed(title: str, items: list[str]) -> Iterator[str]:
    if items:
        yield f"{title}:"
        yield from (f"  {item}" for item in items)
