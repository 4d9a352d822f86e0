"""Words for roles, scopes and what the audit holds."""

from app.web.texts import lazy_gettext as _l
from app.web.words import Words

ROLES: Words = {
    "admin": _l("Administrator"),
    "csm": _l("Customer success"),
    "sales": _l("Sales"),
    "finance": _l("Finance"),
}
ROLES_EXPLAINED: Words = {
    "admin": _l("Everything, these settings too."),
    "csm": _l("Accounts with notes and lifetime value, and expansion opportunities."),
    "sales": _l("Expansion opportunities, and accounts without notes, margin and lifetime value."),
    "finance": _l("Accounts with lifetime value, revenue, costs of acquisition; no notes, no opportunities."),
}
SCOPES: Words = {
    "accounts:read": _l("Read accounts: health, use, retention"),
    "notes:read": _l("Read what people wrote of an account, and who its contacts are"),
    "health:write": _l(
        "Set the health of an account by hand, give its pulse, and say what became of promises and onboarding"
    ),
    "ltv:read": _l("Read lifetime value and the margin it rests on"),
    "finance:read": _l("Read revenue and lifetime value"),
    "finance:write": _l("Record what winning accounts costs, reconcile other books with the ledger, and close months"),
    "opportunities:read": _l("Read expansion opportunities"),
    "opportunities:write": _l("Accept, reject and snooze expansion opportunities"),
    "ingest:write": _l("Send usage events, and nothing else"),
    "signals:write": _l("Send surveys, tickets, conversations, trainings and invoices, and nothing else"),
    "webhooks:admin": _l("Change webhooks and their secrets"),
    "admin": _l("Everything"),
}
# What the audit can be filtered by: each takes in all that begins so.
ACTS: Words = {
    "log": _l("Log-ins and log-outs"),
    "user.": _l("Users"),
    "token.": _l("Tokens"),
    "setting.": _l("Settings"),
    "webhook_": _l("Webhooks"),
    "expansion_": _l("Expansion opportunities"),
    "health_": _l("Health set by hand"),
    "pulse.": _l("Pulses"),
    "promise.": _l("Promises"),
    "onboarding_": _l("Onboarding"),
    "feed.": _l("Feeds"),
    "reconciliation": _l("Reconciliations"),
    "period.": _l("Closed months"),
    "work_item.": _l("Work that was set aside"),
    "secrets.": _l("Encrypted secrets"),
}
ACTIONS: Words = {
    "login.succeeded": _l("logged in"),
    "login.failed": _l("failed to log in"),
    "logout": _l("logged out"),
    "user.added": _l("added a user"),
    "user.role_changed": _l("changed a role"),
    "user.deactivated": _l("shut a user out"),
    "user.reactivated": _l("let a user in again"),
    "user.password_changed": _l("set a password"),
    "token.created": _l("made a token"),
    "token.revoked": _l("revoked a token"),
    "setting.changed": _l("changed a setting"),
    "webhook_endpoint.created": _l("made a webhook"),
    "webhook_endpoint.changed": _l("changed a webhook"),
    "webhook_endpoint.enabled": _l("switched a webhook on"),
    "webhook_endpoint.disabled": _l("switched a webhook off"),
    "webhook_endpoint.deleted": _l("removed a webhook"),
    "webhook_endpoint.secret_rotated": _l("renewed the secret of a webhook"),
    "webhook_endpoint.tested": _l("tested a webhook"),
    "webhook_delivery.replayed": _l("sent a message again"),
    "expansion_opportunities.made_up": _l("found opportunities"),
    "expansion_opportunity.accept": _l("accepted an opportunity"),
    "expansion_opportunity.reject": _l("rejected an opportunity"),
    "expansion_opportunity.snooze": _l("snoozed an opportunity"),
    "expansion_opportunity.win": _l("won an opportunity"),
    "expansion_opportunity.lose": _l("lost an opportunity"),
    "expansion_opportunity.undo": _l("took a step back"),
    "health_override.set": _l("set an account's health by hand"),
    "health_override.set_again": _l("set an account's health by hand again"),
    "health_override.ended": _l("ended a health that was set by hand"),
    "health_trial.made": _l("tried weights of health out"),
    "health_trial.published": _l("published weights of health"),
    "pulse.given": _l("gave an account's pulse"),
    "promise.moved": _l("said what became of a promise"),
    "onboarding_step.done": _l("ticked a step of an onboarding plan"),
    "onboarding_step.reopened": _l("took a tick of an onboarding plan back"),
    "onboarding_template.written": _l("wrote an onboarding template"),
    "onboarding_template.ended": _l("ended an onboarding template"),
    "feed.expected": _l("changed when a feed is expected"),
    "reconciliation.made": _l("held other books against the ledger"),
    "reconciliation.overridden": _l("let a difference stand"),
    "period.closed": _l("closed a month"),
    "work_item.retried": _l("had work tried again"),
}
ACTORS: Words = {"command": _l("the tenure command"), "night": _l("the night"), "nobody": _l("nobody who is known")}
