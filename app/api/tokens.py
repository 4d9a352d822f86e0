"""Tokens, for programs that hand out and rotate them."""

from datetime import timedelta
from typing import Any

from app.api.endpoint import Reply, endpoint
from app.http import database, now
from app.queries.callers import list_tokens as load_tokens
from app.schemas import tokens as schemas
from app.services.tokens import create_token, revoke_token


@endpoint("/tokens", scope="admin", answer=schemas.TokenList())
def list_tokens() -> Reply:
    """All tokens, without their secrets."""
    return Reply({"data": load_tokens(database())})


@endpoint("/tokens", method="POST", scope="admin", body=schemas.NewTokenBody(), answer=schemas.NewToken(), status=201)
def make_token(body: dict[str, Any]) -> Reply:
    """Make a token.

    Its secret is in this answer and nowhere else: keep it now.
    """
    lifetime = timedelta(days=body["expires_in_days"])
    made = create_token(database(), name=body["name"], scopes=body["scopes"], now=now(), lifetime=lifetime)
    return Reply(made, status=201)


@endpoint("/tokens/<id:token_id>", method="DELETE", scope="admin", status=204)
def end_token(token_id: int) -> Reply:
    """Revoke a token; it stops working at once."""
    revoke_token(database(), token_id=token_id, now=now())
    return Reply(None, status=204)
