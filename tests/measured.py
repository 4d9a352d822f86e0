"""A figure that a test measured, beside its bar: `pytest -s` shows it, and docs/measured.md collects it."""

import sys


def show(what: str, value: float | str, bar: str = "") -> None:
    told = value if isinstance(value, str) else f"{value:.4f}"
    sys.stdout.write(f"\n{what}: {told}" + (f" (bar: {bar})" if bar else ""))
