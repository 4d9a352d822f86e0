"""When nothing is to be sold to an account: it is in trouble, leaves, is not live, or nothing is known of it."""

from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from app.domain.features import Bools, Floats
from app.domain.months import Days

MOST_RISK = 0.2  # that the account decides to leave within three months
RENEWAL_DAYS, MOST_RENEWAL_RISK = 90, 0.3

NOT_LIVE, NOT_SCORED, CHURN_RISK, RENEWAL, ESCALATION = "not_live", "not_scored", "churn_risk", "renewal", "escalation"
LEAVING = "leaving"
HELD_BACK = (NOT_LIVE, NOT_SCORED, LEAVING, ESCALATION, CHURN_RISK, RENEWAL)


@dataclass(frozen=True, slots=True, eq=False)
class Situation:
    """One entry an account; NaN and NaT where the run says nothing."""

    status: NDArray[np.object_]  # as the run has it; "" where it has none
    buys: Bools  # a deal within the last twelve months: what makes an account without recurring revenue live
    is_escalated: Bools
    is_leaving: Bools  # a notice ends all that it pays for, whenever and for whatever cause
    churn_3_months: Floats
    renewal_on: Days
    renewal_churn: Floats


def holding_reasons(found: Situation, *, as_of: date) -> NDArray[np.object_]:
    """Why plays are held back, the first that applies in the order of HELD_BACK; None where they are not.

    `live` accounts need a risk of at most 20 % within three months and, where they renew within 90
    days, of at most 30 % at the renewal, and no notice that ends them. Accounts to which retention does
    not apply have no risk, and count as live for a year after their last deal.
    """
    days = (found.renewal_on - np.datetime64(as_of)).astype(np.float64)
    days[np.isnat(found.renewal_on)] = np.nan
    is_live, is_buyer = found.status == "live", (found.status == "not_applicable") & found.buys
    with np.errstate(invalid="ignore"):
        renews_soon = (days >= 0) & (days < RENEWAL_DAYS)
        conditions = {
            NOT_LIVE: ~is_live & ~is_buyer,
            NOT_SCORED: is_live & np.isnan(found.churn_3_months),
            LEAVING: found.is_leaving,
            ESCALATION: found.is_escalated,
            CHURN_RISK: found.churn_3_months > MOST_RISK,
            RENEWAL: renews_soon & ~(found.renewal_churn <= MOST_RENEWAL_RISK),
        }
    reasons = np.full(len(found.status), None, dtype=object)
    for reason in reversed(HELD_BACK):
        reasons[conditions[reason]] = reason
    return reasons
