"""The company that tests of Salesforce begin with."""

from collections.abc import Iterator

import pytest

from tests.integrations.crm.salesforce.company import Company
from tests.integrations.crm.salesforce.org import Org
from tests.integrations.crm.salesforce.server import Server, serving
from tests.integrations.crm.salesforce.stage import SECRET


@pytest.fixture(params=[{}])
def company(request: pytest.FixtureRequest) -> Iterator[Company]:
    server = Server(Org(**request.param), rows_a_page=20)
    server.refresh_tokens.add((SECRET["client_id"], SECRET["refresh_token"]))
    with serving(server) as url:
        yield Company(server, url)
