"""Secrets at rest: sealed, bound to their place, readable under old keys, rotated all at once."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256, Hash
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, select

from app.config import Settings
from app.db import reading, transaction
from app.models.webhooks import WebhookEndpoint, WebhookSecret
from app.services.secrets import Keyring, Place, Rotated, SecretUnreadable, rotate_secrets

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HERE = Place("webhook_secrets", 7, "ciphertext")
CANARY = "whsec_canary-3f7c1b"
NEW_KEY = "a newer secret of the tests, longer than 32 characters"


def ring(secret: str = "s" * 32, *old: str) -> Keyring:
    settings = Settings("sqlite:///x", secret, None, is_production=False, trusted_hosts=(), port=1, old_secret_keys=old)
    return Keyring.of(settings)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_what_is_sealed_can_be_read_back(text: str) -> None:
    assert ring().decrypt(ring().encrypt(text, HERE), HERE) == text


def test_the_same_text_never_looks_the_same_twice() -> None:
    keyring = ring()
    ciphertexts = {keyring.encrypt(CANARY, HERE) for _ in range(100)}
    assert len({each[5:17] for each in ciphertexts}) == 100
    assert not any(CANARY.encode() in each or b"canary" in each for each in ciphertexts)


def test_another_program_reads_it_by_what_is_documented() -> None:
    """Form 1: key id, nonce, AES-256-GCM under HKDF-SHA256, bound to head, table, row and column."""
    ciphertext = ring().encrypt(CANARY, HERE)
    key = HKDF(SHA256(), 32, None, b"tenure: secrets at rest").derive(b"s" * 32)
    digest = Hash(SHA256())
    digest.update(b"tenure: key id" + key)
    assert ciphertext[:5] == b"\x01" + digest.finalize()[:4]
    bound = ciphertext[:5] + b"\0webhook_secrets\x007\0ciphertext"
    assert AESGCM(key).decrypt(ciphertext[5:17], ciphertext[17:], bound) == CANARY.encode()


@pytest.mark.parametrize(
    "elsewhere",
    [replace(HERE, row=8), replace(HERE, table="webhook_endpoints"), replace(HERE, column="url_ciphertext")],
    ids=str,
)
def test_a_ciphertext_that_was_moved_is_refused(elsewhere: Place) -> None:
    with pytest.raises(SecretUnreadable, match=f"{elsewhere} is damaged or was moved"):
        ring().decrypt(ring().encrypt(CANARY, HERE), elsewhere)


def test_any_changed_byte_and_any_cut_is_refused_without_a_word_of_the_text() -> None:
    ciphertext = ring().encrypt(CANARY, HERE)
    changed = [ciphertext[:i] + bytes([ciphertext[i] ^ 1]) + ciphertext[i + 1 :] for i in range(len(ciphertext))]
    cut = [ciphertext[:length] for length in range(len(ciphertext))]
    for wrong in [*changed, *cut, b""]:
        with pytest.raises(SecretUnreadable) as error:
            ring().decrypt(wrong, HERE)
        assert "canary" not in str(error.value)
        assert "webhook_secrets.ciphertext of row 7" in str(error.value)


def test_an_old_key_still_reads_and_a_missing_one_is_named_with_what_to_do() -> None:
    before = ring("o" * 32).encrypt(CANARY, HERE)
    assert ring("n" * 32, "o" * 32).decrypt(before, HERE) == CANARY
    with pytest.raises(SecretUnreadable, match="TENURE_OLD_SECRET_KEYS"):
        ring("n" * 32).decrypt(before, HERE)


def test_no_key_shows_where_a_keyring_or_the_settings_are_printed(settings: Settings) -> None:
    printed = repr(replace(settings, database_url="postgresql://u:canary@h/d", old_secret_keys=("canary" * 6,)))
    assert "canary" not in printed
    assert settings.secret_key not in printed
    assert "\\x" not in repr(ring())
    assert "ssss" not in repr(ring())


def keep(engine: Engine, keyring: Keyring) -> None:
    with transaction(engine) as session:
        for number in range(3):
            endpoint = WebhookEndpoint(name="n", origin="https://x.test", url_ciphertext=b"", types=[], created_at=NOON)
            session.add(endpoint)
            session.flush()
            secret = WebhookSecret(endpoint_id=endpoint.id, ciphertext=b"", created_at=NOON)
            session.add(secret)
            session.flush()
            secret.ciphertext = keyring.encrypt(f"{CANARY}{number}", Place("webhook_secrets", secret.id, "ciphertext"))
            if number:  # the address of the first was taken away
                place = Place("webhook_endpoints", endpoint.id, "url_ciphertext")
                endpoint.url_ciphertext = keyring.encrypt("https://x.test/", place)


def test_rotation_moves_everything_to_the_present_key_and_then_has_nothing_to_do(
    engine: Engine, settings: Settings
) -> None:
    keep(engine, Keyring.of(settings))
    both = replace(settings, secret_key=NEW_KEY, old_secret_keys=(settings.secret_key,))
    with transaction(engine) as session:
        assert rotate_secrets(session, Keyring.of(both)) == Rotated(rewritten=5, kept=0)
    with transaction(engine) as session:
        only_new = Keyring.of(replace(settings, secret_key=NEW_KEY))
        assert rotate_secrets(session, only_new) == Rotated(rewritten=0, kept=5)
        read = [
            only_new.decrypt(each.ciphertext, Place("webhook_secrets", each.id, "ciphertext"))
            for each in session.scalars(select(WebhookSecret).order_by(WebhookSecret.id))
        ]
        assert read == [f"{CANARY}{number}" for number in range(3)]


def test_a_rotation_that_cannot_read_one_changes_none(engine: Engine, settings: Settings) -> None:
    keep(engine, Keyring.of(settings))
    with transaction(engine) as session:
        last = session.scalars(select(WebhookSecret).order_by(WebhookSecret.id.desc())).first()
        last.ciphertext = last.ciphertext[:-1] + bytes([last.ciphertext[-1] ^ 1])
    with reading(engine) as session:
        before = session.scalars(select(WebhookSecret.ciphertext).order_by(WebhookSecret.id)).all()
    both = replace(settings, secret_key=NEW_KEY, old_secret_keys=(settings.secret_key,))

    def rotate() -> None:
        with transaction(engine) as session:
            rotate_secrets(session, Keyring.of(both))

    with pytest.raises(SecretUnreadable):
        rotate()
    with reading(engine) as session:
        assert session.scalars(select(WebhookSecret.ciphertext).order_by(WebhookSecret.id)).all() == before
