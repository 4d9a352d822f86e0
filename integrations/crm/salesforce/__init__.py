"""Salesforce by its REST API: `connect` gives the client."""

from integrations.crm.salesforce.adapter import Salesforce, connect

__all__ = ["Salesforce", "connect"]
