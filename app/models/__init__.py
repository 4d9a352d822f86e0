"""Tables, one noun a file, no rules. Importing this package knows them all."""

from app.models import (
    accounts,
    contracts,
    deals,
    persons,
    products,
    runs,
    scores,
    settings,
    success,
    usage,
    users,
    versions,
)

__all__ = [
    "accounts",
    "contracts",
    "deals",
    "persons",
    "products",
    "runs",
    "scores",
    "settings",
    "success",
    "usage",
    "users",
    "versions",
]
