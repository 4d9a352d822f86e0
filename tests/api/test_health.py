"""Is the process there, and can it answer?"""

from dataclasses import replace
from pathlib import Path

from flask.testing import FlaskClient

from app.config import Settings
from app.db import make_engine
from app.factory import create_app
from app.http import Application
from app.migrate import downgrade
from tests.small_company import publish_small_run, write_small_company


def test_the_process_answers_whatever_the_database_does(settings: Settings, tmp_path: Path) -> None:
    app = create_app(replace(settings, database_url=f"sqlite:///{tmp_path / 'no' / 'such.db'}"))
    client = app.test_client()
    assert client.get("/healthz").json == {"status": "ok"}
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json["checks"]["database"]["ok"] is False
    assert "DATABASE_URL" in answer.json["checks"]["database"]["remedy"]


def test_it_is_ready_once_migrated_and_with_a_published_run(app: Application, client: FlaskClient) -> None:
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json["checks"] == {
        "database": {"ok": True},
        "migrations": {"ok": True},
        "published_run": {"ok": False, "remedy": "run: tenure nightly"},
    }
    write_small_company(app.engine)
    publish_small_run(app.engine)
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json["status"] == "ready"


def test_a_database_behind_the_code_is_not_ready(app: Application, client: FlaskClient) -> None:
    engine = make_engine(app.settings.database_url)
    downgrade(engine, "base")
    engine.dispose()
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json["checks"]["migrations"] == {"ok": False, "remedy": "run: tenure db upgrade"}


def test_a_database_that_is_gone_is_a_503_and_no_secret(settings: Settings, tmp_path: Path) -> None:
    app = create_app(replace(settings, database_url=f"sqlite:///{tmp_path / 'no' / 'such.db'}"))
    answer = app.test_client().get("/api/v1/accounts", headers={"Authorization": "Bearer x"})
    assert answer.status_code == 503
    assert answer.mimetype == "application/problem+json"
    assert "such.db" not in answer.text
