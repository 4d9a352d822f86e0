"""Tryton's domains for what changed in a window. `write_date` is null until the first edit, so each window is two."""

from typing import Any

from integrations.crm.client import Window
from integrations.crm.tryton.wire import Domain

EVEN_INACTIVE: Domain = ["active", "in", [True, False]]


def changed(window: Window, *, through: tuple[str, ...] = ()) -> Domain:
    """What changed in the window itself, or by what is behind the fields of `through`, such as "sales.lines".

    Without a beginning: all that was there before the end, whatever became of it since.
    """
    if window.since is None:
        return [["create_date", "<", window.until]]
    own = _own(window)
    return ["OR", own, *(_behind(path.split("."), own) for path in through)]


def _own(window: Window) -> Domain:
    edited = [["write_date", ">=", window.since], ["write_date", "<", window.until]]
    new = [["write_date", "=", None], ["create_date", ">=", window.since], ["create_date", "<", window.until]]
    return ["OR", edited, new]


def _behind(path: list[str], domain: Domain) -> Domain:
    """Records of whose `path` one satisfies the domain as a whole, even if it is inactive."""
    found: list[Any] = [domain]
    for name in reversed(path):
        found = [[name, "where", found]]
    return found


def after(domain: Domain, id_: int) -> Domain:
    return [domain, ["id", ">", id_]]
