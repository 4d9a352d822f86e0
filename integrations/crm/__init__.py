"""The customer's CRM: one small interface, one adapter for each that is known (docs/crm.md says how to add one)."""
