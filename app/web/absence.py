"""Why an account has no forecast, in the words of what is missing."""

from app.queries.scores import AccountScore
from app.web.texts import gettext as _


def why_no_forecast(score: AccountScore | None) -> str:
    """For an account without a curve: what has to happen before there is one."""
    if score is None:
        return _("The account came after the last night; it is scored with the next.")
    match score.status:
        case "churned":
            return _("The account has left, so there is nothing to foretell until it comes back.")
        case "upcoming":
            return _("The contract has not begun; the forecast begins with it.")
        case "in_grace":
            return _("The term has ended and nobody has renewed yet; the forecast goes on once somebody does.")
        case "live":
            return _("The account began on the day of the figures; it is scored with the next night.")
    return _("Not applicable: the account has no recurring revenue, so there is nothing to retain.")
