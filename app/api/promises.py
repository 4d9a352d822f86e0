"""What sales promised along with the deals of an account, and what became of it."""

from dataclasses import asdict
from typing import Any

from app.api.endpoint import Reply, endpoint
from app.api.health_said import READ, WRITE, known_now, said_now
from app.auth import may
from app.errors import NotFound
from app.http import database
from app.queries import promises
from app.queries.accounts import load_account
from app.schemas import promises as schemas
from app.services.promises import PromiseMove
from app.services.promises import move_promise as say

ANSWER = schemas.PromiseList()


@endpoint("/accounts/<id:account_id>/promises", scope=READ, answer=ANSWER)
def list_promises(account_id: int) -> Reply:
    """What sales promised along with the deals of an account: open, kept, broken or dropped.

    Carried over from the CRM. One whose day has passed while it is open is overdue.
    """
    load_account(database(), account_id, today=known_now().as_of)
    return _listed(account_id)


@endpoint("/promises/<id:promise_id>/move", method="POST", scope=WRITE, body=schemas.PromiseBody(), answer=ANSWER)
def move_promise(promise_id: int, body: dict[str, Any]) -> Reply:
    """Say that an open promise was kept, broken or dropped, or take that back; answers with those of its account.

    Who, when and why stay on record. One that was changed since its id was read is not moved (409).
    """
    account_id = promises.find_account_of_promise(database(), promise_id)
    if account_id is None:
        raise NotFound("There is no such promise.")
    say(database(), PromiseMove(promise_id, body["state"], body["reason"]), said=said_now())
    return _listed(account_id)


def _listed(account_id: int) -> Reply:
    today, shows_notes = known_now().as_of, may("notes:read")
    rows = []
    for each in promises.list_promises(database(), account_id):
        row = asdict(each) | {"is_overdue": each.is_overdue(today)}
        if not shows_notes:
            row |= {"text": None, "steps": [step | {"reason": None} for step in row["steps"]]}
        rows.append(row)
    return Reply({"data": rows})
