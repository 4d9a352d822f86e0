"""An attempt at work that may kill the worker or fail: counted before it begins, forgotten once it is done."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sqlalchemy.exc import InterfaceError, OperationalError

from app.services.leases import LeaseLost
from app.services.work_items import Item, begin_item, end_item, fail_item, give_back_item
from jobs.work import Work


class SetAside(Exception):
    """It failed or killed its worker too often: nobody tries until a person says so."""


@contextmanager
def attempt(work: Work, item: Item) -> Iterator[None]:
    """Count the attempt, do the block, forget the count. Raises SetAside, before the block, for what is set aside.

    An error is noted and raised. A database that is busy or gone says nothing of the item.
    """
    with work.writing() as session:
        may_begin = begin_item(session, item, at=work.clock())
    if not may_begin:
        raise SetAside(item.name)
    try:
        yield
    except (LeaseLost, OperationalError, InterfaceError):
        with suppress(LeaseLost, OperationalError, InterfaceError), work.writing() as session:
            give_back_item(session, item)
        raise
    except Exception as error:
        with work.writing() as session:
            fail_item(session, item, error=f"{type(error).__name__}: {error}", at=work.clock())
        raise
    with work.writing() as session:
        end_item(session, item)
