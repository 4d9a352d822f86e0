"""The fake HubSpot, listening, and a client of it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from integrations.crm.client import CrmClient
from tests.integrations.crm.hubspot.fake import FakeHubspot, serving
from tests.integrations.crm.hubspot_stage import HubspotStage, connect_to, open_stage


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[HubspotStage]:
    with open_stage(tmp_path) as stage:
        yield stage


@pytest.fixture
def fake(stage: HubspotStage) -> FakeHubspot:
    return stage.fake


@pytest.fixture
def connect_with(fake: FakeHubspot) -> Iterator[Callable[..., CrmClient]]:
    """A client whose mapping says more, or with another secret."""
    with serving(fake) as url:
        yield lambda more="", **values: connect_to(fake, url, more=more, **values)
