"""What the revenue ledger must hold on each day: day by day, from the definitions alone, in integers and fractions.

Nothing of the product is used. Amounts are signed: opening + the sum of all movements = closing.
E is the last paid day of a line, G the grace (30 days). Not judged here: deals that replace others, FX, reasons,
CARR, renewals and bookings. Where the definitions are silent, this is decided:

| case | decided | because |
|---|---|---|
| 31 January + 1 month, 29 February + 12 | clipped to the month's end: the first unpaid day | the rule of terms |
| days of grace | E + 1 to E + G; churn is booked on E + 1 + G, effective on E + 1 | 30 whole days |
| a notice that names a line, in its grace | it leaves on the notice's day, effective on E + 1 | no closed day moves |
| a notice effective after the grace | too late: the lapse stands | what has left cannot leave again |
| several notices of a line | the earliest counts | it was said |
| a notice effective on or before the line's start | the line never begins | it was never paid |
| "runs on past" a notice of an account | a line with ARR > 0 is in its term on the day | contracts stand |
| a line that starts in the grace of one of its account and product, and is paid | ends that grace | it renews it |
| a free line or a discount that starts there | ends no grace | it renews nothing |
| two lines of a product that overlap | both count | the contracts say so |
| a pause | ARR is 0 from its first day to its last | not paid is not recurring |
| a line that is paused on E | has no grace; a pause in the grace changes nothing | there is nothing to lapse |
| "has something" | the account's ARR in some currency is above zero | no rate is needed to know it |
| "paid before" | had something on an earlier day, itself or one merged into it by then | it is one company |
| a net of exactly zero | expansion, which adds up to zero | one of the two, always the same |
| nothing before and nothing after (discounts alone) | new if it never had, else churn | part of what came or went |
| a merge | -x and +x of every line on its day; then its changes are the kept account's | one movement, one cause |
| retention and a merge | the account at t0 is whoever owns it at t1 | no company left |
| a net at or below zero at t1 | counts 0 in NRR and GRR | it has nothing |
| came back inside the window | 0 in GRR as in NRR | GRR <= NRR |
| no cohort | None | not applicable is not 0 |
"""

from calendar import monthrange
from collections import defaultdict
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction

GRACE = 30
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Line:
    """One contract line, paid from its start to its end (the last paid day), known from an ordinal on."""

    id: str
    account: str
    product: str
    currency: str
    amount: int
    start_on: date
    end_on: date
    kind: str = "recurring"
    recorded: int = 0
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Notice:
    """It ends a line that it names; one that names none ends the graces of the account."""

    account: str
    effective_on: date
    line: str | None = None
    recorded: int = 0


@dataclass(frozen=True, slots=True)
class Pause:
    """A line is not paid from the first day to the last."""

    line: str
    first_on: date
    last_on: date
    recorded: int = 0


@dataclass(frozen=True, slots=True)
class Merge:
    """From its day on, what the one account owns is the other's."""

    gone: str
    kept: str
    on: date
    recorded: int = 0


@dataclass(frozen=True, slots=True)
class History:
    """All facts, in no order."""

    lines: tuple[Line, ...] = ()
    notices: tuple[Notice, ...] = ()
    pauses: tuple[Pause, ...] = ()
    merges: tuple[Merge, ...] = ()

    def known_at(self, known: int) -> "History":
        """Tell the facts as they stood at an ordinal: of each line the latest word, unless it was deleted."""
        latest: dict[str, Line] = {}
        for line in sorted(self.lines, key=lambda fact: fact.recorded):
            if line.recorded <= known:
                latest[line.id] = line
        return History(
            tuple(line for line in latest.values() if not line.deleted),
            tuple(fact for fact in self.notices if fact.recorded <= known),
            tuple(fact for fact in self.pauses if fact.recorded <= known),
            tuple(fact for fact in self.merges if fact.recorded <= known),
        )


