"""How long ago, in words."""

from datetime import datetime

from app.web.texts import gettext as _
from app.web.texts import ngettext


def show_ago(instant: datetime, at: datetime) -> str:
    """How long ago, in the largest whole unit."""
    minutes = max(0, int((at - instant).total_seconds() // 60))
    if not minutes:
        return _("just now")
    if minutes < 60:
        return ngettext("%(num)s minute ago", "%(num)s minutes ago", minutes)
    if minutes < 48 * 60:
        return ngettext("%(num)s hour ago", "%(num)s hours ago", minutes // 60)
    return ngettext("%(num)s day ago", "%(num)s days ago", minutes // (24 * 60))
