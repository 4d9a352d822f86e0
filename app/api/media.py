"""The forms that answers have."""

CSV = "text/csv"
JSON = "application/json"
