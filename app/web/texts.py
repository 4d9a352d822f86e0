"""Texts in the reader's language, with types. Values are put in by name: _("%(name)s left", name=...).

As in the templates, a percent sign is always written twice.
"""

from typing import Any

import flask_babel
from flask_babel import LazyString


def gettext(text: str, **values: Any) -> str:
    return str(flask_babel.gettext(text)) % values


def ngettext(one: str, many: str, num: int, **values: Any) -> str:  # noqa: PLR0917  as gettext has it
    return str(flask_babel.ngettext(one, many, num, **values))


def lazy_gettext(text: str) -> LazyString:
    """For tables that are made before anybody asks: translated when shown."""
    return flask_babel.lazy_gettext(text)
