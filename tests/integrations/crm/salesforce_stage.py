"""Salesforce joins the contract test, by the fake that has its limits and faults."""

from tests.integrations.crm.salesforce.stage import open_stage

__all__ = ["open_stage"]
