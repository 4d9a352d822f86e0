"""Tryton by its REST route: `connect` gives the client."""

from integrations.crm.tryton.adapter import Tryton, connect

__all__ = ["Tryton", "connect"]