@dataclass(frozen=True, slots=True)
class Movement:
    """One change of one line on one day, signed, with what caused it."""

    on: date
    account: str
    line: str
    product: str
    currency: str
    category: str
    amount: int
    source: str


def add_months(day: date, months: int) -> date:
    """Add whole months; the day is clipped to the month's end."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def arr_of_line(line: Line) -> int:
    """Tell amount x 12 / months for whole months, else amount x 365 / days, half-even; 0 unless recurring."""
    if line.kind != "recurring":
        return 0
    unpaid_on = line.end_on + DAY
    for months in range(1, 121):
        if add_months(line.start_on, months) == unpaid_on:
            return round(Fraction(line.amount * 12, months))
    return round(Fraction(line.amount * 365, (unpaid_on - line.start_on).days))


def owner(history: History, account: str, day: date) -> str:
    """Tell who owns on a day what an account signed."""
    for merge in sorted(history.merges, key=lambda fact: fact.on):
        if merge.on <= day and merge.gone == account:
            account = merge.kept
    return account


def is_paused(history: History, line: Line, day: date) -> bool:
    """Tell whether a line is paused on a day."""
    return any(pause.line == line.id and pause.first_on <= day <= pause.last_on for pause in history.pauses)


def named_end(history: History, line: Line) -> date | None:
    """Tell the earliest effective day of the notices that name a line."""
    return min((notice.effective_on for notice in history.notices if notice.line == line.id), default=None)


def in_term(history: History, line: Line, day: date) -> bool:
    """Tell whether a day lies in a line's term, before any notice that names it."""
    ends_on = named_end(history, line)
    return line.start_on <= day <= line.end_on and (ends_on is None or day < ends_on)


def is_conflict(history: History, notice: Notice) -> bool:
    """Tell whether a notice of an account is one whose paid lines run on past it."""
    day = notice.effective_on
    owns = [line for line in history.lines if owner(history, line.account, day) == notice.account]
    return notice.line is None and any(arr_of_line(line) > 0 and in_term(history, line, day) for line in owns)


def ends_grace(history: History, line: Line, day: date) -> str | None:
    """Tell what ends the grace of a line on just this day: a notice, or a paid line of its account and product."""
    here = owner(history, line.account, day)
    for notice in history.notices:
        whole = notice.line is None and notice.account == here and not is_conflict(history, notice)
        if notice.effective_on == day and (whole or notice.line == line.id):
            return "notice"
    for other in history.lines:
        same = other.product == line.product and owner(history, other.account, day) == here and other.id != line.id
        if same and other.start_on == day and arr_of_line(other) > 0 and in_term(history, other, day):
            return f"line {other.id}"
    return None


def state_of_line(history: History, line: Line, day: date) -> tuple[str, str]:
    """Tell the state of a line on a day (not_started, live, paused, in_grace, ended) and what put it there."""
    ends_on = named_end(history, line)
    if day < line.start_on or (ends_on is not None and ends_on <= line.start_on):
        return "not_started", "line"
    if not in_term(history, line, min(day, line.end_on)):
        return "ended", "notice"
    if is_paused(history, line, min(day, line.end_on)):
        return ("paused", "pause") if day <= line.end_on else ("ended", "term")
    if day <= line.end_on:
        return "live", "line"
    for back in range((day - line.end_on).days):
        cause = ends_grace(history, line, line.end_on + DAY * (back + 1)) if back < GRACE else "term"
        if cause is not None:
            return "ended", cause
    return "in_grace", "term"


def arr_on(history: History, day: date) -> dict[str, int]:
    """Tell the ARR of every line on a day."""
    return {
        line.id: arr_of_line(line) if state_of_line(history, line, day)[0] in {"live", "in_grace"} else 0
        for line in history.lines
    }


def arr_of_accounts(history: History, day: date, owned_on: date | None = None) -> dict[tuple[str, str], int]:
    """Tell the ARR on a day by account and currency, owned as on that day or another."""
    sums: dict[tuple[str, str], int] = defaultdict(int)
    arr = arr_on(history, day)
    for line in history.lines:
        sums[owner(history, line.account, owned_on or day), line.currency] += arr[line.id]
    return sums


