"""Today: who needs me and why, and who is ready for more."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flask import render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import LazyString

from app.auth import current_user, may, requires
from app.domain.health import NOTICE
from app.domain.notices import Leave
from app.http import database
from app.queries.account_list import Companion, count_all_accounts, load_companions
from app.queries.expansion import OpportunityFilter, OpportunityQuery, list_opportunities, sum_up_opportunities
from app.queries.feeds import list_feeds
from app.queries.leaves import find_leaves
from app.queries.today import (
    NeedyAccount,
    Overnight,
    StateChange,
    Whose,
    find_own_people,
    load_accounts_in_grace,
    load_needy_accounts,
    load_overnight,
    sum_up_grace,
    sum_up_risk,
)
from app.web.drivers import finding_words, is_given, is_good_news
from app.web.expansion_move import describe_moved
from app.web.formats import (
    NONE,
    count_accounts,
    show_day,
    show_days_until,
    show_money,
    show_money_briefly,
    show_number,
    show_percent,
)
from app.web.health import Pill, describe_pill
from app.web.leaving import leaving_words, notice_words
from app.web.lists import Figure
from app.web.moment import Moment, advise, describe_freshness, load_moment
from app.web.opportunities import Row, describe_row, show_worths
from app.web.promises import describe_overdue
from app.web.texts import gettext as _
from app.web.texts import lazy_gettext as _l
from app.web.texts import ngettext
from app.web.words import BANDS, word

MOST_NEEDY = 10
MOST_IN_GRACE = 5
MOST_READY = 6
MOST_CHANGES = 6
REASONS = 3
MINE, ALL = "mine", "all"
DIRECTIONS: dict[str, tuple[LazyString, str, str]] = {
    "worse": (_l("worse"), "risk", "up"),
    "better": (_l("better"), "good", "down"),
    "other": (_l("other"), "none", "none"),
}


@dataclass(frozen=True, slots=True)
class Choice:
    word: str
    url: str
    is_current: bool


@dataclass(frozen=True, slots=True)
class Needy:
    url: str
    name: str
    about: str
    health: Pill
    at_risk: str
    at_risk_range: str
    churn: str
    arr: str
    leaving: str  # where it has said so; else empty
    reasons: tuple[str, ...]
    facts: str


@dataclass(frozen=True, slots=True)
class Changed:
    url: str
    name: str
    text: str
    tone: str
    icon: str
    arr: str


@dataclass(frozen=True, slots=True)
class People:
    """Whose accounts the page is about. `ids` empty: everybody's."""

    whose: str
    ids: tuple[int, ...]
    has_own: bool


@requires("accounts:read")
def show_today() -> ResponseReturnValue:
    moment = load_moment()
    people = _find_people()
    whose = Whose(moment.run.id, moment.today, people.ids) if moment.run else None
    needy = load_needy_accounts(database(), whose, limit=MOST_NEEDY) if whose else []
    in_grace = load_accounts_in_grace(database(), whose, limit=MOST_IN_GRACE) if whose else []
    csms = load_companions(database(), [row.id for row in (*needy, *in_grace)], run=None, today=moment.today)
    leaves = find_leaves(database(), moment.run, churn={row.id: row.churn_probability for row in needy})
    overnight = load_overnight(database(), whose, limit=MOST_CHANGES) if whose else None
    ready = _ready(people, moment) if may("opportunities:read") else None
    return render_template(
        "today.html",
        fresh=describe_freshness(moment),
        advice=advise(moment) if moment.run else None,
        incidents=_incidents(),
        moved=describe_moved() if may("opportunities:read") else None,
        choices=_choices(people),
        whose=people.whose,
        figures=tuple(_figures(whose, ready, moment=moment)) if whose else (),
        needy=[_describe_needy(row, csms[row.id], leave=leaves.get(row.id), moment=moment) for row in needy],
        in_grace=[_describe_needy(row, csms[row.id], leave=None, moment=moment) for row in in_grace],
        changes=[_describe_change(each, moment) for each in overnight.largest] if overnight else [],
        changes_text=_overnight_text(overnight, moment) if overnight else "",
        overdue=describe_overdue(people.ids, moment=moment),
        ready=ready,
        can_snooze=may("opportunities:write"),
        nothing=_say_what_to_do(moment) if not needy and not in_grace else "",
    )


def _find_people() -> People:
    """One's own accounts, where one has any and has not asked for all."""
    user = current_user()
    own = find_own_people(database(), user_id=user.user_id, email=user.email) if user else ()
    is_own = bool(own) and request.args.get("whose") != ALL
    return People(MINE if is_own else ALL, own if is_own else (), bool(own))


def _choices(people: People) -> list[Choice]:
    if not people.has_own:
        return []
    words = {MINE: _("My accounts"), ALL: _("All accounts")}
    return [Choice(text, url_for("web.today", whose=name), name == people.whose) for name, text in words.items()]


def _incidents() -> list[str]:
    """The feeds that should have brought data and did not: one line, not one for every account."""
    return [feed.name for feed in list_feeds(database()) if feed.silent_since is not None]


@dataclass(frozen=True, slots=True)
class Ready:
    rows: tuple[Row, ...]
    count: int
    worth: str


