"""The pages' table of contents: a flat list of addresses, and what every page shares."""

from flask import Blueprint
from flask_babel import Babel

from app.http import Application
from app.web import (
    account,
    accounts,
    accounts_csv,
    assets,
    errors,
    expansion,
    expansion_move,
    feeds,
    feeds_crm,
    frame,
    health_said,
    login,
    ltv_groups,
    model,
    model_inputs,
    onboarding_steps,
    opportunity_link,
    preferences,
    promise_moves,
    retention_groups,
    settings_nav,
    settings_routes,
    today,
    webhooks,
)

FOLDER = assets.FOLDER

ROUTES = (
    ("/", "home", frame.go_home, ("GET",)),
    ("/login", "log_in", login.log_in, ("GET", "POST")),
    ("/logout", "log_out", login.log_out, ("POST",)),
    ("/preferences", "preferences", preferences.keep_preferences, ("POST",)),
    ("/today", "today", today.show_today, ("GET",)),
    ("/accounts", "accounts", accounts.show_accounts, ("GET",)),
    ("/accounts.csv", "accounts_csv", accounts_csv.download_accounts, ("GET",)),
    ("/accounts/<id:account_id>", "account", account.show_account, ("GET",)),
    ("/accounts/<id:account_id>", "say_health", health_said.say_health, ("POST",)),
    ("/promises/<id:promise_id>", "move_promise", promise_moves.move, ("POST",)),
    ("/onboarding/steps/<id:step_id>", "mark_step", onboarding_steps.mark, ("POST",)),
    ("/answers/<token>", "answer_opportunity", opportunity_link.answer_opportunity, ("GET", "POST")),
    ("/expansion", "expansion", expansion.show_expansion, ("GET",)),
    ("/expansion.csv", "expansion_csv", expansion.download_expansion, ("GET",)),
    ("/expansion/<id:opportunity_id>", "opportunity", expansion_move.show_opportunity, ("GET",)),
    ("/expansion/<id:opportunity_id>", "move_opportunity", expansion_move.move, ("POST",)),
    ("/retention", "retention", retention_groups.show_retention, ("GET",)),
    ("/ltv", "ltv", ltv_groups.show_ltv, ("GET",)),
    ("/ltv", "record_cost", ltv_groups.record_cost, ("POST",)),
    ("/model", "model", model.show_model, ("GET",)),
    ("/model/inputs", "model_inputs", model_inputs.show_model_inputs, ("GET",)),
    ("/feeds", "feeds", feeds.show_feeds, ("GET",)),
    ("/feeds/<id:feed_id>", "feed", feeds.expect, ("POST",)),
    ("/feeds/crm/<id:connection_id>/sync", "ring_crm", feeds_crm.ring, ("POST",)),
    ("/feeds/retry", "retry", feeds.retry, ("POST",)),
    ("/settings/webhooks", "webhooks", webhooks.show_webhooks, ("GET",)),
    ("/settings/webhooks", "create_webhook", webhooks.create, ("POST",)),
    ("/settings/webhooks/<id:endpoint_id>", "webhook", webhooks.show_webhook, ("GET",)),
    ("/settings/webhooks/<id:endpoint_id>", "change_webhook", webhooks.change, ("POST",)),
    ("/settings/webhooks/deliveries/<id:delivery_id>", "delivery", webhooks.show_delivery, ("GET",)),
    ("/settings/webhooks/deliveries/<id:delivery_id>", "replay", webhooks.replay, ("POST",)),
)


def register(app: Application) -> None:
    """Put the pages into the application."""
    pages = Blueprint("web", __name__, template_folder="templates", static_folder="static", static_url_path="/static")
    for rule, endpoint, view, methods in (*ROUTES, *settings_routes.ROUTES):
        pages.add_url_rule(rule, endpoint, view, methods=methods)
    pages.after_request(assets.let_be_kept)
    app.register_blueprint(pages)
    Babel(
        app,
        default_translation_directories=str(FOLDER / "translations"),
        locale_selector=preferences.choose_language,
    )
    app.jinja_env.globals.update(
        static_url=assets.static_url, csrf=frame.csrf_field, settings_links=settings_nav.list_settings
    )
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.context_processor(frame.describe_frame)
    app.error_page = errors.show_error
