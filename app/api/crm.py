"""The doorbell of the CRMs: what a push says is not believed, it only makes that CRM due to be read now."""

from flask import request

from app.api.endpoint import Reply, endpoint
from app.auth import PUBLIC
from app.db import transaction
from app.http import application, now, own_transaction
from app.schemas import crm as schemas
from app.services.crm import answer_push
from app.services.secrets import Keyring
from integrations.crm.client import Push


@endpoint("/crm/<name>/push", scope=PUBLIC, method="POST", answer=schemas.PushAnswer(), status=202)
@own_transaction
def push_crm(name: str) -> Reply:
    """Say that something changed in a CRM; it is read within a minute.

    For the CRM itself: signed with the secret that was given to `tenure crm add --push`, as that CRM signs its pushes.
    What was rung less than ten seconds ago is not rung again.
    """
    app, at = application(), now()
    url = f"{app.settings.public_url or request.host_url.rstrip('/')}{request.full_path.rstrip('?')}"
    push = Push(request.method, url, dict(request.headers), request.get_data())
    with transaction(app.engine) as session:
        is_rung = answer_push(session, name, push=push, keyring=Keyring.of(app.settings), at=at)
    return Reply({"is_rung": is_rung}, status=202)
