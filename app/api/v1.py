"""Every endpoint under /api/v1."""

from flask import Blueprint, Flask

from app.api import tokens
from app.api.endpoint import Endpoint

ENDPOINTS: tuple[Endpoint, ...] = (
    tokens.list_tokens,
    tokens.make_token,
    tokens.end_token,
)


def register(app: Flask) -> None:
    blueprint = Blueprint("api", __name__, url_prefix="/api/v1")
    for each in ENDPOINTS:
        blueprint.add_url_rule(each.path, each.name, each.as_view(), methods=[each.method])
    app.register_blueprint(blueprint)
