"""The addresses of Settings: a flat list."""

from app.web import settings_account, settings_audit, settings_nav, settings_tokens, settings_users

ROUTES = (
    ("/settings", "settings", settings_nav.go_to_settings, ("GET",)),
    ("/settings/account", "settings_account", settings_account.show_own_account, ("GET", "POST")),
    ("/settings/users", "settings_users", settings_users.show_users, ("GET", "POST")),
    ("/settings/users/<id:user_id>", "settings_user", settings_users.show_user, ("GET",)),
    ("/settings/users/<id:user_id>/role", "settings_user_role", settings_users.give_role, ("POST",)),
    ("/settings/users/<id:user_id>/password", "settings_user_password", settings_users.set_password, ("POST",)),
    ("/settings/users/<id:user_id>/deactivate", "settings_user_deactivate", settings_users.shut_out, ("POST",)),
    ("/settings/users/<id:user_id>/reactivate", "settings_user_reactivate", settings_users.let_in, ("POST",)),
    ("/settings/tokens", "settings_tokens", settings_tokens.show_tokens, ("GET", "POST")),
    ("/settings/tokens/<id:token_id>", "settings_token", settings_tokens.show_token, ("GET", "POST")),
    ("/settings/audit", "settings_audit", settings_audit.show_audit, ("GET",)),
    ("/settings/audit.csv", "settings_audit_csv", settings_audit.download_audit, ("GET",)),
)
