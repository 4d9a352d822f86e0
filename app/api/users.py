"""Users, for programs that add and remove staff."""

from typing import Any

from app.api.endpoint import Reply, endpoint
from app.auth import current_actor
from app.http import database, now
from app.queries.users import list_users as load_users
from app.queries.users import load_user
from app.schemas import users as schemas
from app.services.changes import recording
from app.services.users import NewUser, add_user, change_password, change_role, deactivate_user, reactivate_user


def _reply(user_id: int, *, status: int = 200) -> Reply:
    database().expire_all()
    return Reply(load_user(database(), user_id), status=status)


@endpoint("/users", scope="admin", answer=schemas.UserList())
def list_users() -> Reply:
    """All users, also those who were shut out."""
    return Reply({"data": load_users(database())})


@endpoint("/users", method="POST", scope="admin", body=schemas.NewUserBody(), answer=schemas.User(), status=201)
def make_user(body: dict[str, Any]) -> Reply:
    """Add somebody who can log in."""
    with recording(database(), current_actor(), clock=now) as change:
        user_id = add_user(database(), change, new=NewUser(**body))
    return _reply(user_id, status=201)


@endpoint("/users/<id:user_id>/role", method="POST", scope="admin", body=schemas.RoleBody(), answer=schemas.User())
def give_role(user_id: int, body: dict[str, Any]) -> Reply:
    """Give a user another role; the last active administrator stays one."""
    change_role(database(), user_id=user_id, role=body["role"], actor=current_actor(), at=now())
    return _reply(user_id)


@endpoint("/users/<id:user_id>/password", method="POST", scope="admin", body=schemas.PasswordBody(), status=204)
def set_password(user_id: int, body: dict[str, Any]) -> Reply:
    """Set a new password, and end all the user's sessions."""
    change_password(database(), user_id=user_id, password=body["password"], actor=current_actor(), at=now())
    return Reply(None, status=204)


@endpoint("/users/<id:user_id>/deactivate", method="POST", scope="admin", answer=schemas.User())
def shut_out(user_id: int) -> Reply:
    """Shut a user out, and end all their sessions; the last active administrator stays."""
    deactivate_user(database(), user_id=user_id, actor=current_actor(), at=now())
    return _reply(user_id)


@endpoint("/users/<id:user_id>/reactivate", method="POST", scope="admin", answer=schemas.User())
def let_in(user_id: int) -> Reply:
    """Let a user in again, with the role and the password they had."""
    reactivate_user(database(), user_id=user_id, actor=current_actor(), at=now())
    return _reply(user_id)