def _ready(people: People, moment: Moment) -> Ready:
    chosen = OpportunityFilter(state=("flagged",), csm=people.ids)
    page = list_opportunities(database(), OpportunityQuery(chosen, limit=MOST_READY), today=moment.today)
    totals = sum_up_opportunities(database(), chosen, today=moment.today)
    worth = show_worths({(measure, currency): minor for (_s, measure, currency), minor in totals.worth.items()})
    return Ready(tuple(describe_row(row) for row in page.rows), sum(totals.counts.values()), worth)


def _figures(whose: Whose, ready: Ready | None, *, moment: Moment) -> Iterator[Figure]:
    risk, grace = sum_up_risk(database(), whose), sum_up_grace(database(), whose)
    under = _("expected within 12 months, of %(accounts)s", accounts=count_accounts(risk.accounts))
    yield Figure(_("ARR at risk"), show_money_briefly(risk.minor, moment.currency), under)
    under = _("the term is over and nobody has renewed: %(accounts)s", accounts=count_accounts(grace.accounts))
    yield Figure(_("ARR in grace"), show_money_briefly(grace.minor, moment.currency), under)
    if ready is not None:
        opportunities = ngettext(
            "%(count)s new opportunity", "%(count)s new opportunities", ready.count, count=show_number(ready.count)
        )
        yield Figure(_("Can be won"), ready.worth or NONE, opportunities)


def _describe_needy(row: NeedyAccount, companion: Companion, *, leave: Leave | None, moment: Moment) -> Needy:
    return Needy(
        url=url_for("web.account", account_id=row.id),
        name=row.name,
        about=" · ".join(part for part in (row.segment, companion.csm) if part),
        health=describe_pill(row, companion.override),
        at_risk=show_money(row.arr_at_risk_minor, moment.currency),
        at_risk_range=_range(row, moment),
        churn=show_percent(row.churn_probability, digits=0),
        arr=show_money(row.arr_minor, moment.currency),
        leaving=leaving_words(leave) if leave else "",
        reasons=_reasons(row.explanation if row.health is not None else None, leave=leave),
        facts=" · ".join(_facts(row, moment)),
    )


def _range(row: NeedyAccount, moment: Moment) -> str:
    if row.churn_lower is None or row.churn_upper is None:
        return ""
    low, high = round(row.arr_minor * row.churn_lower), round(row.arr_minor * row.churn_upper)
    return f"{show_money_briefly(low, moment.currency)} – {show_money_briefly(high, moment.currency)}"


def _reasons(explanation: Mapping[str, Any] | None, *, leave: Leave | None) -> tuple[str, ...]:
    """What raises its risk most, in words; first what somebody can do something about."""
    drivers = explanation["drivers"] if explanation else ()
    raising = [each for each in drivers if each["contribution"] > 0 and not is_good_news(each["name"], each["value"])]
    raising.sort(key=lambda each: (is_given(each["name"]), -each["contribution"]))
    words = [finding_words(each["name"], each["value"]) for each in raising if each["name"] != NOTICE]
    return tuple([notice_words(leave), *words][:REASONS] if leave else words[:REASONS])


def _facts(row: NeedyAccount, moment: Moment) -> Iterator[str]:
    if row.renewal_on:
        until = show_days_until((row.renewal_on - moment.as_of).days)
        yield _("renewal on %(day)s, %(until)s", day=show_day(row.renewal_on), until=until)
    elif row.status == "live":
        yield _("month by month")
    if row.last_contact_on is None:
        yield _("no contact on record")
    else:
        yield ngettext(
            "last contact %(num)s day ago", "last contact %(num)s days ago", (moment.today - row.last_contact_on).days
        )


def _describe_change(change: StateChange, moment: Moment) -> Changed:
    _word, tone, icon = DIRECTIONS[change.direction]
    before = _state(change.from_state) if change.from_state else _("new")
    return Changed(
        url=url_for("web.account", account_id=change.account_id),
        name=change.name,
        text=_("%(before)s → %(after)s", before=before, after=_state(change.to_state)),
        tone=tone,
        icon=icon,
        arr=show_money_briefly(change.arr_minor, moment.currency),
    )


def _state(state: str) -> str:
    return _("No score") if state == "live" else word(BANDS, state)


def _overnight_text(overnight: Overnight, moment: Moment) -> str:
    if moment.run is None or moment.run.compared_with_id is None:
        return _("This was the first night: there is nothing to compare it with yet.")
    parts = [
        _("%(count)s %(word)s", count=show_number(overnight.counts[direction]), word=str(text))
        for direction, (text, _tone, _icon) in DIRECTIONS.items()
        if overnight.counts.get(direction)
    ]
    return _(", ").join(parts) if parts else _("Nobody's health or status is another than the night before.")


def _say_what_to_do(moment: Moment) -> str:
    """Why nobody is listed, and what to do about it."""
    if not count_all_accounts(database()):
        return _(
            "There are no accounts yet. Import deals from files: tenure import MAPPING.toml FILE... "
            "Or look around in an example company: tenure demo"
        )
    if moment.run is None:
        return _(
            "Nothing has been computed yet. Run the first night: tenure nightly. "
            "With tenure worker it is made every day."
        )
    if moment.run.basis == "not_applicable":
        return _("No account has recurring revenue, so none can be lost. What can be won is on the right.")
    return _("None of these accounts has revenue at risk.")
