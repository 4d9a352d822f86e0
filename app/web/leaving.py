"""A notice that was given, in words."""

from app.domain.notices import Leave
from app.web.formats import show_day
from app.web.texts import gettext as _
from app.web.words import CAUSES, word


def leaving_words(leave: Leave) -> str:
    """Where a probability to leave would stand."""
    return _("leaving on %(day)s", day=show_day(leave.leaves_on))


def notice_words(leave: Leave) -> str:
    return _(
        "Notice given on %(given)s, leaves on %(day)s",
        given=show_day(leave.given_on),
        day=show_day(leave.leaves_on),
    )


def notice_advice(leave: Leave) -> str:
    """Above the account: that nothing here is a forecast any more, and why it goes."""
    said = notice_words(leave)
    if leave.cause is None:
        return _("%(notice)s. Curve, LTV and ARR at risk follow that.", notice=said)
    cause = word(CAUSES, leave.cause)
    return _("%(notice)s (%(cause)s). Curve, LTV and ARR at risk follow that.", notice=said, cause=cause)
