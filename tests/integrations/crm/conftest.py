"""What the tests of CRMs share: an end to the server that some of them start."""

from collections.abc import Iterator

import pytest

from tests.integrations.crm.tryton.server import stop_tryton


@pytest.fixture(scope="session", autouse=True)
def _stop_tryton() -> Iterator[None]:
    yield
    stop_tryton()
