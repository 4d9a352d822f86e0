"""What the environment says is taken, or the service does not start."""

from pathlib import Path

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


def test_the_public_address_follows_the_port_and_can_be_set() -> None:
    assert Settings.from_env({"TENURE_SECRET_KEY": "x" * 32, "PORT": "8080"}).public_url == "http://127.0.0.1:8080"
    given = {"TENURE_SECRET_KEY": "x" * 32, "TENURE_PUBLIC_URL": "https://tenure.example.com/"}
    assert Settings.from_env(given).public_url == "https://tenure.example.com"


def test_in_production_the_public_address_is_not_guessed_but_asked_for() -> None:
    production = {"TENURE_SECRET_KEY": "x" * 32, "TENURE_ENV": "production"}
    settings = Settings.from_env(production)
    assert settings.public_url is None
    assert ["TENURE_PUBLIC_URL" in warning for warning in settings.warnings] == [True]
    assert Settings.from_env(production | {"TENURE_PUBLIC_URL": "https://tenure.example.com"}).warnings == ()
    assert Settings.from_env({"TENURE_SECRET_KEY": "x" * 32}).warnings == ()


@pytest.mark.parametrize("url", ["tenure.example.com", "ftp://host", "https://", "https://host/?a=b"])
def test_a_public_address_that_links_could_not_begin_with_is_refused(url: str) -> None:
    with pytest.raises(Misconfigured, match="TENURE_PUBLIC_URL"):
        Settings.from_env({"TENURE_SECRET_KEY": "x" * 32, "TENURE_PUBLIC_URL": url})


def test_lists_are_separated_by_commas() -> None:
    given = {"TENURE_SECRET_KEY": "x" * 32, "TENURE_PRIVATE_TARGETS": "10.1.0.0/16, hooks.internal ,"}
    assert Settings.from_env(given).private_targets == ("10.1.0.0/16", "hooks.internal")


def test_the_demo_receiver_may_be_reached_unless_it_is_production_or_set_otherwise() -> None:
    secret = {"TENURE_SECRET_KEY": "x" * 32}
    assert Settings.from_env(secret).private_targets == ("127.0.0.1",)
    assert Settings.from_env(secret | {"TENURE_PRIVATE_TARGETS": ""}).private_targets == ()
    assert Settings.from_env(secret | {"TENURE_ENV": "production"}).private_targets == ()


@pytest.mark.parametrize("entry", ["10.0.0.1/8", "10.0.0.0/33", "127.1", "*.internal", "http://10.0.0.1", "a b"])
def test_a_private_target_that_is_neither_network_nor_name_is_refused(entry: str) -> None:
    with pytest.raises(Misconfigured, match="TENURE_PRIVATE_TARGETS holds networks"):
        Settings.from_env({"TENURE_SECRET_KEY": "x" * 32, "TENURE_PRIVATE_TARGETS": f"10.0.0.0/8,{entry}"})


@pytest.mark.parametrize("text", ["-1", "10", "yes", "1.5"])
def test_the_number_of_proxies_is_a_small_number(tmp_path: Path, text: str) -> None:
    with pytest.raises(Misconfigured, match="TENURE_PROXIES"):
        Settings.from_env({"TENURE_DATA": str(tmp_path), "TENURE_PROXIES": text})


def test_without_a_word_there_is_no_proxy(tmp_path: Path) -> None:
    assert Settings.from_env({"TENURE_DATA": str(tmp_path)}).proxies == 0
    assert Settings.from_env({"TENURE_DATA": str(tmp_path), "TENURE_PROXIES": "2"}).proxies == 2
