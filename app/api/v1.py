"""Every endpoint under /api/v1."""

from flask import Blueprint, Flask

from app.api import (
    accounts,
    acquisition,
    audit,
    docs,
    expansion,
    health_said,
    health_trials,
    ltv,
    models,
    pulses,
    retention,
    revenue,
    signals,
    tokens,
    users,
    webhooks,
)
from app.api.endpoint import Endpoint

ENDPOINTS: tuple[Endpoint, ...] = (
    accounts.list_accounts,
    accounts.show_account,
    accounts.show_account_health,
    accounts.show_account_retention,
    health_said.list_health_overrides,
    health_said.set_health_override,
    health_said.end_health_override,
    health_said.undo_health_override,
    health_said.judge_health_overrides,
    health_trials.list_health_trials,
    health_trials.make_health_trial,
    health_trials.show_health_trial,
    health_trials.publish_health_trial,
    pulses.list_pulses,
    pulses.give_pulse,
    ltv.show_account_ltv,
    retention.show_retention,
    ltv.list_ltv,
    ltv.show_ltv_summary,
    ltv.show_new_ltv,
    acquisition.show_acquisition,
    acquisition.list_acquisition_costs,
    acquisition.record_acquisition_cost,
    revenue.show_bookings,
    revenue.show_arr,
    expansion.list_opportunities,
    expansion.show_opportunity,
    expansion.accept_opportunity,
    expansion.reject_opportunity,
    expansion.snooze_opportunity,
    expansion.win_opportunity,
    expansion.lose_opportunity,
    expansion.undo_opportunity,
    signals.send_surveys,
    signals.send_tickets,
    signals.send_touches,
    signals.send_trainings,
    signals.send_invoices,
    models.list_definitions,
    models.show_current_model,
    users.list_users,
    users.make_user,
    users.give_role,
    users.set_password,
    users.shut_out,
    users.let_in,
    webhooks.list_webhook_endpoints,
    webhooks.make_webhook_endpoint,
    webhooks.show_webhook_endpoint,
    webhooks.change_webhook_endpoint,
    webhooks.end_webhook_endpoint,
    webhooks.rotate_webhook_secret,
    webhooks.test_webhook_endpoint,
    webhooks.list_webhook_deliveries,
    webhooks.show_webhook_delivery,
    webhooks.replay_webhook_delivery,
    audit.list_audit,
    tokens.list_tokens,
    tokens.make_token,
    tokens.end_token,
)


def register(app: Flask) -> None:
    blueprint = Blueprint("api", __name__, url_prefix="/api/v1")
    for each in ENDPOINTS:
        blueprint.add_url_rule(each.path, each.name, each.as_view(), methods=[each.method])
    app.register_blueprint(blueprint)
    app.register_blueprint(docs.make_blueprint(ENDPOINTS))
