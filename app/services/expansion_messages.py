"""What other systems are told of expansion opportunities. No names of persons: of an account, a product, money.

`message_data` makes the data of both messages; docs/for-sales.md says what each field means.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from app.domain.expansion_words import evidence_sentences
from app.domain.money import Money
from app.models.expansion import ExpansionMove
from app.queries.accounts import OtherId
from app.queries.expansion import Opportunity, load_external_ids, load_opportunities
from app.services.expansion_links import GOOD_FOR, LINKED_ACTIONS, Linked, sign_link
from app.services.messages import NewMessage, new_message_id, post_message

FLAGGED_TYPE = "expansion_opportunity.flagged"
UPDATED_TYPE = "expansion_opportunity.updated"


@dataclass(frozen=True, slots=True)
class Links:
    """Where links lead and what they are signed with."""

    public_url: str | None
    secret_key: str

    def of(self, opportunity: Opportunity, *, message_id: str, at: datetime) -> dict[str, str]:
        """The account's page, and an address for each answer, good for two weeks; none where nobody has said
        under which address people reach the service.
        """
        if self.public_url is None:
            return {}
        found = {"account": f"{self.public_url}/accounts/{opportunity.account_id}"}
        for action in LINKED_ACTIONS:
            linked = Linked(opportunity.id, action, message_id, at + GOOD_FOR)
            found[action] = f"{self.public_url}/answers/{sign_link(linked, secret_key=self.secret_key)}"
        return found


def message_data(opportunity: Opportunity, external_ids: Sequence[OtherId]) -> dict[str, Any]:
    """What both messages say of an opportunity; the worth is a decimal string with its currency."""
    sentences = evidence_sentences(opportunity.evidence)
    return {
        "id": opportunity.id,
        "state": opportunity.state,
        "motion": opportunity.motion,
        "account": {
            "id": opportunity.account_id,
            "name": opportunity.account_name,
            "external_ids": [
                {"system": each.system, "kind": each.kind, "external_id": each.external_id} for each in external_ids
            ],
        },
        "product": {"sku": opportunity.sku, "name": opportunity.product_name},
        "quantity": opportunity.quantity,
        "likelihood": opportunity.likelihood,
        "probability": opportunity.probability,
        "worth": _money(opportunity.worth),
        "expected_value": None if opportunity.expected_value is None else _money(opportunity.expected_value),
        "measure": opportunity.measure,
        "why_now": sentences[0] if sentences else None,
        "evidence": sentences,
        "episode": opportunity.episode,
        "flagged_on": opportunity.flagged_on,
        "snoozed_until": opportunity.snoozed_until,
    }


def _money(money: Money) -> dict[str, str]:
    return {"amount": money.text, "currency": money.currency}


def tell_of_flags(session: Session, reminders: Mapping[int, bool], *, links: Links, at: datetime) -> None:
    """One message for each of these opportunities; True where it was flagged before and comes back from a snooze."""
    found, external_ids = _described(session, list(reminders), at=at)
    for opportunity_id, is_reminder in reminders.items():
        opportunity = found[opportunity_id]
        message_id = new_message_id()
        data = message_data(opportunity, external_ids.get(opportunity.account_id, ()))
        data |= {"is_reminder": is_reminder, "links": links.of(opportunity, message_id=message_id, at=at)}
        post_message(session, NewMessage(FLAGGED_TYPE, data, opportunity_id, message_id), at=at)


def tell_of_moves(session: Session, steps: Sequence[ExpansionMove], *, at: datetime) -> None:
    """One message for each step: from which state to which, and why."""
    found, external_ids = _described(session, [step.opportunity_id for step in steps], at=at)
    for step in steps:
        opportunity = found[step.opportunity_id]
        data = message_data(opportunity, external_ids.get(opportunity.account_id, ()))
        data |= {"from_state": step.from_state, "reason": step.reason}
        post_message(session, NewMessage(UPDATED_TYPE, data, opportunity.id), at=at)


def _described(
    session: Session, ids: Sequence[int], *, at: datetime
) -> tuple[dict[int, Opportunity], dict[int, list[OtherId]]]:
    found = load_opportunities(session, ids, today=at.date())
    accounts = sorted({opportunity.account_id for opportunity in found.values()})
    return found, load_external_ids(session, accounts)