def has_something(sums: dict[tuple[str, str], int], account: str) -> bool:
    """Tell whether an account's ARR in some currency is above zero."""
    return any(amount > 0 for (name, _), amount in sums.items() if name == account)


def category(*, paid_before: bool, had: bool, has: bool, net: int) -> str:
    """Tell the category of an account's day."""
    if had and has:
        return "contraction" if net < 0 else "expansion"
    if has:
        return "reactivation" if paid_before else "new"
    return "churn" if had or paid_before else "new"


def movements(history: History, first_on: date, last_on: date) -> list[Movement]:
    """List every change of a line from the first day to the last, both included."""
    found: list[Movement] = []
    starts = min((line.start_on for line in history.lines), default=first_on)
    paid: set[str] = set()
    day = min(starts, first_on)
    arr = arr_on(history, day - DAY)
    while day <= last_on:
        now, of_day = arr_on(history, day), []
        before: dict[tuple[str, str], int] = defaultdict(int)
        for line in history.lines:
            before[owner(history, line.account, day), line.currency] += arr[line.id]
        after = arr_of_accounts(history, day)
        paid = {owner(history, account, day) for account in paid}
        for line in history.lines:
            was, here = owner(history, line.account, day - DAY), owner(history, line.account, day)
            parts = (line.id, line.product, line.currency)
            if was != here and arr[line.id]:
                of_day.append(Movement(day, was, *parts, "transfer", -arr[line.id], "merge"))
                of_day.append(Movement(day, here, *parts, "transfer", arr[line.id], "merge"))
            if now[line.id] != arr[line.id]:
                net = after[here, line.currency] - before[here, line.currency]
                had, has = has_something(before, here), has_something(after, here)
                kind = category(paid_before=here in paid, had=had, has=has, net=net)
                source = state_of_line(history, line, day)[1]
                of_day.append(Movement(day, here, *parts, kind, now[line.id] - arr[line.id], source))
        found += [movement for movement in of_day if day >= first_on]
        paid |= {account for account, _ in after if has_something(after, account)}
        arr, day = now, day + DAY
    return found


@dataclass(frozen=True, slots=True)
class Retention:
    """The forms of retention between two days; None without a cohort."""

    nrr: Fraction | None
    nrr_with_reactivation: Fraction | None
    nrr_aggregate: Fraction | None
    grr: Fraction | None
    logo: Fraction | None


def retention(history: History, opening_on: date, closing_on: date, currency: str) -> Retention:
    """Tell the retention of those with ARR > 0 at the end of the first day, at the end of the last."""
    at_first = arr_of_accounts(history, opening_on, closing_on)
    at_last = arr_of_accounts(history, closing_on)
    cohort = {name: amount for (name, code), amount in at_first.items() if code == currency and amount > 0}
    if not cohort:
        return Retention(None, None, None, None, None)
    moved = [m for m in movements(history, opening_on + DAY, closing_on) if m.currency == currency]
    back = {owner(history, m.account, closing_on) for m in moved if m.category == "reactivation"}
    closing = {name: max(0, at_last[name, currency]) for name in cohort}
    stayed = {name: 0 if name in back else amount for name, amount in closing.items()}
    total = sum(cohort.values())
    counted = {"expansion", "reactivation", "contraction", "churn"}
    return Retention(
        nrr=Fraction(sum(stayed.values()), total),
        nrr_with_reactivation=Fraction(sum(closing.values()), total),
        nrr_aggregate=1 + Fraction(sum(m.amount for m in moved if m.category in counted), sum(cohort.values())),
        grr=Fraction(sum(min(stayed[name], amount) for name, amount in cohort.items()), total),
        logo=Fraction(sum(amount > 0 for amount in closing.values()), len(cohort)),
    )
