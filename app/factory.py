"""The web side's table of contents."""

from app import auth
from app.api import health, ingest, v1
from app.config import Settings
from app.http import Application
from app.web import blueprint as web


def create_app(settings: Settings) -> Application:
    """The application: who may come in, the endpoints for programs, the pages for people."""
    app = Application(settings)
    auth.guard(app)
    app.register_blueprint(health.blueprint)
    v1.register(app)
    ingest.register(app)
    web.register(app)
    auth.refuse_undeclared(app)
    return app
