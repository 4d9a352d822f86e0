"""Is the process there, and can it answer?"""

from typing import Any

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from app.auth import public
from app.http import database
from app.queries.runs import check_readiness

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
@public
def show_health() -> ResponseReturnValue:
    """The process answers; nothing else is asked."""
    return jsonify(status="ok")


@blueprint.get("/readyz")
@public
def show_readiness() -> ResponseReturnValue:
    """Each check with what to do if it fails; 503 until all hold."""
    readiness = check_readiness(database())
    checks: dict[str, Any] = {
        "database": {"ok": readiness.is_reachable, "remedy": "see DATABASE_URL and whether the server runs"},
        "migrations": {"ok": readiness.is_migrated, "remedy": "run: tenure db upgrade"},
        "published_run": {"ok": readiness.has_run, "remedy": "run: tenure nightly"},
    }
    for check in checks.values():
        if check["ok"]:
            del check["remedy"]
    is_ready = all(check["ok"] for check in checks.values())
    return jsonify(status="ready" if is_ready else "not ready", checks=checks), 200 if is_ready else 503
