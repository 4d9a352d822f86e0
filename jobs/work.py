"""What a sweep gets to work with."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app.config import Settings
from app.db import transaction
from app.services.changes import utc_now

Clock = Callable[[], datetime]
Fence = Callable[[Session], None]


def no_fence(_session: Session) -> None:
    """Nobody else is at work: a command that a person started."""


@dataclass(frozen=True, slots=True)
class Work:
    """The database, the installation's settings, the clock, and the fence that every write has to pass.

    The fence is called first in each transaction: it holds the lease's row, and raises where the
    lease has gone to somebody else.
    """

    engine: Engine
    settings: Settings
    clock: Clock = utc_now
    fence: Fence = no_fence

    @contextmanager
    def writing(self) -> Iterator[Session]:
        with transaction(self.engine) as session:
            self.fence(session)
            yield session
