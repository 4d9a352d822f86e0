"""The pages' table of contents: a flat list of addresses, and what every page shares."""

from flask import Blueprint
from flask_babel import Babel

from app.http import Application
from app.web import account, accounts, accounts_csv, assets, errors, frame, login, preferences, retention_groups

FOLDER = assets.FOLDER

ROUTES = (
    ("/", "home", frame.go_home, ("GET",)),
    ("/login", "log_in", login.log_in, ("GET", "POST")),
    ("/logout", "log_out", login.log_out, ("POST",)),
    ("/preferences", "preferences", preferences.keep_preferences, ("POST",)),
    ("/accounts", "accounts", accounts.show_accounts, ("GET",)),
    ("/accounts.csv", "accounts_csv", accounts_csv.download_accounts, ("GET",)),
    ("/accounts/<id:account_id>", "account", account.show_account, ("GET",)),
    ("/retention", "retention", retention_groups.show_retention, ("GET",)),
)


def register(app: Application) -> None:
    """Put the pages into the application."""
    pages = Blueprint("web", __name__, template_folder="templates", static_folder="static", static_url_path="/static")
    for rule, endpoint, view, methods in ROUTES:
        pages.add_url_rule(rule, endpoint, view, methods=methods)
    pages.after_request(assets.let_be_kept)
    app.register_blueprint(pages)
    Babel(
        app,
        default_translation_directories=str(FOLDER / "translations"),
        locale_selector=preferences.choose_language,
    )
    app.jinja_env.globals.update(static_url=assets.static_url, csrf=frame.csrf_field)
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.context_processor(frame.describe_frame)
    app.error_page = errors.show_error
