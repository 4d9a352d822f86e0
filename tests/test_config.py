"""What the environment says is taken, or the service does not start."""

import pytest

from app.config import Settings
from app.errors import Misconfigured


@pytest.mark.parametrize("environment", ["prod", "Production", "production ", ""])
def test_production_misspelt_is_not_development(environment: str) -> None:
    with pytest.raises(Misconfigured, match="TENURE_ENV must be development or production"):
        Settings.from_env({"TENURE_ENV": environment, "TENURE_SECRET_KEY": "x" * 32})


def test_production_and_development_are_told_apart() -> None:
    for environment, is_production in (("production", True), ("development", False)):
        settings = Settings.from_env({"TENURE_ENV": environment, "TENURE_SECRET_KEY": "x" * 32})
        assert settings.is_production == is_production
