"""The addresses of Settings: a flat list."""

from app.web import (
    health_trial,
    health_weights,
    settings_account,
    settings_audit,
    settings_nav,
    settings_onboarding,
    settings_tokens,
    settings_users,
)

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
    ("/settings/health-weights", "health_weights", health_weights.show_health_weights, ("GET",)),
    ("/settings/health-weights", "try_health_weights", health_weights.try_weights, ("POST",)),
    ("/settings/health-weights/restore", "restore_health_weights", health_weights.restore_health_weights, ("POST",)),
    ("/settings/health-weights/<id:trial_id>", "health_trial", health_trial.show_health_trial, ("GET",)),
    (
        "/settings/health-weights/<id:trial_id>",
        "publish_health_weights",
        health_trial.publish_health_weights,
        ("POST",),
    ),
    ("/settings/onboarding", "onboarding_templates", settings_onboarding.show_templates, ("GET",)),
    ("/settings/onboarding", "write_onboarding_template", settings_onboarding.write, ("POST",)),
    ("/settings/audit", "settings_audit", settings_audit.show_audit, ("GET",)),
    ("/settings/audit.csv", "settings_audit_csv", settings_audit.download_audit, ("GET",)),
)
