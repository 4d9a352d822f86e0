"""Tokens, for programs that hand out and rotate them."""

from datetime import timedelta
from typing import Any

from app.api.endpoint import Reply, endpoint
from app.auth import current_actor
from app.http import database, now
from app.queries.callers import list_tokens as load_tokens
from app.schemas import tokens as schemas
from app.services.tokens import WantedToken, create_token, revoke_token


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
    wanted = WantedToken(body["name"], body["scopes"], lifetime=lifetime, source=body["source"])
    return Reply(create_token(database(), wanted, actor=current_actor(), now=now()), status=201)


@endpoint("/tokens/<id:token_id>", method="DELETE", scope="admin", status=204)
def end_token(token_id: int) -> Reply:
    """Revoke a token; it stops working at once."""
    revoke_token(database(), token_id=token_id, actor=current_actor(), now=now())
    return Reply(None, status=204)
