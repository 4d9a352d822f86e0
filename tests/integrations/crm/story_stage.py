"""The CRM in memory joins the contract test: what it cannot pass, no adapter can."""

from tests.integrations.crm.story_crm import open_stage

__all__ = ["open_stage"]
